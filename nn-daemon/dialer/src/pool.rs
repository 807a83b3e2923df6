//! Threads that dial, and what waits for one. Both are bounded, and so is what one relay may have there: each has its turn,
//! and those that want many connections at a time leave threads to the others.

use std::collections::VecDeque;
use std::hint::black_box;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use nn_shm::fds;
use nn_worker_wire::{DialFailure, Dialed, Endpoint, encode};

use crate::connect::{addresses, connect, is_late};

/// How many connections come about at a time.
const THREADS: usize = 16;

/// How many of them may wait for a name: a name server that does not answer leaves the others to addresses.
const RESOLVING_MAX: usize = 8;

/// How many threads one relay may have whatever else there is. More only as long as so many are free for others.
const OF_RELAY_DIALING: usize = 2;
const FREE_MIN: usize = 8;

/// The most that wait for a thread.
const WAITING_MAX: usize = 64;

/// The most of one relay, with those under way.
pub(crate) const OF_RELAY_MAX: usize = 8;

/// What a thread may use as its stack: the C library's resolver takes some of it.
const STACK_BYTES: usize = 512 * 1024;

/// How long a thread may take from its creation to its first step.
const START_MAX: Duration = Duration::from_secs(10);

/// A relay's end, and how much of it is under way.
#[derive(Debug)]
pub(crate) struct Relay {
    socket: OwnedFd,
    /// What it has asked for and was not told of.
    under_way: AtomicUsize,
    /// How many threads dial for it. Changes with the lock of what waits.
    dialing: AtomicUsize,
}

/// A connection that is wanted.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) relay: Arc<Relay>,
    pub(crate) turn: u64,
    pub(crate) endpoint: Endpoint,
    pub(crate) deadline: Instant,
}

/// The threads.
#[derive(Clone, Debug)]
pub struct Pool(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    turns: Mutex<Turns>,
    more: Condvar,
    resolving: AtomicUsize,
}

/// Who is next.
#[derive(Debug, Default)]
struct Turns {
    waiting: VecDeque<Wanted>,
    /// Threads that dial.
    busy: usize,
}

// === impl Pool ===

impl Pool {
    /// Starts all of them: none comes later, and none ends. Gives them when each has taken its first step.
    ///
    /// # Errors
    /// When the system starts none.
    pub fn start() -> io::Result<Self> {
        let pool = Self(Arc::default());
        let (begun, begins) = mpsc::sync_channel(THREADS);
        for number in 0..THREADS {
            let (shared, begun) = (Arc::clone(&pool.0), begun.clone());
            let thread = Builder::new()
                .name(format!("dial-{number}"))
                .stack_size(STACK_BYTES);
            thread.spawn(move || {
                // The first allocation of a thread gives it a part of the heap.
                drop(black_box(Box::new(0_u64)));
                let told = begun.send(());
                drop(begun);
                if told.is_ok() {
                    shared.work();
                }
            })?;
        }
        let late = |error: RecvTimeoutError| io::Error::other(error);
        for _ in 0..THREADS {
            begins.recv_timeout(START_MAX).map_err(late)?;
        }
        Ok(pool)
    }

    /// Has a connection made; false where there are too many.
    pub(crate) fn dial(&self, wanted: Wanted) -> bool {
        let under_way = &wanted.relay.under_way;
        if under_way.load(Ordering::Relaxed) >= OF_RELAY_MAX {
            return false;
        }
        let mut turns = self.0.turns();
        if turns.waiting.len() >= WAITING_MAX {
            return false;
        }
        under_way.fetch_add(1, Ordering::Relaxed);
        turns.waiting.push_back(wanted);
        drop(turns);
        self.0.more.notify_one();
        true
    }
}

// === impl Shared ===

impl Shared {
    fn work(&self) {
        loop {
            let Wanted {
                relay,
                turn,
                endpoint,
                deadline,
            } = self.next();
            let socket = self.dial(&endpoint, deadline);
            relay.answer(turn, socket);
            relay.under_way.fetch_sub(1, Ordering::Relaxed);
            self.turns().end(&relay);
            // Whoever waits for that relay's turn may begin, and others that waited for a thread to be free.
            self.more.notify_all();
        }
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Wanted {
        let mut turns = self.turns();
        loop {
            if let Some(wanted) = turns.begin() {
                return wanted;
            }
            let woken = self.more.wait(turns);
            turns = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn dial(&self, endpoint: &Endpoint, deadline: Instant) -> Result<OwnedFd, DialFailure> {
        if is_late(deadline) {
            return Err(DialFailure::Late);
        }
        connect(self.addresses(endpoint)?, deadline)
    }

    /// Connecting is not counted here: an endpoint that does not answer keeps nobody from asking for names.
    fn addresses(&self, endpoint: &Endpoint) -> Result<Vec<SocketAddr>, DialFailure> {
        if endpoint.address().is_some() {
            return addresses(endpoint);
        }
        let before = self.resolving.fetch_add(1, Ordering::Relaxed);
        let found = if before < RESOLVING_MAX {
            addresses(endpoint)
        } else {
            Err(DialFailure::Busy)
        };
        self.resolving.fetch_sub(1, Ordering::Relaxed);
        found
    }
}

// === impl Turns ===

impl Turns {
    /// Of those that may begin, the first of the relay with the fewest threads.
    fn begin(&mut self) -> Option<Wanted> {
        let free = THREADS.saturating_sub(self.busy);
        let each = self.waiting.iter().map(|one| one.relay.dialing());
        let may = |&(_, dialing): &(usize, usize)| dialing < OF_RELAY_DIALING || free > FREE_MIN;
        let next = each.enumerate().filter(may).min_by_key(|of| of.1);
        let wanted = next.and_then(|(index, _)| self.waiting.remove(index))?;
        wanted.relay.dialing.fetch_add(1, Ordering::Relaxed);
        self.busy = self.busy.saturating_add(1);
        Some(wanted)
    }

    fn end(&mut self, relay: &Relay) {
        relay.dialing.fetch_sub(1, Ordering::Relaxed);
        self.busy = self.busy.saturating_sub(1);
    }
}

// === impl Relay ===

impl Relay {
    /// With its end of a socket, which does not wait.
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            under_way: AtomicUsize::new(0),
            dialing: AtomicUsize::new(0),
        }
    }

    /// Its end.
    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn dialing(&self) -> usize {
        self.dialing.load(Ordering::Relaxed)
    }

    /// Tells it what came of it. A relay that takes no answers gets none: its socket does not wait.
    pub(crate) fn answer(&self, turn: u64, socket: Result<OwnedFd, DialFailure>) -> bool {
        let (result, socket) = match socket {
            Ok(socket) => (Ok(()), Some(socket)),
            Err(failure) => (Err(failure), None),
        };
        let Ok(frame) = encode(&Dialed { turn, result }) else {
            return false;
        };
        let sockets: Vec<_> = socket.iter().map(AsFd::as_fd).collect();
        fds::send(self.socket.as_fd(), &frame, &sockets).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relay() -> Arc<Relay> {
        Arc::new(Relay::new(fds::pair().unwrap().0))
    }

    fn wanted(relay: &Arc<Relay>, turn: u64) -> Wanted {
        Wanted {
            relay: Arc::clone(relay),
            turn,
            endpoint: Endpoint::parse("127.0.0.1:1").unwrap(),
            deadline: Instant::now(),
        }
    }

    #[test]
    fn however_many_want_much_others_have_their_turn() {
        let mut turns = Turns::default();
        let greedy = [relay(), relay()];
        for one in &greedy {
            turns.waiting.extend((0..8).map(|turn| wanted(one, turn)));
        }
        let mut begun = 0;
        while turns.begin().is_some() {
            begun += 1;
        }
        // Side by side, as long as there is room for others.
        assert_eq!((begun, turns.busy), (8, 8));
        assert!(greedy.iter().all(|one| one.dialing() == 4));
        let other = relay();
        turns
            .waiting
            .extend((0..3).map(|turn| wanted(&other, turn)));
        let next = turns.begin().unwrap();
        assert!(Arc::ptr_eq(&next.relay, &other));
        assert!(turns.begin().is_some());
        assert!(turns.begin().is_none(), "two of it, with others waiting");
        for _ in 0..3 {
            turns.end(&greedy[0]);
        }
        assert!(Arc::ptr_eq(&turns.begin().unwrap().relay, &greedy[0]));
    }

    #[test]
    fn one_alone_has_many_side_by_side() {
        let mut turns = Turns::default();
        let one = relay();
        turns.waiting.extend((0..8).map(|turn| wanted(&one, turn)));
        let order: Vec<u64> = std::iter::from_fn(|| turns.begin().map(|of| of.turn)).collect();
        assert_eq!(order, (0..8).collect::<Vec<_>>());
    }
}
