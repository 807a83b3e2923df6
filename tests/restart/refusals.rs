//! What a daemon that is ending says to whoever still asks it, seen without nn-client's help.

use std::os::fd::AsRawFd;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use nn_client::{channel, status_to_fault};
use nn_proto::v1;
use nn_proto::v1::inference_client::InferenceClient;
use nn_tensor::Code;
use nn_tests::{Daemon, require_backends};
use tonic::transport::Channel;

use super::{SOON, daemon, slow, until_in_flight};

fn open() -> v1::OpenSessionRequest {
    v1::OpenSessionRequest {
        protocol_version: nn_proto::PROTOCOL_VERSION,
        tenant: String::new(),
    }
}

async fn connected(socket: &Path) -> InferenceClient<Channel> {
    let mut inference = InferenceClient::new(channel(socket).await.unwrap());
    inference.open_session(open()).await.unwrap();
    inference
}

fn knock(path: &Path, kind: SockType) -> nix::Result<()> {
    let socket = socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC, None)?;
    connect(socket.as_raw_fd(), &UnixAddr::new(path)?)
}

/// Asks for sessions until one is refused.
async fn refusal(inference: &mut InferenceClient<Channel>) -> tonic::Status {
    loop {
        if let Err(status) = inference.open_session(open()).await {
            return status;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_is_ending_refuses_what_is_new_by_a_code_of_its_own() {
    require_backends!();
    let daemon = daemon(Daemon::builder());
    let client = daemon.client();
    let graph = client.resolve("slow").await.unwrap();
    let mut inference = connected(&daemon.socket()).await;
    let running = tokio::spawn(async move { slow(&graph, 150_000, 1.0).await });
    until_in_flight(&daemon, 1);

    daemon.ask_to_end();
    let status = tokio::time::timeout(SOON, refusal(&mut inference))
        .await
        .unwrap();

    assert_eq!(status.code(), tonic::Code::Unavailable);
    let fault = status_to_fault(&status);
    assert_eq!(fault.code, Code::Leaving, "{fault}");
    // Without a session, too: nothing that this daemon knows is of use to who asks.
    let resolve = v1::ResolveGraphRequest {
        session_id: Some(v1::Id128::default()),
        reference: "slow".to_owned(),
    };
    let refused = inference.resolve_graph(resolve).await.unwrap_err();
    assert_eq!(status_to_fault(&refused).code, Code::Leaving);
    assert_eq!(running.await.unwrap().unwrap(), 1_f32.to_le_bytes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_is_ending_lets_nobody_in() {
    require_backends!();
    let daemon = daemon(Daemon::builder());
    let client = daemon.client();
    let graph = client.resolve("slow").await.unwrap();
    let mut inference = connected(&daemon.socket()).await;
    let running = tokio::spawn(async move { slow(&graph, 150_000, 1.0).await });
    until_in_flight(&daemon, 1);

    daemon.ask_to_end();
    tokio::time::timeout(SOON, refusal(&mut inference))
        .await
        .unwrap();

    let knocks = [
        (nn_proto::GRPC_SOCKET, SockType::Stream),
        (nn_proto::FD_SOCKET, SockType::SeqPacket),
    ];
    let answers = knocks.map(|(name, kind)| knock(&daemon.socket().with_file_name(name), kind));
    assert_eq!(answers, [Err(Errno::ECONNREFUSED); 2]);
    assert!(running.await.unwrap().is_ok());
}
