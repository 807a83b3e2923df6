//! ModelStreamInfer: answers in the order of requests, errors among them.

use nn_proto::kserve::inference::ModelInferRequest;
use nn_tests::{Daemon, require_backends, tiny_model, until};
use tokio_stream::StreamExt;

use crate::client::{connect, only, raw, slow};
use crate::{MIB, SOON};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_answered_in_order_whatever_each_takes() {
    require_backends!();
    let daemon = Daemon::start();
    daemon.load("slow", &tiny_model("slow-f32"));
    daemon.load("identity-u8", &tiny_model("identity-u8"));
    let mut client = connect(&daemon).await;
    let large = vec![9; 3 * MIB];
    let shape = [i64::try_from(large.len()).unwrap()];
    let mut requests = vec![
        slow(20_000),
        raw("identity-u8", "input", "UINT8", (&[2], vec![1, 2])),
        raw("nothing", "input", "UINT8", (&[1], vec![1])),
        raw("identity-u8", "input", "UINT8", (&shape, large.clone())),
        raw("identity-u8", "input", "UINT8", (&[0], Vec::new())),
    ];
    requests.extend((0..40).map(|n| raw("identity-u8", "input", "UINT8", (&[1], vec![n]))));
    for (n, request) in (0..).zip(&mut requests) {
        request.id = format!("{n}");
    }
    let count = requests.len();
    let answers = client
        .model_stream_infer(tokio_stream::iter(requests))
        .await;
    let answers: Vec<_> = answers.unwrap().into_inner().collect().await;
    assert_eq!(answers.len(), count);
    for (n, answer) in answers.iter().enumerate() {
        let answer = answer.as_ref().unwrap();
        let response = answer.infer_response.as_ref().unwrap();
        assert_eq!(response.id, format!("{n}"));
        if n == 2 {
            assert!(answer.error_message.contains("there is no model nothing"));
            continue;
        }
        assert_eq!(answer.error_message, "");
        match n {
            0 => {}
            1 => assert_eq!(only(response), [1, 2]),
            3 => assert!(only(response) == large),
            4 => assert!(only(response).is_empty()),
            _ => assert_eq!(usize::from(only(response)[0]), n - 5),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_given_up_is_cancelled() {
    require_backends!();
    let daemon = nn_tests::slow_daemon();
    let mut client = connect(&daemon).await;
    let endless: Vec<ModelInferRequest> = vec![slow(10), slow(i64::MAX), slow(i64::MAX)];
    // The client's side ends: hyper resets no stream of which it has one side left.
    let answers = client.model_stream_infer(tokio_stream::iter(endless));
    let answers = answers.await;
    let mut answers = answers.unwrap().into_inner();
    assert!(answers.next().await.unwrap().is_ok());
    nn_tests::until_computing(&daemon, SOON).await;
    drop(answers);
    until("the computes have ended", SOON, || daemon.in_flight() == 0).await;
    client.model_infer(slow(10)).await.unwrap();
}
