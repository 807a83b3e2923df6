//! What stops a run from outside of the thread that computes.

use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};

/// Stops the runs of one model. Everything here may be called from any thread, at any time, as often as wanted; none
/// of it waits for the run.
pub trait Interrupt: Debug + Send + Sync {
    /// Has the run that is under way end with [`BackendError::Interrupted`](crate::BackendError::Interrupted), or the
    /// next one if none is. How soon, is the framework's affair: it may look seldom, or never.
    fn interrupt(&self);

    /// Takes that back: the next run is to run.
    fn rearm(&self);
}

/// For backends whose runs look at it themselves, and for those that cannot be stopped: it is only noted.
#[derive(Debug, Default)]
pub struct Flag(AtomicBool);

impl Flag {
    /// Whether the run is to end.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Interrupt for Flag {
    fn interrupt(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn rearm(&self) {
        self.0.store(false, Ordering::Release);
    }
}
