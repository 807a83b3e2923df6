//! How connections come: the relay asks the dialer, on the one socket that it was given for that, and gets a connected
//! socket back. It has no other way to any network. ADR 36.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use nn_shm::fds;
use nn_tensor::Reason;
use nn_worker_wire::{CONNECT_MS_MAX, Dial, DialFailure, Dialed, decode, encode};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::task::spawn_local;
use tokio::time::timeout;

use super::failed::Failed;

/// Longer than any answer.
const PACKET_BYTES_MAX: usize = 256;

/// How much longer than it was told the dialer may take to say that it was too long.
const GRACE: Duration = Duration::from_millis(500);

/// The dialer's other end.
#[derive(Clone, Debug)]
pub struct Dialer(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Its stream methods are not used: packets go by `nn_shm::fds`.
    socket: UnixStream,
    waiting: RefCell<HashMap<u64, oneshot::Sender<Answer>>>,
    turns: Cell<u64>,
    is_gone: Cell<bool>,
}

type Answer = Result<OwnedFd, DialFailure>;

// === impl Dialer ===

impl Dialer {
    /// Over this socket, which does not wait. On a runtime's thread, in a set of tasks of that thread alone.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        let shared = Rc::new(Shared {
            socket: UnixStream::from_std(socket.into())?,
            waiting: RefCell::default(),
            turns: Cell::default(),
            is_gone: Cell::default(),
        });
        let reader = Rc::clone(&shared);
        spawn_local(async move {
            let _ended = reader.read_all().await;
            // Whoever waits is told by the end of its sender.
            reader.is_gone.set(true);
            reader.waiting.borrow_mut().clear();
        });
        Ok(Self(shared))
    }

    /// A connection to this endpoint.
    pub async fn dial(&self, endpoint: &str, within: Duration) -> Result<TcpStream, Failed> {
        let shared = &self.0;
        let gone = || unreachable("the dialer is gone").blameless();
        if shared.is_gone.get() {
            return Err(gone());
        }
        let turn = shared.turns.get().wrapping_add(1);
        shared.turns.set(turn);
        let timeout_ms = u32::try_from(within.as_millis()).unwrap_or(CONNECT_MS_MAX);
        let frame = encode(&Dial {
            turn,
            endpoint: endpoint.to_owned(),
            timeout_ms: timeout_ms.clamp(1, CONNECT_MS_MAX),
        });
        let frame = frame.map_err(|error| unreachable(&error.to_string()).blameless())?;
        let (sender, answer) = oneshot::channel();
        shared.waiting.borrow_mut().insert(turn, sender);
        let _forget = Forget { shared, turn };
        fds::send(shared.socket.as_fd(), &frame, &[])
            .map_err(|error| unreachable(&format!("asking the dialer: {error}")).blameless())?;
        let answer = timeout(within.saturating_add(GRACE), answer).await;
        let answer = answer.map_err(|_| unreachable("the dialer did not answer"))?;
        let socket = answer.map_err(|_| gone())?;
        let socket = socket.map_err(|failure| told(endpoint, failure))?;
        Ok(TcpStream::from(socket))
    }
}

// === impl Shared ===

impl Shared {
    /// Ends with the socket.
    async fn read_all(&self) -> io::Result<()> {
        let mut buffer = [0; PACKET_BYTES_MAX];
        loop {
            let recv = || fds::recv(self.socket.as_fd(), &mut buffer, 1);
            let packet = self.socket.async_io(Interest::READABLE, recv).await?;
            if packet.len == 0 {
                return Ok(());
            }
            let bytes = buffer.get(..packet.len).unwrap_or_default();
            let Dialed { turn, result } = decode(bytes).map_err(io::Error::other)?;
            let answer = match (result, packet.fds.into_iter().next()) {
                (Ok(()), Some(socket)) => Ok(socket),
                (Ok(()), None) => Err(DialFailure::System),
                (Err(failure), _) => Err(failure),
            };
            // One that nobody waits for any more is closed here.
            if let Some(sender) = self.waiting.borrow_mut().remove(&turn) {
                let _ = sender.send(answer);
            }
        }
    }
}

/// Takes back a question, however it ended.
struct Forget<'a> {
    shared: &'a Shared,
    turn: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.shared.waiting.borrow_mut().remove(&self.turn);
    }
}

fn unreachable(detail: &str) -> Failed {
    Failed::unsent(Reason::RemoteUnreachable, detail)
}

fn told(endpoint: &str, failure: DialFailure) -> Failed {
    let (got, blames) = match failure {
        DialFailure::NotAllowed => ("an endpoint that [remote] endpoints does not name", true),
        DialFailure::NoAddress => ("a host without an address", true),
        DialFailure::Refused => ("nobody who listens there", true),
        DialFailure::Late => ("nobody who answers in time", true),
        DialFailure::Busy => ("too many connections under way", false),
        DialFailure::System => ("an error of this machine", false),
    };
    let failed = unreachable(&format!("{endpoint}: {failure:?}"));
    let failed = failed.expected("an endpoint that answers").got(got);
    if blames { failed } else { failed.blameless() }
}
