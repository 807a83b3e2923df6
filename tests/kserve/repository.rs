//! The repository: who may see what, and that only operators have versions loaded and rest.

use nn_proto::kserve::inference::{
    RepositoryIndexRequest, RepositoryModelLoadRequest, RepositoryModelUnloadRequest,
};
use nn_tests::{require_backends, until};
use tonic::Code;

use crate::client::{Service, connect, raw};
use crate::{SOON, said, with};

fn load(name: &str) -> RepositoryModelLoadRequest {
    RepositoryModelLoadRequest {
        model_name: name.into(),
        ..RepositoryModelLoadRequest::default()
    }
}

fn unload(name: &str) -> RepositoryModelUnloadRequest {
    RepositoryModelUnloadRequest {
        model_name: name.into(),
        ..RepositoryModelUnloadRequest::default()
    }
}

/// Name, version and state of each.
async fn index(client: &mut Service, ready: bool) -> Vec<String> {
    let request = RepositoryIndexRequest {
        ready,
        ..RepositoryIndexRequest::default()
    };
    let told = client.repository_index(request).await.unwrap().into_inner();
    let line = |of: &nn_proto::kserve::inference::repository_index_response::ModelIndex| {
        format!("{}@{} {}", of.name, of.version, of.state)
    };
    told.models.iter().map(line).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_rests_and_comes_up_again_and_is_known_all_the_while() {
    require_backends!();
    let daemon = with("identity-u8");
    let mut client = connect(&daemon).await;
    assert_eq!(index(&mut client, false).await, ["identity-u8@1 READY"]);
    client
        .repository_model_unload(unload("identity-u8"))
        .await
        .unwrap();
    assert_eq!(
        index(&mut client, false).await,
        ["identity-u8@1 UNAVAILABLE"]
    );
    assert_eq!(index(&mut client, true).await, Vec::<String>::new());
    let has_left = || daemon.workers().is_empty();
    until("its worker has left", SOON, has_left).await;
    client
        .repository_model_load(load("identity-u8"))
        .await
        .unwrap();
    assert_eq!(index(&mut client, true).await, ["identity-u8@1 READY"]);
    client
        .repository_model_unload(unload("identity-u8@1"))
        .await
        .unwrap();
    // Its next use loads it.
    let request = raw("identity-u8", "input", "UINT8", (&[1], vec![1]));
    client.model_infer(request).await.unwrap();
    nn_tests::nnctl(&daemon, &["pin", "identity-u8"]).success();
    let status = client.repository_model_unload(unload("identity-u8")).await;
    said(
        &status.unwrap_err(),
        Code::ResourceExhausted,
        &["pinned", "model-kept"],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_added_by_a_load() {
    require_backends!();
    let daemon = with("identity-u8");
    let mut client = connect(&daemon).await;
    let status = client.repository_model_load(load("nothing")).await;
    said(
        &status.unwrap_err(),
        Code::NotFound,
        &["there is no model nothing"],
    );
    let mut with_file = load("identity-u8");
    let parameter = nn_proto::kserve::inference::ModelRepositoryParameter::default();
    with_file
        .parameters
        .insert("file:1/model.onnx".into(), parameter);
    let status = client.repository_model_load(with_file).await.unwrap_err();
    said(&status, Code::Unimplemented, &["nnctl load"]);
    let mut elsewhere = load("identity-u8");
    elsewhere.repository_name = "elsewhere".into();
    let status = client.repository_model_load(elsewhere).await.unwrap_err();
    said(&status, Code::Unimplemented, &["no names"]);
}
