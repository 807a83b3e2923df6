//! A socket of frames that is waited for besides others.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, OwnedFd};

use nn_shm::fds;
use nn_worker_base::Exit;
use nn_worker_wire::{FRAME_BYTES_MAX, FromWorker, Interrupt, ToWorker, decode, encode};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::Notify;

/// The most frames that wait for a daemon that does not read: more than there can be jobs and segments in question.
const WAITING_MAX: usize = 4096;

/// One that frames of this type come over.
#[derive(Debug)]
pub(crate) struct Packets<T> {
    /// Its stream methods are not used: packets go by `nn_shm::fds`.
    socket: UnixStream,
    fds_max: usize,
    waiting: RefCell<VecDeque<Vec<u8>>>,
    more: Notify,
    frames: PhantomData<T>,
}

/// A frame, and its descriptors.
pub(crate) type Received<T> = (T, Vec<OwnedFd>);

// === impl Packets ===

impl<T> Packets<T> {
    /// Over this socket, which does not wait, and whose frames bring at most so many descriptors. On a runtime's thread.
    pub(crate) fn new(socket: OwnedFd, fds_max: usize) -> Result<Self, Exit> {
        let socket = std::os::unix::net::UnixStream::from(socket);
        let socket = UnixStream::from_std(socket).map_err(Exit::system("epoll_ctl"))?;
        Ok(Self {
            socket,
            fds_max,
            waiting: RefCell::default(),
            more: Notify::new(),
            frames: PhantomData,
        })
    }

    /// Says something, now, or behind what waits already.
    pub(crate) fn send(&self, frame: &FromWorker) -> Result<(), Exit> {
        let bytes = encode(frame).map_err(|error| Exit::System {
            call: "writing a frame",
            source: io::Error::other(error),
        })?;
        let mut waiting = self.waiting.borrow_mut();
        if waiting.is_empty() {
            match fds::send(self.socket.as_fd(), &bytes, &[]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return sent.map_err(broken),
            }
        }
        if waiting.len() >= WAITING_MAX {
            let what = format!("{WAITING_MAX} frames that it does not read");
            return Err(Exit::Protocol(what));
        }
        waiting.push_back(bytes);
        self.more.notify_one();
        Ok(())
    }

    /// Sends what waits, for as long as this is waited for.
    pub(crate) async fn flush(&self) -> Exit {
        loop {
            self.more.notified().await;
            loop {
                let Some(first) = self.waiting.borrow().front().cloned() else {
                    break;
                };
                let send = || fds::send(self.socket.as_fd(), &first, &[]);
                if let Err(error) = self.socket.async_io(Interest::WRITABLE, send).await {
                    return broken(error);
                }
                self.waiting.borrow_mut().pop_front();
            }
        }
    }
}

impl<T: Frame> Packets<T> {
    /// Waits for the next frame. Nothing is lost when it is dropped before its end.
    pub(crate) async fn recv(&self, buffer: &mut Buffer) -> Result<Received<T>, Exit> {
        let recv = || fds::recv(self.socket.as_fd(), &mut buffer.0, self.fds_max);
        let packet = self.socket.async_io(Interest::READABLE, recv).await;
        let packet = packet.map_err(broken)?;
        if packet.len == 0 {
            return Err(Exit::Clean);
        }
        let bytes = buffer.0.get(..packet.len).unwrap_or_default();
        Ok((T::read(bytes)?, packet.fds))
    }
}

/// Room for the longest frame.
#[derive(Debug)]
pub(crate) struct Buffer(Box<[u8]>);

impl Default for Buffer {
    fn default() -> Self {
        Self(vec![0; FRAME_BYTES_MAX].into_boxed_slice())
    }
}

/// What comes as a frame.
pub(crate) trait Frame: Sized {
    fn read(bytes: &[u8]) -> Result<Self, Exit>;
}

impl Frame for ToWorker {
    fn read(bytes: &[u8]) -> Result<Self, Exit> {
        decode(bytes).map_err(Exit::protocol)
    }
}

impl Frame for Interrupt {
    fn read(bytes: &[u8]) -> Result<Self, Exit> {
        decode(bytes).map_err(Exit::protocol)
    }
}

fn broken(error: io::Error) -> Exit {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Exit::Clean,
        io::ErrorKind::InvalidData => Exit::protocol(error),
        _ => Exit::system("a socket of the daemon's")(error),
    }
}
