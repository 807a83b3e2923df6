//! How much a worker has to do.

use std::sync::atomic::Ordering;

use super::Worker;

/// How little use one job more would be to a worker: the least is the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Load {
    /// It has been told to stop a job and goes on: it may be killed, and nobody knows when.
    pub(crate) is_deaf: bool,
    pub(crate) in_flight: usize,
}

impl Worker {
    /// What it has to do now.
    pub(crate) fn load(&self) -> Load {
        let state = self.state();
        if self.is_relay() {
            let told = state.jobs.values().filter_map(|of| of.interrupted).min();
            return Load {
                is_deaf: told.is_some_and(|told| told.elapsed() > self.limits.compute_grace()),
                in_flight: state.jobs.len(),
            };
        }
        let head = state.jobs.iter().min_by_key(|(number, _)| **number);
        let told = head.and_then(|(_, of)| of.interrupted);
        // One that was told before its turn is told anew when that comes.
        let since = told.map(|told| state.head_since.map_or(told, |since| told.max(since)));
        let grace = self.limits.compute_grace();
        Load {
            is_deaf: since.is_some_and(|since| since.elapsed() > grace),
            in_flight: state.jobs.len(),
        }
    }

    /// Whether it asks remote engines, many at a time.
    pub(crate) fn is_relay(&self) -> bool {
        self.endpoints.is_some()
    }

    /// How many jobs it has been given, ever.
    pub(crate) fn jobs_given(&self) -> u64 {
        self.next_job.load(Ordering::Relaxed)
    }
}
