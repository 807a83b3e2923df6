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

    /// Sends what waits, for as long as this is waited for. It may be dropped and begun anew.
    pub(crate) async fn flush(&self) -> Exit {
        loop {
            while !self.waiting.borrow().is_empty() {
                let sent = self
                    .socket
                    .async_io(Interest::WRITABLE, || self.send_first());
                if let Err(error) = sent.await {
                    return broken(error);
                }
            }
            self.more.notified().await;
        }
    }

    /// Sent and taken out in one: nobody else finds it in between.
    fn send_first(&self) -> io::Result<()> {
        let mut waiting = self.waiting.borrow_mut();
        if let Some(first) = waiting.front() {
            fds::send(self.socket.as_fd(), first, &[])?;
            waiting.pop_front();
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    use nix::sys::socket::{MsgFlags, recv, setsockopt, sockopt};
    use tokio::task::LocalSet;
    use tokio::time::{Duration, timeout};

    use super::*;

    const FRAMES: u64 = 500;

    /// One whose other end has little room.
    fn narrow() -> (Packets<ToWorker>, OwnedFd) {
        let (ours, theirs) = fds::pair().unwrap();
        setsockopt(&ours, sockopt::SndBuf, &1).unwrap();
        fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        (Packets::new(ours, 0).unwrap(), theirs)
    }

    fn frame(number: u64) -> FromWorker {
        FromWorker::Grow {
            arena: number,
            bytes_min: 1,
        }
    }

    /// What has come so far, by its numbers.
    fn come(socket: &OwnedFd) -> Vec<u64> {
        let mut bytes = [0; 256];
        let mut come = Vec::new();
        while let Ok(len) = recv(socket.as_raw_fd(), &mut bytes, MsgFlags::MSG_DONTWAIT) {
            match decode(&bytes[..len]).unwrap() {
                FromWorker::Grow { arena, .. } => come.push(arena),
                other => panic!("{other:?}"),
            }
        }
        come
    }

    fn local(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        LocalSet::new().block_on(&runtime.unwrap(), test);
    }

    /// Reads until all are there.
    async fn all(theirs: &OwnedFd) -> Vec<u64> {
        let mut come_all = Vec::new();
        let whole = async {
            while come_all.len() < usize::try_from(FRAMES).unwrap() {
                come_all.extend(come(theirs));
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let in_time = timeout(Duration::from_secs(30), whole).await;
        assert!(in_time.is_ok(), "{} frames", come_all.len());
        come_all
    }

    #[test]
    fn frames_for_one_that_does_not_read_come_once_and_in_order_whoever_flushes() {
        local(async {
            let (packets, theirs) = narrow();
            let packets = std::rc::Rc::new(packets);
            for _ in 0..2 {
                let packets = std::rc::Rc::clone(&packets);
                tokio::task::spawn_local(async move { packets.flush().await });
            }
            for number in 0..FRAMES {
                packets.send(&frame(number)).unwrap();
                tokio::task::yield_now().await;
            }
            assert_eq!(all(&theirs).await, (0..FRAMES).collect::<Vec<_>>());
        });
    }

    #[test]
    fn one_that_is_dropped_while_it_flushes_leaves_nothing_behind() {
        local(async {
            let (packets, theirs) = narrow();
            for number in 0..FRAMES {
                packets.send(&frame(number)).unwrap();
            }
            // It has been told that there is more, and is gone.
            let dropped = timeout(Duration::from_millis(20), packets.flush()).await;
            assert!(dropped.is_err());
            let come = tokio::select! {
                exit = packets.flush() => panic!("{exit}"),
                come = all(&theirs) => come,
            };
            assert_eq!(come, (0..FRAMES).collect::<Vec<_>>());
        });
    }
}
