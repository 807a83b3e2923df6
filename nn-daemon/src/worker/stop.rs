//! Jobs that are to end before they are done. The worker hears of it on a socket of its own, which it also reads while
//! it computes; where the framework does not listen, the worker is killed. Who wanted it is counted.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nn_shm::fds;
use nn_worker_wire as wire;
use tokio::time::Instant;

use super::{InFlight, Worker};
use crate::queue::Wanted;

/// The daemon's end of the socket of interrupts.
#[derive(Debug)]
pub(super) struct Interrupts(OwnedFd);

/// How often a compute was stopped while its worker lived on, by who wanted it; since the daemon's start.
#[derive(Debug, Default)]
pub(crate) struct Stops {
    deadline: AtomicU64,
    cancelled: AtomicU64,
    session_ended: AtomicU64,
    daemon_ended: AtomicU64,
}

// === impl Interrupts ===

impl Interrupts {
    /// Our end, and the worker's.
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = fds::pair()?;
        fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok((Self(ours), theirs))
    }

    /// Never waits: what a worker does not read in time counts for nothing but its own end.
    fn send(&self, job: u64) -> io::Result<()> {
        let bytes = wire::encode(&wire::Interrupt { job }).map_err(io::Error::other)?;
        fds::send(self.0.as_fd(), &bytes, &[])
    }
}

// === impl Stops ===

impl Stops {
    /// A job that has begun was stopped.
    pub(super) fn count(&self, stopped: &InFlight) {
        let job = &stopped.job;
        let counter = match job.control.wanted() {
            _ if job.session.is_closed() => &self.session_ended,
            Wanted::Yes => &self.deadline,
            Wanted::Cancelled => &self.cancelled,
            Wanted::CutOff => &self.daemon_ended,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Each reason and its count.
    pub(crate) fn list(&self) -> [(&'static str, u64); 4] {
        [
            ("deadline", &self.deadline),
            ("cancelled", &self.cancelled),
            ("session_ended", &self.session_ended),
            ("daemon_ended", &self.daemon_ended),
        ]
        .map(|(reason, counter)| (reason, counter.load(Ordering::Relaxed)))
    }
}

// === impl Worker ===

impl Worker {
    /// Has the worker not begin a job, or stop it. It is answered all the same.
    pub(crate) fn interrupt(&self, job: u64) {
        if let Some(in_flight) = self.state().jobs.get_mut(&job) {
            in_flight.interrupted.get_or_insert_with(Instant::now);
        }
        if let Err(error) = self.interrupts.send(job) {
            tracing::debug!(worker = self.id, "cannot interrupt a worker: {error}");
        }
    }

    /// Whether a job runs, and has for `grace` past its end, and since it was told to stop.
    pub(crate) fn overstays(&self, job: u64, end: Instant, grace: Duration) -> bool {
        let state = self.state();
        let of = state.jobs.get(&job);
        // A relay has begun all that it has.
        let is_relay = self.is_relay();
        let is_head = of.is_some() && (is_relay || state.jobs.keys().min() == Some(&job));
        let since = of
            .map(|of| of.started)
            .filter(|_| is_relay)
            .or(state.head_since);
        let told = of.and_then(|in_flight| in_flight.interrupted);
        let since = [since, told].into_iter().flatten().fold(end, Instant::max);
        is_head && since.elapsed() >= grace
    }
}
