//! Threads that dial, and what waits for one. Both are bounded, and so is what one relay may have there.

use std::collections::VecDeque;
use std::hint::black_box;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use nn_shm::fds;
use nn_worker_wire::{DialFailure, Dialed, Endpoint, encode};

use crate::connect::{connect, is_late};

/// How many connections come about at a time.
const THREADS: usize = 16;

/// How many of them may wait for a name: a name server that does not answer leaves the others to addresses.
const RESOLVING_MAX: usize = 8;

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
    pub(crate) socket: OwnedFd,
    pub(crate) under_way: AtomicUsize,
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
    waiting: Mutex<VecDeque<Wanted>>,
    more: Condvar,
    resolving: AtomicUsize,
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
        let mut waiting = self
            .0
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= WAITING_MAX {
            return false;
        }
        under_way.fetch_add(1, Ordering::Relaxed);
        waiting.push_back(wanted);
        drop(waiting);
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
        }
    }

    fn next(&self) -> Wanted {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(wanted) = waiting.pop_front() {
                return wanted;
            }
            let woken = self.more.wait(waiting);
            waiting = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn dial(&self, endpoint: &Endpoint, deadline: Instant) -> Result<OwnedFd, DialFailure> {
        if is_late(deadline) {
            return Err(DialFailure::Late);
        }
        if endpoint.address().is_some() {
            return connect(endpoint, deadline);
        }
        let before = self.resolving.fetch_add(1, Ordering::Relaxed);
        let socket = if before < RESOLVING_MAX {
            connect(endpoint, deadline)
        } else {
            Err(DialFailure::Busy)
        };
        self.resolving.fetch_sub(1, Ordering::Relaxed);
        socket
    }
}

// === impl Relay ===

impl Relay {
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
