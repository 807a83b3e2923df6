//! Seeds of `proto` and `fd_socket`: messages of nn.v1.

mod described;

use nn_proto::v1;
use prost::Message;

use crate::{Seed, proto};
use described::described;

const ID: v1::Id128 = v1::Id128 { high: 1, low: 2 };

/// Messages by themselves, and packets for either side of the descriptor socket.
pub(crate) fn seeds() -> Vec<Seed> {
    [
        inference(),
        computes(),
        answers(),
        models(),
        watching(),
        packets(),
    ]
    .concat()
}

fn message(file: &'static str, name: &str, message: &impl Message) -> Seed {
    (
        "proto",
        file,
        proto::seed(name, message).expect("a message that the target knows"),
    )
}

fn inference() -> Vec<Seed> {
    let header = v1::LoadGraphHeader {
        session_id: Some(ID),
        format: "onnx".into(),
        parts: vec![part()],
        graphs_released: 1,
    };
    let open = v1::OpenSessionRequest {
        protocol_version: 1,
        tenant: "default".into(),
    };
    let resolve = v1::ResolveGraphRequest {
        session_id: Some(ID),
        reference: "foo:canary".into(),
    };
    let load = v1::LoadGraphRequest {
        body: Some(v1::load_graph_request::Body::Header(header)),
    };
    let grow = v1::GrowArenaRequest {
        session_id: Some(ID),
        arena_id: 1,
        bytes_min: 4096,
    };
    let give_back = v1::ReturnSegmentRequest {
        session_id: Some(ID),
        arena_id: 1,
        segment: 2,
    };
    vec![
        message("open", "OpenSessionRequest", &open),
        message("resolve", "ResolveGraphRequest", &resolve),
        message("load-graph", "LoadGraphRequest", &load),
        message("grow", "GrowArenaRequest", &grow),
        message("return", "ReturnSegmentRequest", &give_back),
    ]
}

fn computes() -> Vec<Seed> {
    use v1::infer_request::Body;
    let one = v1::Compute {
        graph_id: 0,
        inputs: vec![tensor("x", v1::DType::Fp32, &[1, 3], 12, 0)],
        timeout_us: 1_000_000,
        trace: "a-1".into(),
    };
    let bytes = tensor("a", v1::DType::U8, &[5], 5, 0);
    let by_number = tensor("1", v1::DType::I64, &[1], 8, 64);
    let two = v1::Compute {
        graph_id: 1,
        inputs: vec![bytes, by_number],
        timeout_us: 0,
        trace: String::new(),
    };
    let square = tensor("x", v1::DType::Fp16, &[2, 2], 8, 0);
    let release = v1::Release {
        slots: vec![slot(12, 0)],
    };
    let request = |body| v1::InferRequest {
        session_id: Some(ID),
        request_id: 3,
        body: Some(body),
    };
    let infer = request(Body::Compute(one.clone()));
    let release = request(Body::Release(release));
    let cancel = request(Body::Cancel(v1::Cancel {}));
    vec![
        message("infer", "InferRequest", &infer),
        message("release", "InferRequest", &release),
        message("cancel", "InferRequest", &cancel),
        message("compute", "Compute", &one),
        message("compute-two", "Compute", &two),
        message("tensor", "Tensor", &square),
    ]
}

fn answers() -> Vec<Seed> {
    let answer = |body| v1::InferResponse {
        request_id: 3,
        body: Some(body),
    };
    let outputs = v1::Outputs {
        outputs: vec![tensor("y", v1::DType::Bf16, &[], 2, 0)],
        timings: Some(v1::Timings {
            queue_us: 1,
            run_us: 2,
        }),
    };
    let changed = v1::ModelsChanged { name: "foo".into() };
    let resolved = v1::ResolveGraphResponse {
        graph_id: 4,
        name: "foo".into(),
        version: 3,
        signature: Some(signature()),
        arena_id: 1,
        segment: Some(v1::Segment {
            id: 0,
            bytes: 65_536,
        }),
    };
    vec![
        message(
            "opened",
            "OpenSessionResponse",
            &v1::OpenSessionResponse {
                session_id: Some(ID),
                fd_token: Some(ID),
                limits: Some(v1::SessionLimits {
                    in_flight_max: 256,
                    ..v1::SessionLimits::default()
                }),
            },
        ),
        message("resolved", "ResolveGraphResponse", &resolved),
        message(
            "outputs",
            "InferResponse",
            &answer(v1::infer_response::Body::Outputs(outputs)),
        ),
        message(
            "error",
            "InferResponse",
            &answer(v1::infer_response::Body::Error(error())),
        ),
        message(
            "changed",
            "InferResponse",
            &answer(v1::infer_response::Body::ModelsChanged(changed)),
        ),
        message(
            "leaving",
            "InferResponse",
            &answer(v1::infer_response::Body::Leaving(v1::Leaving {})),
        ),
        message("signature", "Signature", &signature()),
        message("fault", "Error", &error()),
    ]
}

fn models() -> Vec<Seed> {
    let header = v1::LoadHeader {
        name: "foo".into(),
        format: "onnx".into(),
        parts: vec![part()],
        no_wait: true,
        manifest: "queue_max = 4\n".into(),
        alias: "canary".into(),
        staged: true,
        pin: true,
    };
    let header = v1::load_request::Body::Header(header);
    let model = v1::Model {
        name: "foo".into(),
        version: 3,
        instances: vec![v1::Instance {
            id: 1,
            pid: 4711,
            ..v1::Instance::default()
        }],
        error: Some(error()),
        latency: Some(v1::Latency {
            computes: 7,
            p50_us: 850,
            p99_us: 2400,
            max_us: 2500,
        }),
        ..v1::Model::default()
    };
    vec![
        message(
            "load",
            "LoadRequest",
            &v1::LoadRequest { body: Some(header) },
        ),
        message(
            "unload",
            "UnloadRequest",
            &v1::UnloadRequest {
                reference: "foo@3".into(),
            },
        ),
        message(
            "list",
            "ListResponse",
            &v1::ListResponse {
                models: vec![model.clone()],
            },
        ),
        message("describe", "DescribeResponse", &described(model)),
        message(
            "status",
            "StatusResponse",
            &v1::StatusResponse {
                version: "0.1.0".into(),
                limits: vec![v1::LimitStatus {
                    name: "workers_max".into(),
                    value: 8,
                    unit: String::new(),
                }],
                ..v1::StatusResponse::default()
            },
        ),
    ]
}

fn watching() -> Vec<Seed> {
    let logs = v1::LogsRequest {
        reference: "foo:canary".into(),
        follow: true,
    };
    let line = v1::LogLine {
        unix_us: 1_795_412_520_123_000,
        worker: 3,
        text: "nn-worker: 1 job".into(),
        lost: 2,
        model: "foo@3".into(),
    };
    let event = v1::Event {
        number: 12,
        unix_us: 1_795_412_520_123_000,
        kind: "promoted".into(),
        model: "foo@3".into(),
        tenant: "shop".into(),
        uid: Some(0),
        pid: Some(4711),
        detail: "why".into(),
    };
    vec![
        message("logs", "LogsRequest", &logs),
        message("line", "LogLine", &line),
        message("event", "Event", &event),
    ]
}

/// As nn-daemon/src/fuzzing.rs (first byte 0) and host-shim/client/src/session/fuzzing.rs (1) read them.
fn packets() -> Vec<Seed> {
    let client = |body| v1::FdClientMessage { body: Some(body) }.encode_to_vec();
    let hello = client(v1::fd_client_message::Body::Hello(v1::FdHello {
        session_id: Some(ID),
        fd_token: Some(ID),
    }));
    let mapped = client(v1::fd_client_message::Body::Mapped(v1::FdMapped {
        arena_id: 1,
        segment: 0,
    }));
    let server = |body| v1::FdServerMessage { body: Some(body) }.encode_to_vec();
    let refused = server(v1::fd_server_message::Body::Refused(error()));
    let grant = server(v1::fd_server_message::Body::Grant(v1::FdGrant {
        arena_id: 1,
        segment: 0,
        bytes: 4096,
        role: v1::Role::Input.into(),
    }));
    let raw = |before: &[u8], packet: &[u8]| {
        let len = u8::try_from(packet.len()).expect("a short packet");
        [before, &[len], packet].concat()
    };
    vec![
        ("fd_socket", "client-maps", vec![0, 1, 1, 0, 1, 0]),
        ("fd_socket", "client-maps-another", vec![0, 1, 1, 7]),
        ("fd_socket", "client-greets-twice", vec![0, 1, 2, 0]),
        ("fd_socket", "client-guesses", raw(&[0, 0, 0], &hello)),
        (
            "fd_socket",
            "client-maps-elsewhere",
            raw(&[0, 1, 0], &mapped),
        ),
        // Two segments to write and one to read, one each given back.
        (
            "fd_socket",
            "daemon-grants",
            vec![1, 1, 1, 0x20, 1, 1, 0x21, 1, 2, 0x48, 2, 0, 0x28, 2, 0, 0],
        ),
        ("fd_socket", "daemon-grants-a-device", vec![1, 1, 4, 0x20]),
        (
            "fd_socket",
            "daemon-grants-twice",
            vec![1, 1, 2, 0x40, 1, 2, 0x40],
        ),
        (
            "fd_socket",
            "daemon-grants-in-bytes",
            raw(&[1, 0, 1], &grant),
        ),
        ("fd_socket", "daemon-refuses", raw(&[1, 0, 0], &refused)),
    ]
}

fn tensor(name: &str, dtype: v1::DType, dims: &[u32], bytes: u64, offset: u64) -> v1::Tensor {
    v1::Tensor {
        name: name.into(),
        dtype: dtype.into(),
        dims: dims.to_vec(),
        slot: Some(slot(bytes, offset)),
    }
}

fn slot(bytes: u64, offset: u64) -> v1::Slot {
    v1::Slot {
        arena_id: 1,
        segment: 0,
        offset,
        bytes,
        generation: 4,
    }
}

fn part() -> v1::Part {
    v1::Part {
        name: "model.onnx".into(),
        bytes: 1234,
        sha256: vec![7; 32],
    }
}

fn signature() -> v1::Signature {
    let spec = |name: &str, dtype: v1::DType, dims: &[i64], any_rank| v1::TensorSpec {
        name: name.into(),
        dtype: dtype.into(),
        dims: dims.to_vec(),
        any_rank,
    };
    v1::Signature {
        inputs: vec![
            spec("x", v1::DType::Fp32, &[1, 3], false),
            spec("n", v1::DType::I64, &[], false),
        ],
        outputs: vec![
            spec("y", v1::DType::Fp64, &[-1], false),
            spec("z", v1::DType::U8, &[], true),
        ],
    }
}

fn error() -> v1::Error {
    v1::Error {
        code: v1::Code::Busy.into(),
        message: "too many computes in flight".into(),
        expected: "at most 256".into(),
        got: "257".into(),
        hint: "wait for a reply".into(),
        log_id: "7f".into(),
        reason: "in-flight-full".into(),
    }
}
