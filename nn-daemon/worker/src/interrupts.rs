//! The second thread: it waits for interrupts, also while the first one computes, and stops the job that is meant if it
//! is the one at hand. One that has yet to begin is remembered, so that it does not.
//!
//! ```text
//! main thread       begin(job) ─▶ run ─▶ end()          (a mutex that nobody else wants, twice a job)
//! this thread       recvmsg on descriptor 4 ─▶ the job at hand? interrupt the framework : remember
//! ```
//!
//! It is made before the seal and never ends: a thread that ends makes calls that no sealed process may make.

use std::hint::black_box;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Builder};
use std::time::Duration;

use nn_backend::Interrupt as Stop;
use nn_shm::fds;
use nn_worker_wire::{Interrupt, decode};

use nn_worker_base::{Exit, log};

use crate::queue::JOBS_MAX;

/// How long the thread may take from its creation to its first step.
const START_MAX: Duration = Duration::from_secs(10);

/// What it may use as its stack. It counts as the worker's data, used or not.
const STACK_BYTES: usize = 256 * 1024;

/// Longer than any interrupt.
const PACKET_BYTES_MAX: usize = 64;

/// What both threads know of the job at hand.
#[derive(Debug, Default)]
pub(crate) struct Interrupts(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Stops a run.
    stop: Option<Arc<dyn Stop>>,
    /// The job that has begun and not ended.
    at_hand: Option<u64>,
    /// The latest job that has begun. They begin in the order of their numbers.
    latest: u64,
    /// Whether the one at hand has been interrupted.
    hit: bool,
    /// Jobs that are not to begin, at most [`JOBS_MAX`].
    early: Vec<u64>,
}

// === impl Interrupts ===

impl Interrupts {
    /// Starts the thread that listens on this socket.
    pub(crate) fn listen(socket: OwnedFd) -> Result<Arc<Self>, Exit> {
        let state = State {
            early: Vec::with_capacity(JOBS_MAX),
            ..State::default()
        };
        let interrupts = Arc::new(Self(Mutex::new(state)));
        let shared = Arc::clone(&interrupts);
        let (begun, begins) = mpsc::sync_channel(1);
        let thread = Builder::new()
            .name("interrupts".to_owned())
            .stack_size(STACK_BYTES);
        let started = thread.spawn(move || {
            // The first allocation of a thread gives it a part of the heap.
            drop(black_box(Box::new(0_u64)));
            if begun.send(()).is_ok() {
                drop(begun);
                take_all(&socket, &shared);
            }
        });
        started.map_err(Exit::system("starting the thread of interrupts"))?;
        let late = |error: RecvTimeoutError| {
            Exit::system("waiting for the thread of interrupts")(io::Error::other(error))
        };
        begins.recv_timeout(START_MAX).map_err(late)?;
        Ok(interrupts)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs from here on are stopped by this.
    pub(crate) fn stop_by(&self, stop: Arc<dyn Stop>) {
        self.state().stop = Some(stop);
    }

    /// Jobs that are not to begin, of those that have not.
    pub(crate) fn early(&self) -> Vec<u64> {
        // Without an allocation where there are none.
        self.state().early.clone()
    }

    /// A job begins; false if it is not to.
    pub(crate) fn begin(&self, job: u64) -> bool {
        self.state().begin(job)
    }

    /// The job at hand has ended.
    pub(crate) fn end(&self) {
        self.state().end();
    }
}

// === impl State ===

impl State {
    fn begin(&mut self, job: u64) -> bool {
        self.latest = self.latest.max(job);
        let is_wanted = !self.early.contains(&job);
        let latest = self.latest;
        self.early.retain(|&early| early > latest);
        self.at_hand = is_wanted.then_some(job);
        is_wanted
    }

    fn end(&mut self) {
        self.at_hand = None;
        // Under the lock: no interrupt of this job reaches the next one.
        if std::mem::take(&mut self.hit)
            && let Some(stop) = &self.stop
        {
            stop.rearm();
        }
    }

    fn interrupt(&mut self, job: u64) {
        if self.at_hand == Some(job) {
            self.hit = true;
            if let Some(stop) = &self.stop {
                stop.interrupt();
            }
        } else if job > self.latest && !self.early.contains(&job) {
            // The daemon's window is smaller: what is pushed out here is a job that will never come.
            if self.early.len() >= JOBS_MAX {
                self.early.remove(0);
            }
            self.early.push(job);
        }
    }
}

/// Takes interrupts for as long as the process lives.
fn take_all(socket: &OwnedFd, interrupts: &Interrupts) {
    let mut buffer = [0; PACKET_BYTES_MAX];
    loop {
        let packet = match fds::recv(socket.as_fd(), &mut buffer, 0) {
            // The daemon is gone, which the other socket tells the other thread.
            Ok(packet) if packet.len == 0 => break,
            Ok(packet) => packet,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
            Err(error) => give_up(&Exit::system("the socket of interrupts")(error)),
        };
        let bytes = buffer.get(..packet.len).unwrap_or_default();
        match decode::<Interrupt>(bytes) {
            Ok(Interrupt { job }) => interrupts.state().interrupt(job),
            Err(error) => give_up(&Exit::protocol(error)),
        }
    }
    loop {
        thread::park();
    }
}

fn give_up(exit: &Exit) -> ! {
    log::last(&exit.to_string());
    fds::exit_now(exit.code())
}

#[cfg(test)]
mod tests {
    use nn_backend::Flag;

    use super::*;

    fn state() -> (State, Arc<Flag>) {
        let flag = Arc::new(Flag::default());
        let state = State {
            stop: Some(Arc::clone(&flag) as Arc<dyn Stop>),
            ..State::default()
        };
        (state, flag)
    }

    #[test]
    fn the_job_at_hand_is_stopped_and_the_next_one_is_not() {
        let (mut state, flag) = state();
        assert!(state.begin(1));
        state.interrupt(1);
        assert!(flag.is_set());
        state.end();
        assert!(state.begin(2));
        assert!(!flag.is_set());
    }

    #[test]
    fn a_job_that_is_interrupted_before_it_begins_does_not_begin() {
        let (mut state, flag) = state();
        assert!(state.begin(1));
        state.interrupt(2);
        assert!(!flag.is_set());
        state.end();
        assert!(!state.begin(2));
        assert!(state.begin(3));
        assert!(state.early.is_empty());
    }

    #[test]
    fn an_interrupt_of_a_job_that_has_ended_stops_nothing() {
        let (mut state, flag) = state();
        assert!(state.begin(1));
        state.end();
        state.interrupt(1);
        assert!(state.begin(2));
        state.interrupt(1);
        assert!(!flag.is_set());
    }

    #[test]
    fn only_so_many_interrupts_are_remembered() {
        let (mut state, _) = state();
        (1..100).for_each(|job| state.interrupt(job));
        assert_eq!(state.early.len(), JOBS_MAX);
        assert!(!state.begin(99));
    }
}
