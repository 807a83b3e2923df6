//! The door over TCP: there where the operator wants it, for one service, for whom the operator says, and for nobody who
//! would administer.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use nn_proto::health::HealthCheckRequest;
use nn_proto::health::health_client::HealthClient;
use nn_proto::kserve::inference::{
    RepositoryIndexRequest, RepositoryModelLoadRequest, RepositoryModelUnloadRequest,
    ServerLiveRequest,
};
use nn_proto::v1::admin_client::AdminClient;
use nn_proto::v1::inference_client::InferenceClient;
use nn_proto::v1::models_client::ModelsClient;
use nn_proto::v1::{ListRequest, OpenSessionRequest, StatusRequest};
use nn_tests::{Daemon, require_backends, tiny_model, wait_until};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};

use crate::client::{only, raw, service};
use crate::{SOON, said};

/// Where a daemon's door is, by its log.
pub(crate) fn address(daemon: &Daemon) -> String {
    let log = daemon.log();
    let line = log.lines().find(|line| line.contains("KServe is served"));
    let (_, address) = line.unwrap().split_once("address=").unwrap();
    address.split_whitespace().next().unwrap().to_owned()
}

/// A daemon with a door, and a model behind it.
pub(crate) fn daemon(sections: &str, limits: &str) -> (Daemon, String) {
    let builder = Daemon::builder().with_sections(sections);
    let daemon = builder.with_limits(limits).start();
    daemon.load("identity-u8", &tiny_model("identity-u8"));
    let address = address(&daemon);
    (daemon, address)
}

const OPEN: &str = "[kserve]\nlisten = \"127.0.0.1:0\"\ntenant = \"vision\"\n";

async fn channel(address: &str) -> Channel {
    let endpoint = Endpoint::new(format!("http://{address}")).unwrap();
    endpoint.connect().await.unwrap()
}

pub(crate) fn request() -> nn_proto::kserve::inference::ModelInferRequest {
    raw("identity-u8", "input", "UINT8", (&[3], vec![1, 2, 3]))
}

/// Sessions: tenant, uid, address.
pub(crate) fn sessions(daemon: &Daemon) -> Vec<(String, u64, String)> {
    let status = daemon.status();
    let all = status["sessions"].as_array().unwrap().iter();
    all.map(|session| {
        let text = |key: &str| session[key].as_str().unwrap().to_owned();
        let uid = session["peer_uid"].as_u64().unwrap();
        (text("tenant"), uid, text("peer_address"))
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_over_tcp_infers_for_the_tenant_that_the_operator_says_and_for_no_other() {
    require_backends!();
    let (daemon, address) = daemon(OPEN, "");
    let mut client = service(channel(&address).await);
    let answer = client.model_infer(request()).await.unwrap().into_inner();
    assert_eq!(only(&answer), [1, 2, 3]);
    let uid = u64::from(u32::MAX);
    assert_eq!(
        sessions(&daemon),
        [("vision".into(), uid, "127.0.0.1".into())]
    );
    let named = |tenant: &str| {
        let mut named = Request::new(request());
        named
            .metadata_mut()
            .insert("nn-tenant", tenant.parse().unwrap());
        named
    };
    client.model_infer(named("vision")).await.unwrap();
    let status = client.model_infer(named("default")).await.unwrap_err();
    said(
        &status,
        Code::PermissionDenied,
        &[
            "127.0.0.1 for tenant default",
            "tenant vision",
            "tenant-denied",
        ],
    );
    assert_eq!(sessions(&daemon).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_over_tcp_is_no_operator_though_it_is_of_the_daemons_uid() {
    require_backends!();
    let (daemon, address) = daemon(OPEN, "");
    let mut client = service(channel(&address).await);
    let index = client
        .repository_index(RepositoryIndexRequest::default())
        .await;
    assert_eq!(index.unwrap().into_inner().models.len(), 1);
    let load = RepositoryModelLoadRequest {
        model_name: "identity-u8".into(),
        ..RepositoryModelLoadRequest::default()
    };
    let unload = RepositoryModelUnloadRequest {
        model_name: "identity-u8".into(),
        ..RepositoryModelUnloadRequest::default()
    };
    let words = ["a client over TCP at 127.0.0.1", "admin-denied"];
    let status = client.repository_model_load(load).await.unwrap_err();
    said(&status, Code::PermissionDenied, &words);
    let status = client.repository_model_unload(unload).await.unwrap_err();
    said(&status, Code::PermissionDenied, &words);
    client.model_infer(request()).await.unwrap();
    drop(daemon);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_the_daemons_own_protocol_there_is_nothing_over_tcp() {
    let daemon = Daemon::builder().with_sections(OPEN).start();
    let channel = channel(&address(&daemon)).await;
    let code = |status: Option<tonic::Status>| status.map(|status| status.code());
    let mut inference = InferenceClient::new(channel.clone());
    let session = inference.open_session(OpenSessionRequest::default()).await;
    assert_eq!(code(session.err()), Some(Code::Unimplemented));
    let list = ModelsClient::new(channel.clone())
        .list(ListRequest::default())
        .await;
    assert_eq!(code(list.err()), Some(Code::Unimplemented));
    let status = AdminClient::new(channel.clone())
        .status(StatusRequest::default())
        .await;
    assert_eq!(code(status.err()), Some(Code::Unimplemented));
    let mut checks = HealthClient::new(channel.clone());
    let service = "nn.v1.Inference".to_owned();
    let unknown = checks.check(HealthCheckRequest { service }).await;
    assert_eq!(code(unknown.err()), Some(Code::NotFound));
    let health = HealthClient::new(channel)
        .check(HealthCheckRequest::default())
        .await;
    assert_eq!(health.unwrap().into_inner().status, 1);
}

#[test]
fn what_would_be_open_to_other_machines_without_a_word_is_refused() {
    for (more, word) in [
        ("tenant = \"a\"", "kserve.plaintext = true"),
        ("plaintext = true", "kserve.tenant"),
    ] {
        let section = format!("[kserve]\nlisten = \"0.0.0.0:0\"\n{more}\n");
        let (status, log) = Daemon::builder().with_sections(&section).start_and_end();
        assert_eq!(status, Some(1));
        assert!(log.contains(word), "{log}");
    }
    let open = "[kserve]\nlisten = \"0.0.0.0:0\"\ntenant = \"a\"\nplaintext = true\n";
    let log = Daemon::builder().with_sections(open).start().log();
    let warned = |line: &str| line.contains("WARN") && line.contains("nothing is encrypted");
    assert!(log.lines().any(warned), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_of_one_address_are_bounded_and_those_that_say_nothing_end() {
    require_backends!();
    let (_daemon, address) = daemon(OPEN, "connections_per_uid_max = 8");
    let mut client = service(channel(&address).await);
    client.model_infer(request()).await.unwrap();
    let knock = || {
        let stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream
    };
    let silent: Vec<TcpStream> = (0..30).map(|_| knock()).collect();
    client.model_infer(request()).await.unwrap();
    // Seven have a place for as long as they may be silent, four beyond are told, the others closed at once.
    let began = Instant::now();
    for mut stream in silent {
        let _ = stream.read_to_end(&mut Vec::new());
    }
    assert!(began.elapsed() < SOON);
    let mut stream = knock();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    client.server_live(ServerLiveRequest {}).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_that_gives_callers_to_another_tenant_ends_what_they_have() {
    require_backends!();
    let (daemon, address) = daemon(OPEN, "");
    let mut client = service(channel(&address).await);
    client.model_infer(request()).await.unwrap();
    daemon.reconfigure("\"vision\"", "\"audio\"");
    tokio::task::block_in_place(|| {
        wait_until("the configuration is read", SOON, || {
            daemon.log().contains("configuration reloaded")
        });
    });
    assert!(sessions(&daemon).is_empty());
    client.model_infer(request()).await.unwrap();
    assert_eq!(sessions(&daemon)[0].0, "audio");
}
