//! Lives of honest workers, from Boot to the end, by hand: everything that one does after the seal is in one of them.

use std::fs;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::OnceLock;

use nn_shm::{Mapping, Segment};
use nn_tests::{Ended, Jail, Jailed, Jailer, User, fake_model, model_file, runtime_library};
use nn_worker_wire::{End, Failure, FromWorker, Role, Run, Signature, Slot, Tensor, ToWorker};

use crate::probe::worker_ort;

/// The arenas.
const IN: u64 = 1;
const OUT: u64 = 2;

const PAGE: u64 = 4096;

/// One picture of the network below, in bytes.
const PICTURE: u64 = 3 * 224 * 224 * 4;

/// Of wasi-nn's list of dtypes.
const FP32: u8 = 1;
const I64: u8 = 6;

/// A life: what it is called, whose, how it ends when it may do all that its profile allows.
pub(crate) struct Life {
    pub(crate) name: &'static str,
    pub(crate) program: &'static str,
    pub(crate) ends: End,
    story: fn(&Worker<'_>) -> Option<()>,
    data_bytes_max: u64,
}

/// A worker, and what it answers; `None` as soon as it is gone.
struct Worker<'a> {
    jailed: Jailed<'a>,
}

/// Every life.
pub(crate) fn lives() -> Vec<Life> {
    let ort = |name, story, ends| Life {
        name,
        program: "nn-worker",
        ends,
        story,
        data_bytes_max: 2 << 30,
    };
    let fake = |name, story, ends| Life {
        program: "nn-worker-fake",
        ..ort(name, story, ends)
    };
    let probe = |name, story, ends| Life {
        program: "nn-probe",
        data_bytes_max: 256 << 20,
        ..ort(name, story, ends)
    };
    vec![
        ort("ONNX Runtime serves", serves, End::Exit(0)),
        ort("a model is refused", refuses, End::Exit(0)),
        ort("a run for which there is no memory", bursts, End::Exit(0)).with_budget(128 << 20),
        probe(
            "a block that grows",
            |worker| worker.probes("grow 8388608"),
            End::Exit(0),
        ),
        probe(
            "a block that grows beyond the budget",
            |worker| worker.probes("grow 0x10000000000"),
            End::Exit(137),
        ),
        fake("two jobs are stopped", stopped, End::Exit(0)),
        fake("a panic", |worker| worker.crashes(3), End::Exit(134)),
        // Process 1 of a namespace hears no SIGABRT; abort() has another way to end then.
        fake("an abort", |worker| worker.crashes(0), End::Signal(11)),
    ]
}

// === impl Life ===

impl Life {
    fn with_budget(self, data_bytes_max: u64) -> Self {
        Self {
            data_bytes_max,
            ..self
        }
    }

    pub(crate) fn jailer(&self) -> Jailer {
        match self.program {
            "nn-worker" => Jailer::with_library(self.program, User::Nobody, &runtime_library()),
            _ => Jailer::start(self.program, User::Nobody),
        }
    }

    /// Lives it.
    pub(crate) fn live(
        &self,
        jailer: &mut Jailer,
        filter: &[u64],
        layers: &[nn_sandbox::Layer],
    ) -> Ended {
        let jail = Jail {
            filter: filter.to_vec(),
            data_bytes_max: self.data_bytes_max,
            threads: 2,
            ..Jail::of(worker_ort(), layers)
        };
        let worker = Worker {
            jailed: jailer.boot(&jail),
        };
        // What the story does not tell, the end does.
        let _ = worker.ready().and_then(|()| (self.story)(&worker));
        let Worker { jailed } = worker;
        jailed.tell(&ToWorker::Bye, &[]);
        jailed.end()
    }
}

// === impl Worker ===

impl Worker<'_> {
    fn ready(&self) -> Option<()> {
        matches!(self.jailed.hear()?, FromWorker::Ready { .. }).then_some(())
    }

    fn load(&self, file: &Path) -> Option<Result<Signature, Failure>> {
        let bytes = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        self.load_bytes(&bytes)
    }

    fn load_bytes(&self, bytes: &[u8]) -> Option<Result<Signature, Failure>> {
        self.jailed.model(bytes);
        match self.jailed.hear()? {
            FromWorker::Loaded { result } => Some(result),
            other => panic!("expected Loaded, got {other:?}"),
        }
    }

    fn attach(&self, role: Role, segment: u32, bytes: u64) -> Option<Mapping> {
        let memory = Segment::create(bytes).expect("a segment");
        let arena = match role {
            Role::Input => IN,
            Role::Output => OUT,
        };
        let mapping = match role {
            Role::Input => memory.map_writer().expect("a mapping"),
            Role::Output => memory.map_reader().expect("a mapping"),
        };
        if role == Role::Input {
            memory.seal_writers().expect("a seal");
        }
        let frame = ToWorker::Attach {
            arena,
            segment,
            bytes,
            role,
            shared: false,
        };
        self.jailed.tell(&frame, &[memory.as_fd()]);
        let attached = self.jailed.hear()?;
        assert_eq!(attached, FromWorker::Attached { arena, segment });
        Some(mapping)
    }

    fn run(&self, job: u64, inputs: Vec<Tensor>) {
        let run = Run {
            job,
            inputs,
            out_arena: OUT,
            timeout_us: 60_000_000,
        };
        self.jailed.tell(&ToWorker::Run(run), &[]);
    }

    /// Done; on the way it gets the memory that it asks for.
    fn done(&self, segment: &mut u32) -> Option<Vec<Tensor>> {
        loop {
            match self.jailed.hear()? {
                FromWorker::Done { result, .. } => return Some(result.expect("a good run")),
                FromWorker::Grow { bytes_min, .. } => {
                    *segment += 1;
                    self.attach(Role::Output, *segment, bytes_min.next_multiple_of(PAGE))?;
                }
                other => panic!("expected Done, got {other:?}"),
            }
        }
    }

    fn release(&self, tensors: &[Tensor]) {
        let slots = tensors.iter().map(|tensor| tensor.slot).collect();
        self.jailed.tell(&ToWorker::Release { slots }, &[]);
    }

    /// The probe, which never has a model.
    fn probes(&self, script: &str) -> Option<()> {
        let model = format!("nn-probe: {script};");
        self.load_bytes(model.as_bytes())?.expect_err("no model");
        Some(())
    }

    /// Done, of a job that was to be stopped: while it ran, or just before.
    fn is_stopped(&self) -> Option<()> {
        match self.jailed.hear()? {
            FromWorker::Done { result: Err(_), .. } => Some(()),
            other => panic!("expected Done, got {other:?}"),
        }
    }

    /// The fake's model that is told how to end.
    fn crashes(&self, how: i64) -> Option<()> {
        self.load(&fake_model("crash"))?.expect("a model");
        let input = self.attach(Role::Input, 0, PAGE)?;
        let slice = input.slice(0, 8).expect("a slot");
        slice.copy_from(&how.to_le_bytes()).expect("a number");
        self.run(1, vec![tensor("how", I64, &[], 8)]);
        self.jailed.hear().map(|answer| panic!("{answer:?}"))
    }
}

fn tensor(name: &str, dtype: u8, dims: &[u32], bytes: u64) -> Tensor {
    let slot = Slot {
        arena: IN,
        segment: 0,
        offset: 0,
        bytes,
        generation: 1,
    };
    Tensor {
        name: name.into(),
        dtype,
        dims: dims.to_vec(),
        slot,
    }
}

/// A real network, some pictures of different sizes of batch; arenas that grow and shrink.
fn serves(worker: &Worker<'_>) -> Option<()> {
    let signature = worker
        .load(&model_file("efficientnet-lite0"))?
        .expect("a model");
    let name = &signature.inputs.first()?.name;
    let _input = worker.attach(Role::Input, 0, 8 * PICTURE)?;
    worker.attach(Role::Output, 0, PAGE)?;
    let mut segment = 0;
    for batch in [1, 8, 1, 4] {
        let picture = tensor(
            name,
            FP32,
            &[batch, 3, 224, 224],
            u64::from(batch) * PICTURE,
        );
        worker.run(1, vec![picture.clone()]);
        worker.run(2, vec![picture]);
        for _ in 0..2 {
            let outputs = worker.done(&mut segment)?;
            worker.release(&outputs);
        }
    }
    // Idle since the trim before.
    worker.jailed.tell(&ToWorker::Trim, &[]);
    worker.jailed.tell(&ToWorker::Trim, &[]);
    assert!(matches!(worker.jailed.hear()?, FromWorker::Trimmed { .. }));
    worker.jailed.tell(
        &ToWorker::Unmap {
            arena: IN,
            segment: 0,
        },
        &[],
    );
    worker.jailed.tell(&ToWorker::Detach { arena: OUT }, &[]);
    Some(())
}

fn refuses(worker: &Worker<'_>) -> Option<()> {
    worker.load_bytes(b"not a model")?.expect_err("no model");
    Some(())
}

/// The filter as it is, with everything in its place, for comparison.
pub(crate) fn layers() -> &'static [nn_sandbox::Layer] {
    static LAYERS: OnceLock<Vec<nn_sandbox::Layer>> = OnceLock::new();
    LAYERS.get_or_init(|| crate::probe::all_layers(User::Nobody))
}

/// More pictures at a time than the budget holds, and one again.
fn bursts(worker: &Worker<'_>) -> Option<()> {
    let signature = worker
        .load(&model_file("efficientnet-lite0"))?
        .expect("a model");
    let name = &signature.inputs.first()?.name;
    let _input = worker.attach(Role::Input, 0, 64 * PICTURE)?;
    worker.attach(Role::Output, 0, 1 << 20)?;
    let pictures = |batch: u32| {
        tensor(
            name,
            FP32,
            &[batch, 3, 224, 224],
            u64::from(batch) * PICTURE,
        )
    };
    worker.run(1, vec![pictures(64)]);
    let FromWorker::Done {
        result: Err(failure),
        ..
    } = worker.jailed.hear()?
    else {
        panic!("there is memory for everything");
    };
    assert!(failure.out_of_memory, "{failure:?}");
    worker.run(2, vec![pictures(1)]);
    worker.done(&mut 0).map(drop)
}

/// Two: the wait for the first interrupt has begun before there was a filter.
fn stopped(worker: &Worker<'_>) -> Option<()> {
    worker.load(&fake_model("sleep"))?.expect("a model");
    let input = worker.attach(Role::Input, 0, PAGE)?;
    let slice = input.slice(0, 8).expect("a slot");
    slice.copy_from(&i64::MAX.to_le_bytes()).expect("a number");
    for job in 1..=2 {
        worker.run(job, vec![tensor("ms", I64, &[], 8)]);
        worker.jailed.interrupt(job);
        worker.is_stopped()?;
    }
    Some(())
}
