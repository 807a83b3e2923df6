//! Bounds: what is too large or too much is refused by a status that says the bound, and others are served meanwhile.

use nn_tests::{Daemon, require_backends, tiny_model};
use tonic::Code;

use crate::client::{connect, only, raw};
use crate::{MIB, said};

fn of_bytes(bytes: usize) -> nn_proto::kserve::inference::ModelInferRequest {
    let shape = [i64::try_from(bytes).unwrap()];
    raw("identity-u8", "input", "UINT8", (&shape, vec![1; bytes]))
}

fn bounded(limits: &str) -> Daemon {
    let daemon = Daemon::builder().with_limits(limits).start();
    daemon.load("identity-u8", &tiny_model("identity-u8"));
    daemon
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_beyond_the_bound_is_refused_with_it() {
    require_backends!();
    let daemon = bounded("kserve_message_bytes_max = 1048576");
    let mut client = connect(&daemon).await;
    let status = client.model_infer(of_bytes(2 * MIB)).await.unwrap_err();
    let words = [
        "at most 1048576 bytes",
        "kserve_message_bytes_max",
        "message-too-large",
    ];
    said(&status, Code::OutOfRange, &words);
    client.model_infer(of_bytes(MIB / 2)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_beyond_the_bound_is_refused_with_it() {
    require_backends!();
    let daemon = bounded("kserve_message_bytes_max = 1048576");
    daemon.load("picture", &tiny_model("zeros-f32"));
    let mut client = connect(&daemon).await;
    let dims = [1_i64 << 20];
    let bytes = dims.iter().flat_map(|dim| dim.to_le_bytes()).collect();
    let request = raw("picture", "0", "INT64", (&[1], bytes));
    let status = client.model_infer(request).await.unwrap_err();
    said(
        &status,
        Code::OutOfRange,
        &["the answer is too large", "at most 1048576"],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tensor_beyond_the_bound_is_refused_with_it() {
    require_backends!();
    let daemon = bounded("tensor_bytes_max = 1048576");
    let mut client = connect(&daemon).await;
    let status = client.model_infer(of_bytes(MIB + 1)).await.unwrap_err();
    said(
        &status,
        Code::OutOfRange,
        &["at most 1048576 bytes", "tensor-too-large"],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_without_memory_left_is_told_so() {
    require_backends!();
    let daemon = bounded("arena_bytes_per_tenant_max = 16777216");
    let mut client = connect(&daemon).await;
    let status = client.model_infer(of_bytes(17 * MIB)).await.unwrap_err();
    said(
        &status,
        Code::ResourceExhausted,
        &["at most 16777216 bytes", "arena-full"],
    );
    let answer = client.model_infer(of_bytes(10)).await.unwrap().into_inner();
    assert_eq!(only(&answer).len(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_wait_for_room_and_are_all_served() {
    require_backends!();
    // Room for one of them at a time.
    let limits = "kserve_message_bytes_max = 8388608\nkserve_bytes_per_uid_max = 8388608";
    let daemon = bounded(limits);
    let client = connect(&daemon).await;
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move { client.model_infer(of_bytes(6 * MIB)).await })
        })
        .collect();
    for call in calls {
        let answer = call.await.unwrap().unwrap().into_inner();
        assert_eq!(only(&answer).len(), 6 * MIB);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_would_swell_is_refused() {
    require_backends!();
    let daemon = bounded("");
    let mut client = connect(&daemon).await;
    let mut swelling = of_bytes(1);
    let input = swelling.inputs[0].clone();
    swelling.inputs = vec![input; 10_000];
    let status = client.model_infer(swelling).await.unwrap_err();
    said(
        &status,
        Code::OutOfRange,
        &["besides its tensors", "message-too-large"],
    );
    let mut many = of_bytes(1);
    many.inputs = vec![many.inputs[0].clone(); 200];
    let status = client.model_infer(many).await.unwrap_err();
    said(
        &status,
        Code::InvalidArgument,
        &["at most 128", "inputs-too-many"],
    );
}
