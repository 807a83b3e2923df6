//! The control socket as frames. Its end is the end of the process.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nn_shm::fds::{self, Packet};
use nn_worker_wire::{FRAME_BYTES_MAX, FromWorker, ToWorker, decode, encode};

use crate::exit::Exit;

/// The most descriptors a frame brings: the parts of a model.
pub const FDS_MAX: usize = 16;

/// A frame and its descriptors.
pub type Received = (ToWorker, Vec<OwnedFd>);

/// The daemon's connection.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
    buffer: Box<[u8]>,
}

// === impl Channel ===

impl Channel {
    /// Over this socket.
    #[must_use]
    pub fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            buffer: vec![0; FRAME_BYTES_MAX].into_boxed_slice(),
        }
    }

    /// Waits for the next frame.
    pub fn recv(&mut self) -> Result<Received, Exit> {
        let packet = fds::recv(self.socket.as_fd(), &mut self.buffer, FDS_MAX);
        self.read(packet.map_err(broken)?)
    }

    /// The next frame, if one is there.
    pub fn try_recv(&mut self) -> Result<Option<Received>, Exit> {
        let packet = fds::try_recv(self.socket.as_fd(), &mut self.buffer, FDS_MAX);
        packet
            .map_err(broken)?
            .map(|packet| self.read(packet))
            .transpose()
    }

    /// The socket itself, where a process waits for more than this.
    #[must_use]
    pub fn into_socket(self) -> OwnedFd {
        self.socket
    }

    fn read(&self, packet: Packet) -> Result<Received, Exit> {
        if packet.len == 0 {
            return Err(Exit::Clean);
        }
        let bytes = self.buffer.get(..packet.len).unwrap_or_default();
        let frame = decode(bytes).map_err(Exit::protocol)?;
        Ok((frame, packet.fds))
    }

    /// Answers.
    pub fn send(&self, frame: &FromWorker) -> Result<(), Exit> {
        let bytes = encode(frame).map_err(|error| Exit::System {
            call: "writing a frame",
            source: io::Error::other(error),
        })?;
        fds::send(self.socket.as_fd(), &bytes, &[]).map_err(broken)
    }
}

fn broken(error: io::Error) -> Exit {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Exit::Clean,
        io::ErrorKind::InvalidData => Exit::protocol(error),
        _ => Exit::system("the control socket")(error),
    }
}
