//! A `SOCK_SEQPACKET` socket in tokio: packets with descriptors, in the order they are sent.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{Shutdown, shutdown};
use nn_shm::fds::{self, Packet};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::Mutex;

/// One end of a packet connection.
#[derive(Debug)]
pub(crate) struct PacketSocket {
    /// tokio's handle of a connected Unix socket. Its stream methods are not used: packets go by
    /// `nn_shm::fds`.
    socket: UnixStream,
    /// Held while a packet waits for room, so that packets leave in order.
    sending: Mutex<()>,
}

impl PacketSocket {
    /// Takes a connected socket and makes it non-blocking.
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Self> {
        // Not by `set_nonblocking`, which takes an ioctl: the daemon's jail has none.
        let flags = OFlag::from_bits_retain(fcntl(&fd, FcntlArg::F_GETFL)?);
        fcntl(&fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        let socket = std::os::unix::net::UnixStream::from(fd);
        Ok(Self {
            socket: UnixStream::from_std(socket)?,
            sending: Mutex::new(()),
        })
    }

    /// Sends one packet; waits while the peer's buffer is full.
    pub(crate) async fn send(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let _in_order = self.sending.lock().await;
        let send = || fds::send(self.socket.as_fd(), bytes, fds);
        self.socket.async_io(Interest::WRITABLE, send).await
    }

    /// Ends the connection in both directions, whoever else holds this socket.
    pub(crate) fn close(&self) {
        // A connection that has ended already is what is wanted.
        let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Both);
    }

    /// Takes the next packet. Safe to drop at any time: nothing is read then.
    pub(crate) async fn recv(&self, buffer: &mut [u8], fds_max: usize) -> io::Result<Packet> {
        let recv = || fds::recv(self.socket.as_fd(), buffer, fds_max);
        self.socket.async_io(Interest::READABLE, recv).await
    }
}
