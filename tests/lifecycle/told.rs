//! Who is told that a name means something else.

use nn_proto::v1::inference_client::InferenceClient;
use nn_proto::v1::{self, infer_response};
use nn_tests::{Daemon, nnctl, require_backends};
use tokio_stream::StreamExt;

use super::{Files, SOON, load};

/// What a session of a tenant is told until a name comes that is for everybody.
async fn told_until(answers: &mut tonic::Streaming<v1::InferResponse>, last: &str) -> Vec<String> {
    let mut told = Vec::new();
    while told.last().is_none_or(|name| name != last) {
        let answer = tokio::time::timeout(SOON, answers.message()).await;
        let answer = answer.unwrap().unwrap().unwrap();
        if let Some(infer_response::Body::ModelsChanged(changed)) = answer.body {
            told.push(changed.name);
        }
    }
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_model_for_one_tenant_no_other_is_told_not_even_that_it_has_gone() {
    require_backends!();
    let (daemon, files) = (Daemon::start(), Files::new());
    let manifest = files.write("model.toml", "tenants = [\"shop\"]\n");
    let words = ["--manifest", manifest.to_str().unwrap()];
    load(&daemon, "secret", &files.adds(1), &words).success();
    let mut streams = Vec::new();
    for tenant in ["shop", "other"] {
        let channel = nn_client::channel(&daemon.socket()).await.unwrap();
        let mut rpc = InferenceClient::new(channel);
        let opened = rpc.open_session(v1::OpenSessionRequest {
            protocol_version: nn_proto::PROTOCOL_VERSION,
            tenant: tenant.to_owned(),
        });
        let opened = opened.await.unwrap().into_inner();
        let fds = super::raw::knock(&daemon).unwrap();
        let hello = super::raw::hello(opened.session_id, opened.fd_token);
        super::raw::send(&fds, &hello, &[]).unwrap();
        assert!(super::raw::receive(&fds).is_some(), "it is ours");
        let bind = v1::InferRequest {
            session_id: opened.session_id,
            request_id: 0,
            body: None,
        };
        let requests = tokio_stream::iter([bind]).chain(tokio_stream::pending());
        let answers = rpc.infer(requests).await.unwrap().into_inner();
        streams.push((answers, fds));
    }
    // Bound once a change reaches it.
    tokio::task::block_in_place(|| daemon.load("everybodys", &files.adds(2)));
    for (answers, _) in &mut streams {
        assert_eq!(told_until(answers, "everybodys").await, ["everybodys"]);
    }
    tokio::task::block_in_place(|| {
        nnctl(&daemon, &["unload", "secret"]).success();
        nnctl(&daemon, &["unload", "everybodys"]).success();
    });
    let [(shop, _), (other, _)] = streams.as_mut_slice() else {
        unreachable!("two");
    };
    let both = ["secret", "everybodys"];
    assert_eq!(told_until(shop, "everybodys").await, both);
    assert_eq!(told_until(other, "everybodys").await, ["everybodys"]);
}
