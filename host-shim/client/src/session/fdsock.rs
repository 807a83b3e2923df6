//! The descriptor socket: one protobuf message a packet, at most one descriptor with it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;
use std::time::Duration;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use nn_proto::v1;
use prost::Message;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::time::sleep;

/// Between two attempts at a socket whose queue of connections is full; the caller bounds their sum.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(5);

/// Descriptors that a packet may bring.
pub(super) const FDS_MAX: usize = 1;

/// tokio's stream type serves as the registration of a Unix socket with the reactor, whatever its kind;
/// packets go through nn-shm only.
#[derive(Debug)]
pub(super) struct FdSocket(pub(super) UnixStream);

/// What came in one packet.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) body: v1::fd_server_message::Body,
    pub(super) fd: Option<OwnedFd>,
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

// === impl FdSocket ===

impl FdSocket {
    pub(super) async fn connect(path: &Path) -> io::Result<Self> {
        let address = UnixAddr::new(path)?;
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
        loop {
            match connect(fd.as_raw_fd(), &address) {
                Ok(()) => break,
                Err(nix::Error::EAGAIN) => sleep(QUEUE_FULL_PAUSE).await,
                Err(nix::Error::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(Self(UnixStream::from_std(StdUnixStream::from(fd))?))
    }

    pub(super) async fn send(&self, body: v1::fd_client_message::Body) -> io::Result<()> {
        let bytes = v1::FdClientMessage { body: Some(body) }.encode_to_vec();
        let send = || nn_shm::fds::send(self.0.as_fd(), &bytes, &[]);
        self.0.async_io(Interest::WRITABLE, send).await
    }

    /// The next message; fails at the end of the connection too.
    pub(super) async fn recv(&self) -> io::Result<Received> {
        let mut buffer = [0; nn_proto::FD_PACKET_BYTES_MAX];
        let recv = || nn_shm::fds::recv(self.0.as_fd(), &mut buffer, FDS_MAX);
        let mut packet = self.0.async_io(Interest::READABLE, recv).await?;
        let bytes = buffer.get(..packet.len).unwrap_or_default();
        Received::of(bytes, packet.fds.pop())
    }
}

// === impl Received ===

impl Received {
    /// Reads a packet; one of no bytes is the end of the connection, and an error too.
    pub(super) fn of(bytes: &[u8], fd: Option<OwnedFd>) -> io::Result<Self> {
        if bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let message = v1::FdServerMessage::decode(bytes).map_err(io::Error::other)?;
        let body = message
            .body
            .ok_or_else(|| invalid("a packet without a message"))?;
        Ok(Self { body, fd })
    }
}
