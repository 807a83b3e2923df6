//! The daemon's side of spawner and worker, by hand: real processes, real descriptors.

mod spawner;

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Once};

use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;
use nn_shm::{Blob, Mapping, Segment, fds};
use nn_worker_wire::{
    BUILD_ID, FRAME_BYTES_MAX, Failure, FromWorker, Interrupt, Part, Precision, Role, Run,
    Signature, Slot, Tensor, ToWorker, decode, encode,
};

pub(crate) use spawner::{BUDGET, Spawner, THREADS, workers};

/// Longer than anything here takes on a busy machine.
const PATIENCE_S: i64 = 60;

/// The number of fp32 in wasi-nn's list of dtypes, and of i64.
pub(crate) const FP32: u8 = 1;
pub(crate) const I64: u8 = 6;

/// Enough time for any job.
pub(crate) const LONG_US: u64 = 60_000_000;

pub(crate) struct Worker {
    pub(crate) id: u32,
    pub(crate) pid: u32,
    pub(crate) pidfd: OwnedFd,
    control: OwnedFd,
    interrupts: (OwnedFd, OwnedFd),
    log: File,
}

/// The ends of a socket: ours, which does not wait for ever, and theirs.
fn pair() -> (OwnedFd, OwnedFd) {
    let (ours, theirs) = fds::pair().unwrap();
    setsockopt(&ours, sockopt::ReceiveTimeout, &TimeVal::new(PATIENCE_S, 0)).unwrap();
    (ours, theirs)
}

fn folder() -> PathBuf {
    let worker = Path::new(env!("CARGO_BIN_EXE_nn-worker"));
    worker.parent().unwrap().to_owned()
}

/// Another package's program, which cargo does not build for this test by itself.
#[expect(clippy::disallowed_methods, reason = "a test starts cargo")]
pub(crate) fn program(name: &str) -> PathBuf {
    static BUILD: Once = Once::new();
    let folder = folder();
    BUILD.call_once(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--package", "nn-spawner"]);
        cargo.args(["--package", "nn-worker-fake", "--target-dir"]);
        cargo.arg(folder.parent().unwrap());
        if folder.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success());
    });
    folder.join(name)
}

/// ONNX Runtime, from the worker's own path: `target/debug/nn-worker` → `target/nn/runtimes/…`.
pub(crate) fn library() -> Option<PathBuf> {
    let library = folder().join("../nn/runtimes/onnxruntime/libonnxruntime.so.1.28.0");
    let required = std::env::var_os("NN_REQUIRE_BACKENDS").is_some();
    assert!(library.exists() || !required, "run `cargo xtask setup`");
    if !library.exists() {
        println!("skipped: no ONNX Runtime; `cargo xtask setup` brings it");
        return None;
    }
    Some(library.canonicalize().unwrap())
}

fn recv(socket: BorrowedFd<'_>) -> (Vec<u8>, Vec<OwnedFd>) {
    let mut buffer = vec![0; FRAME_BYTES_MAX];
    let packet = fds::recv(socket, &mut buffer, 4).unwrap();
    buffer.truncate(packet.len);
    (buffer, packet.fds)
}

// === impl Worker ===

impl Worker {
    pub(crate) fn tell(&self, frame: &ToWorker, fds: &[BorrowedFd<'_>]) {
        self.tell_bytes(&encode(frame).unwrap(), fds);
    }

    pub(crate) fn tell_bytes(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) {
        fds::send(self.control.as_fd(), bytes, fds).unwrap();
    }

    /// Boot, with what it brings.
    pub(crate) fn tell_boot(&self, frame: &ToWorker) {
        self.tell(frame, &[self.interrupts.1.as_fd()]);
    }

    pub(crate) fn interrupt(&self, job: u64) {
        let frame = encode(&Interrupt { job }).unwrap();
        fds::send(self.interrupts.0.as_fd(), &frame, &[]).unwrap();
    }

    pub(crate) fn hear(&self) -> FromWorker {
        decode(&recv(self.control.as_fd()).0).unwrap()
    }

    /// Boot, answered by Ready; gives the runtime's description.
    pub(crate) fn boot(&self) -> String {
        self.tell_boot(&boot(BUILD_ID));
        let FromWorker::Ready { build_id, runtime } = self.hear() else {
            panic!("expected Ready");
        };
        assert_eq!(build_id, BUILD_ID);
        runtime
    }

    /// Model, answered by Loaded.
    pub(crate) fn load(&self, model: &[u8]) -> Result<Signature, Box<Failure>> {
        let bytes = u64::try_from(model.len()).unwrap();
        let fill = |file: &mut File| std::io::Write::write_all(file, model);
        let blob = Blob::create(bytes, fill).unwrap();
        let part = Part {
            name: "model.onnx".into(),
            bytes,
        };
        let frame = ToWorker::Model {
            format: "onnx".into(),
            parts: vec![part],
            precision: Precision::F32,
        };
        self.tell(&frame, &[blob.as_fd()]);
        match self.hear() {
            FromWorker::Loaded { result } => result.map_err(Box::new),
            other => panic!("expected Loaded, got {other:?}"),
        }
    }

    /// A worker of the fake, with one of its models.
    pub(crate) fn ready(spawner: &Spawner, id: u32, model: &[u8]) -> Self {
        let worker = spawner.spawn(id);
        worker.boot();
        worker.load(model).unwrap();
        worker
    }

    /// Grants a segment; gives it as its writer (inputs) or reader (outputs) maps it.
    pub(crate) fn attach(&self, role: Role, arena: u64, segment: u32, bytes: u64) -> Arc<Mapping> {
        self.attach_as((role, arena, segment, bytes), false)
    }

    /// The same from the moment on that clients of several uids use the worker.
    pub(crate) fn attach_as(
        &self,
        (role, arena, segment, bytes): (Role, u64, u32, u64),
        shared: bool,
    ) -> Arc<Mapping> {
        let memory = Segment::create(bytes).unwrap();
        let mapping = match role {
            Role::Input => {
                let mapping = memory.map_writer().unwrap();
                memory.seal_writers().unwrap();
                mapping
            }
            Role::Output => memory.map_reader().unwrap(),
        };
        let frame = ToWorker::Attach {
            arena,
            segment,
            bytes,
            role,
            shared,
        };
        self.tell(&frame, &[memory.as_fd()]);
        assert_eq!(self.hear(), FromWorker::Attached { arena, segment });
        Arc::new(mapping)
    }

    pub(crate) fn run(&self, job: u64, inputs: Vec<Tensor>, timeout_us: u64) {
        self.tell(
            &ToWorker::Run(Run {
                job,
                inputs,
                out_arena: OUT,
                timeout_us,
            }),
            &[],
        );
    }

    /// Done, of this job.
    pub(crate) fn done(&self, expected: u64) -> Result<Vec<Tensor>, Box<Failure>> {
        let (job, result) = self.any_done();
        assert_eq!(job, expected);
        result
    }

    /// Done, of whichever job.
    pub(crate) fn any_done(&self) -> (u64, Result<Vec<Tensor>, Box<Failure>>) {
        match self.hear() {
            FromWorker::Done { job, result, .. } => (job, result.map_err(Box::new)),
            other => panic!("expected Done, got {other:?}"),
        }
    }

    /// Closes the control socket; gives everything that was logged.
    pub(crate) fn close(self) -> String {
        let Self {
            control, mut log, ..
        } = self;
        drop(control);
        let mut text = String::new();
        log.read_to_string(&mut text).unwrap();
        text
    }
}

/// The arenas of these tests.
pub(crate) const IN: u64 = 1;
pub(crate) const OUT: u64 = 2;

pub(crate) fn boot(build_id: &str) -> ToWorker {
    let build_id = build_id.into();
    ToWorker::Boot { build_id }
}

/// A tensor in the input arena.
pub(crate) fn tensor(name: &str, dtype: u8, dims: &[u32], offset: u64, bytes: u64) -> Tensor {
    Tensor {
        name: name.into(),
        dtype,
        dims: dims.to_vec(),
        slot: Slot {
            arena: IN,
            segment: 0,
            offset,
            bytes,
            generation: 1,
        },
    }
}

pub(crate) fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

pub(crate) fn write(to: &Mapping, offset: u64, bytes: &[u8]) {
    let len = u64::try_from(bytes.len()).unwrap();
    to.slice(offset, len).unwrap().copy_from(bytes).unwrap();
}

pub(crate) fn read(from: &Mapping, tensor: &Tensor) -> Vec<u8> {
    let slot = tensor.slot;
    from.slice(slot.offset, slot.bytes)
        .unwrap()
        .to_vec()
        .unwrap()
}
