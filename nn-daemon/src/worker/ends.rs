//! How many workers have ended, by cause; and how often one had no memory left and lived.

use std::sync::atomic::{AtomicU64, Ordering};

use nn_worker_wire::Failure;

use super::starts::Starts;
use super::{Cause, Stops};

/// Since the daemon's start.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    /// Computes that were stopped without an end of their worker.
    pub(crate) stops: Stops,
    /// How workers began.
    pub(crate) starts: Starts,
    panic: AtomicU64,
    violation: AtomicU64,
    out_of_memory: AtomicU64,
    crash: AtomicU64,
    timeout: AtomicU64,
    protocol: AtomicU64,
    killed: AtomicU64,
    other: AtomicU64,
}

// === impl Ends ===

impl Ends {
    /// A worker has ended.
    pub(crate) fn count(&self, cause: &Cause) {
        let counter = match cause {
            Cause::Clean => return,
            Cause::Panic => &self.panic,
            Cause::Violation => &self.violation,
            Cause::OutOfMemory => &self.out_of_memory,
            Cause::Crash(_) => &self.crash,
            Cause::Timeout => &self.timeout,
            Cause::Protocol => &self.protocol,
            Cause::Killed => &self.killed,
            Cause::Status(_) | Cause::Closed | Cause::Unknown => &self.other,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// A worker has answered that it could not do something.
    pub(crate) fn count_failure(&self, failure: &Failure) {
        if failure.out_of_memory {
            self.out_of_memory.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Each cause and its count.
    pub(crate) fn list(&self) -> [(&'static str, u64); 8] {
        [
            ("panic", &self.panic),
            ("violation", &self.violation),
            ("out_of_memory", &self.out_of_memory),
            ("crash", &self.crash),
            ("timeout", &self.timeout),
            ("protocol", &self.protocol),
            ("killed", &self.killed),
            ("other", &self.other),
        ]
        .map(|(name, counter)| (name, counter.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_counter_and_a_clean_end_has_none() {
        let ends = Ends::default();
        let causes = [
            Cause::Clean,
            Cause::Panic,
            Cause::Violation,
            Cause::OutOfMemory,
            Cause::Crash("SIGSEGV"),
            Cause::Timeout,
            Cause::Protocol,
            Cause::Killed,
            Cause::Unknown,
        ];
        causes.iter().for_each(|cause| ends.count(cause));
        assert!(ends.list().iter().all(|&(_, count)| count == 1));
    }
}
