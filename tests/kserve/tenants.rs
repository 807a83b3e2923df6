//! Whom a client acts for: the tenant that its uid says, or that it says itself and may.

use nix::unistd::geteuid;
use nn_proto::kserve::inference::infer_parameter::ParameterChoice;
use nn_proto::kserve::inference::{InferParameter, ModelInferRequest};
use nn_tests::{Daemon, require_backends, tiny_model};
use tonic::{Code, Request};

use crate::client::{connect, raw};
use crate::said;

fn request() -> ModelInferRequest {
    raw("identity-u8", "input", "UINT8", (&[1], vec![1]))
}

fn by_parameter(tenant: &str) -> ModelInferRequest {
    let mut request = request();
    let parameter_choice = Some(ParameterChoice::StringParam(tenant.into()));
    let parameter = InferParameter { parameter_choice };
    request.parameters.insert("nn-tenant".into(), parameter);
    request
}

fn by_metadata(tenant: &str, message: ModelInferRequest) -> Request<ModelInferRequest> {
    let mut request = Request::new(message);
    let tenant = tenant.parse().unwrap();
    request.metadata_mut().insert("nn-tenant", tenant);
    request
}

fn daemon(tenants: &[(&str, u32)]) -> Daemon {
    let section = |(name, uid): &(&str, u32)| format!("[tenants.{name}]\nuids = [{uid}]\n");
    let sections: String = tenants.iter().map(section).collect();
    let daemon = Daemon::builder().with_sections(&sections).start();
    daemon.load("identity-u8", &tiny_model("identity-u8"));
    daemon
}

/// Tenants that have sessions.
fn acting(daemon: &Daemon) -> Vec<String> {
    let sessions = daemon.status()["sessions"].as_array().unwrap().clone();
    let tenant = |session: &serde_json::Value| session["tenant"].as_str().unwrap().to_owned();
    let mut tenants: Vec<String> = sessions.iter().map(tenant).collect();
    tenants.sort();
    tenants
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nobody_is_listed_a_client_is_whom_it_says() {
    require_backends!();
    let daemon = daemon(&[]);
    let mut client = connect(&daemon).await;
    client.model_infer(request()).await.unwrap();
    client.model_infer(by_parameter("one")).await.unwrap();
    let both = by_metadata("two", request());
    client.model_infer(both).await.unwrap();
    assert_eq!(acting(&daemon), ["default", "one", "two"]);
    let torn = by_metadata("two", by_parameter("one"));
    let status = client.model_infer(torn).await.unwrap_err();
    said(&status, Code::InvalidArgument, &["two tenants are named"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_one_tenant_that_lists_a_uid_is_whom_it_acts_for() {
    require_backends!();
    let own = geteuid().as_raw();
    let daemon = daemon(&[("mine", own), ("others", 4_000_000)]);
    let mut client = connect(&daemon).await;
    client.model_infer(request()).await.unwrap();
    assert_eq!(acting(&daemon), ["mine"]);
    let status = client
        .model_infer(by_parameter("others"))
        .await
        .unwrap_err();
    said(
        &status,
        Code::PermissionDenied,
        &["tenant others", "tenant-denied"],
    );
    assert_eq!(acting(&daemon), ["mine"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_tenants_one_is_to_be_named() {
    require_backends!();
    let own = geteuid().as_raw();
    let daemon = daemon(&[("first", own), ("second", own)]);
    let mut client = connect(&daemon).await;
    let status = client.model_infer(request()).await.unwrap_err();
    said(&status, Code::PermissionDenied, &["tenant default"]);
    client.model_infer(by_parameter("second")).await.unwrap();
    assert_eq!(acting(&daemon), ["second"]);
}
