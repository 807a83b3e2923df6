//! A session of a client that speaks nn.v1 by hand, to say what an honest one never would.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, socket,
};
use nn_proto::v1;
use nn_proto::v1::inference_client::InferenceClient;
use prost::Message;
use tonic::transport::Channel;

use crate::daemon::Daemon;

/// A session of the default tenant; it ends with its descriptor connection, when this is dropped.
#[derive(Debug)]
pub struct RawSession {
    /// Calls of the service.
    pub rpc: InferenceClient<Channel>,
    /// What each call names.
    pub id: v1::Id128,
    _fds: OwnedFd,
}

impl RawSession {
    /// Opens one on that connection, and claims it.
    ///
    /// # Panics
    /// When the daemon does not let it.
    pub async fn open(daemon: &Daemon, channel: Channel) -> Self {
        let mut rpc = InferenceClient::new(channel);
        let request = v1::OpenSessionRequest {
            protocol_version: nn_proto::PROTOCOL_VERSION,
            tenant: String::new(),
        };
        let opened = rpc.open_session(request).await.expect("a session");
        let opened = opened.into_inner();
        let fds = claim(daemon, &opened).expect("a connection for descriptors");
        Self {
            rpc,
            id: opened.session_id.expect("its number"),
            _fds: fds,
        }
    }
}

fn claim(daemon: &Daemon, opened: &v1::OpenSessionResponse) -> nix::Result<OwnedFd> {
    let kind = SockType::SeqPacket;
    let fds = socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC, None)?;
    let path = daemon.socket().with_file_name(nn_proto::FD_SOCKET);
    connect(fds.as_raw_fd(), &UnixAddr::new(&path)?)?;
    let hello = v1::FdHello {
        session_id: opened.session_id,
        fd_token: opened.fd_token,
    };
    let body = Some(v1::fd_client_message::Body::Hello(hello));
    let packet = v1::FdClientMessage { body }.encode_to_vec();
    send(fds.as_raw_fd(), &packet, MsgFlags::empty())?;
    let mut answer = [0; nn_proto::FD_PACKET_BYTES_MAX];
    let len = recv(fds.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    assert!(len > 0, "the session was not for us");
    Ok(fds)
}
