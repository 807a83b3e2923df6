//! The loop: the daemon brings relays' sockets, relays ask for connections. What is not on the list is refused here, before
//! anything of it is looked up.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nn_shm::fds;
use nn_worker_wire::{CONNECT_MS_MAX, Dial, DialFailure, FromDialer, ToDialer, decode, encode};

use crate::pool::{Relay, Wanted};
use crate::{Allowed, Exit, Pool};

/// The most relays at a time.
const RELAYS_MAX: usize = 256;

/// Longer than any frame but the first.
const PACKET_BYTES_MAX: usize = 1024;

/// The most frames of one relay before the others have their turn.
const FRAMES_AT_ONCE: usize = 16;

/// Serves until the daemon's socket closes.
#[must_use]
pub fn serve(socket: &OwnedFd, allowed: &Allowed, pool: &Pool) -> Exit {
    let mut desk = Desk {
        socket,
        allowed,
        pool,
        relays: HashMap::new(),
        buffer: vec![0; PACKET_BYTES_MAX],
    };
    loop {
        if let Err(exit) = desk.step() {
            return exit;
        }
    }
}

struct Desk<'a> {
    socket: &'a OwnedFd,
    allowed: &'a Allowed,
    pool: &'a Pool,
    relays: HashMap<u32, Arc<Relay>>,
    buffer: Vec<u8>,
}

/// Why a relay's socket is closed: empty where it went by itself.
type Closed = String;

// === impl Desk ===

impl Desk<'_> {
    /// Waits until something is there, and takes it.
    fn step(&mut self) -> Result<(), Exit> {
        let order: Vec<u32> = self.relays.keys().copied().collect();
        let sockets = order.iter().filter_map(|relay| self.relays.get(relay));
        let sockets = sockets.map(|relay| relay.socket());
        let all = std::iter::once(self.socket.as_fd()).chain(sockets);
        let mut polled: Vec<PollFd<'_>> = all
            .map(|socket| PollFd::new(socket, PollFlags::POLLIN))
            .collect();
        match poll(&mut polled, PollTimeout::NONE) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(()),
            Err(errno) => return Err(Exit::System("poll", errno.into())),
        }
        let is_there = |one: &PollFd<'_>| one.revents().is_some_and(|events| !events.is_empty());
        let is_there: Vec<bool> = polled.iter().map(is_there).collect();
        if is_there.first() == Some(&true) {
            self.daemon()?;
        }
        for (relay, is_there) in order.into_iter().zip(is_there.into_iter().skip(1)) {
            if is_there && let Some(why) = self.relay(relay) {
                self.relays.remove(&relay);
                self.tell(&FromDialer::Closed { relay, why })?;
            }
        }
        Ok(())
    }

    /// A frame of the daemon's.
    fn daemon(&mut self) -> Result<(), Exit> {
        let packet = fds::try_recv(self.socket.as_fd(), &mut self.buffer, 1);
        let packet = packet.map_err(|error| broken(&error))?;
        let Some(packet) = packet else {
            return Ok(());
        };
        if packet.len == 0 {
            return Err(Exit::Clean);
        }
        let bytes = self.buffer.get(..packet.len).unwrap_or_default();
        let frame = decode(bytes).map_err(|error| Exit::Protocol(error.to_string()))?;
        let (ToDialer::Relay { relay }, Some(socket)) = (frame, packet.fds.into_iter().next())
        else {
            return Err(Exit::Protocol("a frame out of place".to_owned()));
        };
        if self.relays.len() >= RELAYS_MAX {
            return self.tell(&FromDialer::Full { relay });
        }
        let set = fcntl(&socket, FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
        set.map_err(|errno| Exit::System("fcntl", errno.into()))?;
        let before = self.relays.insert(relay, Arc::new(Relay::new(socket)));
        if before.is_some() {
            return Err(Exit::Protocol(format!("relay {relay} twice")));
        }
        Ok(())
    }

    fn tell(&self, frame: &FromDialer) -> Result<(), Exit> {
        let bytes = encode(frame).map_err(|error| Exit::Protocol(error.to_string()))?;
        fds::send(self.socket.as_fd(), &bytes, &[]).map_err(|error| broken(&error))
    }

    /// What a relay has to say; why it is to be closed, if it is.
    fn relay(&mut self, number: u32) -> Option<Closed> {
        let relay = Arc::clone(self.relays.get(&number)?);
        for _ in 0..FRAMES_AT_ONCE {
            // No descriptor may come with a question, and none is taken.
            let packet = match fds::try_recv(relay.socket(), &mut self.buffer, 0) {
                Ok(Some(packet)) if packet.len > 0 => packet,
                Ok(None) => return None,
                Ok(Some(_)) => return Some(Closed::new()),
                Err(error) if is_gone(&error) => return Some(Closed::new()),
                Err(error) => return Some(error.to_string()),
            };
            let bytes = self.buffer.get(..packet.len).unwrap_or_default();
            let Ok(dial) = decode::<Dial>(bytes) else {
                return Some("bytes that are no frame".to_owned());
            };
            let turn = dial.turn;
            if let Some(failure) = self.ask(&relay, &dial)
                && !relay.answer(turn, Err(failure))
            {
                return Some("it asks, and takes no answers".to_owned());
            }
        }
        None
    }

    /// Has it dialed, or says why not.
    fn ask(&self, relay: &Arc<Relay>, dial: &Dial) -> Option<DialFailure> {
        let Some(endpoint) = self.allowed.find(&dial.endpoint) else {
            return Some(DialFailure::NotAllowed);
        };
        let within = Duration::from_millis(dial.timeout_ms.min(CONNECT_MS_MAX).into());
        let wanted = Wanted {
            relay: Arc::clone(relay),
            turn: dial.turn,
            endpoint: endpoint.clone(),
            deadline: Instant::now() + within,
        };
        (!self.pool.dial(wanted)).then_some(DialFailure::Busy)
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}

fn broken(error: &io::Error) -> Exit {
    if is_gone(error) {
        Exit::Clean
    } else if error.kind() == io::ErrorKind::InvalidData {
        Exit::Protocol(error.to_string())
    } else {
        let again = io::Error::new(error.kind(), error.to_string());
        Exit::System("the daemon's socket", again)
    }
}
