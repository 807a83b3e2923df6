//! Seeds of `worker_wire`: one of each frame.

use nn_worker_wire::{
    Born, Conversion, Dim, End, Failure, FromSpawner, FromWorker, Interrupt, Library, Namespace,
    Numbers, Order, Part, Precision, Report, Role, Run, Sandbox, Signature, Slot, Spec, Tensor,
    ToSpawner, ToWorker, WirePicture, Workers, encode,
};

use crate::Seed;

/// As the daemon tells a worker and the spawner, and as they answer.
pub(crate) fn seeds() -> Vec<Seed> {
    let to_worker = to_worker().map(|(name, frame)| (name, encode(&frame)));
    let from_worker = from_worker().map(|(name, frame)| (name, encode(&frame)));
    let (uid_first, namespaces) = (1_900_000_000, 0x1000_0000);
    let to_spawner = [
        ("program", ToSpawner::Program { uid_first }),
        ("try", ToSpawner::Try { namespaces }),
        (
            "spawn",
            ToSpawner::Spawn {
                worker: 7,
                backend: "onnxruntime".into(),
                data_bytes_max: 1 << 30,
                threads: 2,
            },
        ),
        (
            "workers",
            ToSpawner::Workers(Workers {
                backend: "onnxruntime".into(),
                library: "/usr/lib/libonnxruntime.so".into(),
                beside: vec!["libx.so".into()],
                threads_max: 64,
                profile: "worker-ort".into(),
                layers: vec!["userns".into(), "seccomp".into()],
                data_bytes_max: 9 << 30,
                filter: vec![0x0006_0000_7fff_0000],
            }),
        ),
        ("kill", ToSpawner::Kill { worker: 7 }),
        (
            "jail",
            ToSpawner::Jail {
                layers: vec!["no_new_privs".into(), "seccomp".into()],
                privileged: false,
            },
        ),
        ("attest", ToSpawner::Attest { worker: 7 }),
    ]
    .map(|(name, frame)| (name, encode(&frame)));
    let from_spawner = from_spawner().map(|(name, frame)| (name, encode(&frame)));
    let interrupt = [("interrupt", encode(&Interrupt { job: 9 }))];
    let order = [("order", encode(&order()))];
    let all = to_worker
        .into_iter()
        .chain(interrupt)
        .chain(order)
        .chain(from_worker)
        .chain(to_spawner)
        .chain(from_spawner);
    all.map(|(name, bytes)| ("worker_wire", name, bytes.expect("a short frame")))
        .collect()
}

fn order() -> Order {
    Order {
        backend: "onnxruntime".into(),
        library: Library {
            path: "/usr/lib/libonnxruntime.so".into(),
            bytes: 24_272_944,
        },
        beside: vec![Library {
            path: "/usr/lib/libx.so".into(),
            bytes: 7,
        }],
        threads: 1,
        sandbox: Sandbox {
            profile: "worker-ort".into(),
            layers: vec!["userns".into(), "seccomp".into()],
            uid: Some(65_534),
            data_bytes_max: 1 << 30,
            filter: vec![0x0006_0000_7fff_0000],
        },
    }
}

fn parts() -> Vec<Part> {
    let (name, bytes) = ("model.onnx".into(), 1234);
    vec![Part { name, bytes }]
}

fn to_worker() -> [(&'static str, ToWorker); 17] {
    let run = Run {
        job: 9,
        inputs: vec![tensor("x", 1, &[1, 3], 12, 0), tensor("n", 6, &[], 8, 64)],
        out_arena: 2,
        timeout_us: 1_000_000,
    };
    [
        (
            "boot",
            ToWorker::Boot {
                build_id: "0.1.0-0123456789abcdef".into(),
            },
        ),
        (
            "model",
            ToWorker::Model {
                format: "onnx".into(),
                parts: parts(),
                precision: Precision::Native,
            },
        ),
        ("convert-picture", converted(picture())),
        ("convert-given", converted(given())),
        ("convert-output", converted(output())),
        ("convert-labels", converted(labels())),
        (
            "prepare",
            ToWorker::Prepare {
                format: "onnx".into(),
                parts: parts(),
                precision: Precision::F32,
            },
        ),
        (
            "attach",
            ToWorker::Attach {
                arena: 1,
                segment: 0,
                bytes: 65_536,
                role: Role::Output,
                shared: true,
            },
        ),
        ("canary", ToWorker::Canary { turn: 3 }),
        ("detach", ToWorker::Detach { arena: 1 }),
        ("unmap", unmap()),
        ("trim", ToWorker::Trim),
        ("refuse", refuse()),
        ("run", ToWorker::Run(run)),
        ("probe", ToWorker::Probe),
        (
            "release",
            ToWorker::Release {
                slots: vec![slot(12, 0), slot(8, 64)],
            },
        ),
        ("bye", ToWorker::Bye),
    ]
}

fn unmap() -> ToWorker {
    let (arena, segment) = (1, 2);
    ToWorker::Unmap { arena, segment }
}

fn refuse() -> ToWorker {
    let (arena, too_large) = (1, true);
    ToWorker::Refuse { arena, too_large }
}

fn converted(conversion: Conversion) -> ToWorker {
    ToWorker::Convert { conversion }
}

fn given() -> Conversion {
    let (name, dtype) = ("n".into(), 4);
    Conversion::Given { name, dtype }
}

fn output() -> Conversion {
    Conversion::Output {
        name: "y".into(),
        softmax: Some(-1),
        top_k: Some(5),
        dtype: Some(2),
    }
}

fn labels() -> Conversion {
    let (name, text) = ("y".into(), "cat\ndog".into());
    Conversion::Labels { name, text }
}

fn picture() -> Conversion {
    let bits = |number: f64| number.to_bits();
    Conversion::Picture {
        name: "x".into(),
        picture: WirePicture {
            many: true,
            stretch: false,
            filter: 2,
            bgr: true,
            size: Some([224, 224]),
            channels_last: Some(false),
            scale: Some(Numbers::All(bits(1.0 / 255.0))),
            mean: Some(Numbers::Each([0.485, 0.456, 0.406].map(bits).to_vec())),
            std: None,
        },
    }
}

fn from_worker() -> [(&'static str, FromWorker); 13] {
    let spec = |name: &str, dtype, dims| Spec {
        name: name.into(),
        dtype,
        dims,
    };
    let signature = Signature {
        inputs: vec![
            spec("x", 1, Some(vec![Dim::Any, Dim::Fixed(3)])),
            spec("n", 6, None),
        ],
        outputs: vec![spec("y", 1, Some(vec![Dim::Fixed(4)]))],
    };
    let prepared = |result| FromWorker::Prepared { result };
    let done = |result| FromWorker::Done {
        job: 9,
        result,
        run_us: 250,
    };
    [
        ("alive", FromWorker::Alive),
        ("canary-sang", sang()),
        (
            "ready",
            FromWorker::Ready {
                build_id: "0.1.0-0123456789abcdef".into(),
                runtime: "ONNX Runtime 1.28.0".into(),
            },
        ),
        (
            "loaded",
            FromWorker::Loaded {
                result: Ok(signature),
            },
        ),
        (
            "not-loaded",
            FromWorker::Loaded {
                result: Err(failure()),
            },
        ),
        (
            "attached",
            FromWorker::Attached {
                arena: 1,
                segment: 0,
            },
        ),
        (
            "grow",
            FromWorker::Grow {
                arena: 2,
                bytes_min: 4096,
            },
        ),
        (
            "trimmed",
            FromWorker::Trimmed {
                segments: vec![(1, 0), (2, 5)],
            },
        ),
        ("done", done(Ok(vec![tensor("x", 1, &[1, 3], 12, 0)]))),
        ("done-twice", done(Ok(two_outputs()))),
        ("failed", done(Err(failure()))),
        ("prepared", prepared(Ok(()))),
        ("not-prepared", prepared(Err(failure()))),
    ]
}

fn sang() -> FromWorker {
    let (turn, result) = (3, Ok(()));
    FromWorker::Canary { turn, result }
}

fn two_outputs() -> Vec<Tensor> {
    vec![
        Tensor {
            slot: Slot {
                generation: 1,
                ..slot(5, 0)
            },
            ..tensor("a", 4, &[5], 5, 0)
        },
        tensor("b", 6, &[1], 8, 64),
    ]
}

fn failure() -> Failure {
    Failure {
        code: 3,
        message: "the model failed".into(),
        expected: "a number".into(),
        got: "none".into(),
        hint: "try another input".into(),
        detail: "Gather: index \u{1b}[1m out of bounds".into(),
        out_of_memory: false,
        interrupted: false,
        reason: "run-failed".into(),
    }
}

fn tensor(name: &str, dtype: u8, dims: &[u32], bytes: u64, offset: u64) -> Tensor {
    Tensor {
        name: name.into(),
        dtype,
        dims: dims.to_vec(),
        slot: slot(bytes, offset),
    }
}

fn slot(bytes: u64, offset: u64) -> Slot {
    Slot {
        arena: 1,
        segment: 0,
        offset,
        bytes,
        generation: 4,
    }
}

fn from_spawner() -> [(&'static str, FromSpawner); 8] {
    let failed = Err("clone3: EPERM".to_owned());
    let born = Born { pid: 4711 };
    [
        (
            "tried",
            FromSpawner::Tried {
                namespaces: 0x1000_0000,
                own_uids: true,
                result: Err("clone3 failed".to_owned()),
            },
        ),
        (
            "spawned",
            FromSpawner::Spawned {
                worker: 7,
                result: Ok(born),
            },
        ),
        (
            "not-spawned",
            FromSpawner::Spawned {
                worker: 7,
                result: failed,
            },
        ),
        (
            "exited",
            FromSpawner::Exited {
                worker: 7,
                end: End::Exit(1),
            },
        ),
        (
            "killed",
            FromSpawner::Exited {
                worker: 7,
                end: End::Signal(9),
            },
        ),
        ("jailed", FromSpawner::Jailed),
        (
            "attested",
            FromSpawner::Attested {
                worker: 7,
                result: Ok(report()),
            },
        ),
        (
            "not-attested",
            FromSpawner::Attested {
                worker: 7,
                result: Err("there is no worker 7".to_owned()),
            },
        ),
    ]
}

fn report() -> Report {
    Report {
        threads: vec![(4711, "NoNewPrivs:\t1\nSeccomp:\t2".to_owned())],
        spawner: "NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1".to_owned(),
        namespaces: vec![Namespace {
            file: "net".to_owned(),
            worker: "net:[4026532700]".to_owned(),
            spawner: "net:[4026531840]".to_owned(),
        }],
    }
}
