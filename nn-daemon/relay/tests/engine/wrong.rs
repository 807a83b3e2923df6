//! Answers that are none.

use bytes::Bytes;
use nn_proto::kserve::inference as oip;
use nn_tensor::Reason;

use crate::engines::{Act, Engine, right};
use crate::rig::{SOON, call, local, open, remote};

/// What a call comes to when the engine answers so; and the next one, which it answers right.
async fn after(act: fn(&oip::ModelInferRequest) -> Act) -> Reason {
    let server = Engine::start(move |count, request| match count {
        0 => act(&request),
        _ => Act::Right,
    })
    .await;
    let engine = open(remote(&[&server.address])).await.unwrap();
    let failed = call(&engine, &[1.0, 2.0], SOON).await.unwrap_err();
    assert!(failed.sent, "{failed:?}");
    assert_eq!(call(&engine, &[1.0, 2.0], SOON).await, Ok(vec![2.0, 3.0]));
    assert_eq!(server.infers(), 2, "nothing is sent twice");
    failed.reason
}

#[test]
fn outputs_that_do_not_fit_the_signature_are_refused() {
    let acts: [fn(&oip::ModelInferRequest) -> Act; 8] = [
        |request| change(request, |answer| answer.outputs[0].name = "z".to_owned()),
        |request| {
            change(request, |answer| {
                answer.outputs[0].datatype = "FP64".to_owned()
            })
        },
        |request| change(request, |answer| answer.outputs[0].shape = vec![2, 2]),
        |request| change(request, |answer| answer.outputs[0].shape = vec![2]),
        |request| change(request, |answer| answer.outputs.clear()),
        |request| {
            change(request, |answer| {
                answer.outputs.push(answer.outputs[0].clone())
            })
        },
        |request| change(request, |answer| answer.raw_output_contents.clear()),
        |request| {
            change(request, |answer| {
                answer.raw_output_contents[0] = Bytes::from_static(&[0; 9]);
            })
        },
    ];
    for (index, act) in acts.into_iter().enumerate() {
        local(async { assert_eq!(after(act).await, Reason::RemoteAnswer, "{index}") });
    }
}

fn change(request: &oip::ModelInferRequest, change: impl Fn(&mut oip::ModelInferResponse)) -> Act {
    let mut answer = right(request);
    change(&mut answer);
    Act::Answer(answer)
}

#[test]
fn bodies_that_are_no_message_are_refused() {
    const BODIES: [fn(&oip::ModelInferRequest) -> Act; 7] = [
        // Nothing, a part of a prefix, less than was promised, more, compressed, longer than may be, and no message.
        |_| Act::Body(Bytes::new()),
        |_| Act::Body(Bytes::from_static(&[0, 0])),
        |_| Act::Body(Bytes::from_static(&[0, 0, 0, 0, 9, 1])),
        |_| Act::Body(Bytes::from_static(&[0, 0, 0, 0, 1, 1, 1])),
        |_| Act::Body(Bytes::from_static(&[1, 0, 0, 0, 1, 1])),
        |_| Act::Body(Bytes::from_static(&[0, 0x7f, 0, 0, 0, 1])),
        |_| Act::Body(Bytes::from_static(&[0, 0, 0, 0, 2, 0xff, 0xff])),
    ];
    for (index, act) in BODIES.into_iter().enumerate() {
        local(async { assert_eq!(after(act).await, Reason::RemoteAnswer, "{index}") });
    }
    local(async { assert_eq!(after(|_| Act::Http(503)).await, Reason::RemoteAnswer) });
}

#[test]
fn an_engine_that_says_no_is_believed_and_its_words_are_for_the_log() {
    local(async {
        let server = Engine::start(|_, _| Act::Status("3", "bad%0Ashape")).await;
        let engine = open(remote(&[&server.address])).await.unwrap();
        // More often than the breaker would bear, were the endpoint to blame.
        for _ in 0..5 {
            let failed = call(&engine, &[1.0, 2.0], SOON).await.unwrap_err();
            assert_eq!(failed.reason, Reason::RemoteFailed);
            assert_eq!(failed.got, "gRPC status INVALID_ARGUMENT");
            assert!(failed.detail.ends_with("bad shape"), "{failed:?}");
        }
        assert_eq!(server.infers(), 5);
    });
}

#[test]
fn a_model_that_is_not_ready_and_metadata_that_cannot_be_are_not_loaded() {
    local(async {
        let server = Engine::start(|_, _| Act::Right).await;
        server.set_ready(false);
        let failed = open(remote(&[&server.address])).await.unwrap_err();
        assert_eq!((failed.reason, failed.sent), (Reason::RemoteModel, false));
        server.set_ready(true);
        server.set_output("");
        let failed = open(remote(&[&server.address])).await.unwrap_err();
        assert_eq!(failed.reason, Reason::SignatureUnsupported);
    });
}
