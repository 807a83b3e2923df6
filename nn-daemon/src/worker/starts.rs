//! How often workers were started for models, how long that took, and how many are on their way.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

use crate::metrics::Histogram;

/// Since the daemon's start.
#[derive(Debug, Default)]
pub(crate) struct Starts {
    begun: AtomicU64,
    under_way: AtomicU64,
    restarts: AtomicU64,
    /// Of those that came to serve.
    pub(crate) loads: Histogram,
}

/// One that is on its way; dropped, it is not any more.
#[derive(Debug)]
pub(crate) struct Starting<'a> {
    starts: &'a Starts,
    since: Instant,
}

// === impl Starts ===

impl Starts {
    /// One begins.
    pub(super) fn begin(&self) -> Starting<'_> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.under_way.fetch_add(1, Ordering::Relaxed);
        Starting {
            starts: self,
            since: Instant::now(),
        }
    }

    /// One that ended, or did not come up, is to be replaced.
    pub(crate) fn count_restart(&self) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    pub(crate) fn under_way(&self) -> u64 {
        self.under_way.load(Ordering::Relaxed)
    }

    pub(crate) fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }
}

// === impl Starting ===

impl Starting<'_> {
    /// It serves.
    pub(super) fn loaded(self) {
        self.starts.loads.add(self.since.elapsed());
    }
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        self.starts.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_does_not_come_up_is_on_its_way_no_more() {
        let starts = Starts::default();
        let (first, second) = (starts.begin(), starts.begin());
        assert_eq!(starts.under_way(), 2);
        first.loaded();
        drop(second);
        assert_eq!((starts.begun(), starts.under_way()), (2, 0));
    }
}
