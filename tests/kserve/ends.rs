//! Inferences that end before they are done, and connections that do: what was held is free, and the worker stays.

use std::time::{Duration, Instant};

use nn_proto::kserve::inference::infer_parameter::ParameterChoice;
use nn_proto::kserve::inference::{InferParameter, ModelInferRequest, ServerReadyRequest};
use nn_tests::{require_backends, slow_daemon, until, until_computing};
use tonic::{Code, Request};

use crate::client::{connect, only, raw, slow};
use crate::{SOON, said, with};

/// More turns than anybody waits for.
const ENDLESS: i64 = i64::MAX;

fn with_timeout(us: i64) -> ModelInferRequest {
    let mut request = slow(ENDLESS);
    let parameter_choice = Some(ParameterChoice::Int64Param(us));
    let parameter = InferParameter { parameter_choice };
    request.parameters.insert("timeout".into(), parameter);
    request
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timeout_in_microseconds_is_a_deadline() {
    require_backends!();
    let daemon = slow_daemon();
    let mut client = connect(&daemon).await;
    client.model_infer(slow(10)).await.unwrap();
    let workers = daemon.workers();
    let began = Instant::now();
    let status = client.model_infer(with_timeout(200_000)).await.unwrap_err();
    assert!(began.elapsed() >= Duration::from_millis(200));
    said(
        &status,
        Code::DeadlineExceeded,
        &["an answer within", "deadline-running"],
    );
    client.model_infer(slow(10)).await.unwrap();
    assert_eq!(daemon.workers(), workers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_of_the_call_is_one_of_the_compute() {
    require_backends!();
    let daemon = slow_daemon();
    let mut client = connect(&daemon).await;
    client.model_infer(slow(10)).await.unwrap();
    // In the header alone: the client itself would end the call by its own clock.
    let mut request = Request::new(slow(ENDLESS));
    let metadata = request.metadata_mut();
    metadata.insert("grpc-timeout", "400m".parse().unwrap());
    let status = client.model_infer(request).await.unwrap_err();
    let codes = [Code::DeadlineExceeded, Code::Cancelled];
    assert!(codes.contains(&status.code()), "{status}");
    until("the compute has ended", SOON, || daemon.in_flight() == 0).await;
    client.model_infer(slow(10)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_given_up_is_cancelled() {
    require_backends!();
    let daemon = slow_daemon();
    let client = connect(&daemon).await;
    let mut calling = client.clone();
    calling.model_infer(slow(10)).await.unwrap();
    let workers = daemon.workers();
    let call = tokio::spawn(async move { calling.model_infer(slow(ENDLESS)).await });
    until_computing(&daemon, SOON).await;
    call.abort();
    until("the compute has ended", SOON, || daemon.in_flight() == 0).await;
    client.clone().model_infer(slow(10)).await.unwrap();
    assert_eq!(daemon.workers(), workers, "its worker stays");
    assert_eq!(daemon.stopped("cancelled"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_ends_leaves_nothing_behind() {
    require_backends!();
    let daemon = slow_daemon();
    let mut client = connect(&daemon).await;
    client.model_infer(slow(10)).await.unwrap();
    let status = daemon.status();
    assert_eq!(status["sessions"].as_array().unwrap().len(), 1);
    assert!(status["arena_bytes"].as_u64().unwrap() > 0);
    let mut calling = client.clone();
    let call = tokio::spawn(async move { calling.model_infer(slow(ENDLESS)).await });
    until_computing(&daemon, SOON).await;
    drop(client);
    call.abort();
    let is_free = || {
        let status = daemon.status();
        status["sessions"].as_array().unwrap().is_empty() && status["arena_bytes"] == 0
    };
    until("all is free", SOON, is_free).await;
    until("the compute has ended", SOON, || daemon.in_flight() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_that_is_idle_goes_back_while_the_connection_stays() {
    require_backends!();
    let daemon = nn_tests::Daemon::builder()
        .with_limits("idle_ms = 200")
        .start();
    daemon.load("identity-u8", &nn_tests::tiny_model("identity-u8"));
    let mut client = connect(&daemon).await;
    let bytes = vec![1; 16 * crate::MIB];
    let shape = [i64::try_from(bytes.len()).unwrap()];
    let request = raw("identity-u8", "input", "UINT8", (&shape, bytes.clone()));
    let answer = client.model_infer(request).await.unwrap().into_inner();
    assert!(only(&answer) == bytes);
    let graphs = || {
        let sessions = daemon.status()["sessions"].clone();
        sessions[0]["graphs"].as_u64().unwrap()
    };
    until("the graph has gone", SOON, || graphs() == 0).await;
    let request = raw("identity-u8", "input", "UINT8", (&[1], vec![7]));
    let answer = client.model_infer(request).await.unwrap().into_inner();
    assert_eq!(only(&answer), [7]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_ends_answers_what_it_has_begun_and_is_not_ready() {
    require_backends!();
    let mut daemon = slow_daemon();
    let mut client = connect(&daemon).await;
    client.model_infer(slow(10)).await.unwrap();
    let mut calling = client.clone();
    let call = tokio::spawn(async move { calling.model_infer(slow(200_000)).await });
    until_computing(&daemon, SOON).await;
    daemon.ask_to_end();
    let leaving = async {
        loop {
            let ready = client.server_ready(ServerReadyRequest {}).await;
            if !ready.unwrap().into_inner().ready {
                break;
            }
        }
        client.model_infer(slow(10)).await.unwrap_err()
    };
    let status = tokio::time::timeout(SOON, leaving).await.unwrap();
    said(&status, Code::Unavailable, &["daemon-leaving"]);
    call.await.unwrap().unwrap();
    assert!(daemon.terminate());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_is_replaced_is_used_from_then_on() {
    require_backends!();
    let daemon = with("identity-fp32");
    let mut client = connect(&daemon).await;
    let request = || raw("identity-fp32", "input", "FP32", (&[1], vec![0; 4]));
    let answer = client.model_infer(request()).await.unwrap().into_inner();
    assert_eq!(answer.model_version, "1");
    daemon.load("identity-fp32", &nn_tests::tiny_model("identity-fp32"));
    let answer = client.model_infer(request()).await.unwrap().into_inner();
    assert_eq!(answer.model_version, "2");
    nn_tests::nnctl(&daemon, &["unload", "identity-fp32"]).success();
    let status = client.model_infer(request()).await.unwrap_err();
    said(&status, Code::NotFound, &["model-unknown"]);
}
