//! How far one job has come, shared between the request that waits for it and the worker that runs
//! it: whether it may still be given up without a word, or has to be stopped.
//!
//! ```text
//!  Queued ◀─again─┐
//!  Queued ──begin──▶ Running(worker, job)
//!     └───give_up──▶ GivenUp            (dispatch drops it)
//! ```

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::watch;

use crate::worker::Worker;

/// One job's progress and its cancellation.
#[derive(Debug)]
pub(crate) struct Control {
    stage: Mutex<Stage>,
    wanted: watch::Sender<Wanted>,
    /// The daemon can wait no more, whoever still wants it.
    is_cut_off: AtomicBool,
}

/// Who still wants a job done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Its client.
    Yes,
    /// Nobody.
    Cancelled,
    /// Its client, but the daemon is ending and can wait no longer.
    CutOff,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Queued,
    Running(Weak<Worker>, u64),
    GivenUp,
}

impl Default for Control {
    fn default() -> Self {
        Self {
            stage: Mutex::default(),
            wanted: watch::channel(Wanted::Yes).0,
            is_cut_off: AtomicBool::new(false),
        }
    }
}

impl Control {
    /// The client wants it no more.
    pub(crate) fn cancel(&self) {
        self.wanted.send_replace(Wanted::Cancelled);
    }

    /// The daemon can wait for it no more. A client that has cancelled it is told of its cancel all the same.
    pub(crate) fn cut_off(&self) {
        self.is_cut_off.store(true, Ordering::Relaxed);
        self.wanted.send_if_modified(|wanted| {
            let first = *wanted == Wanted::Yes;
            if first {
                *wanted = Wanted::CutOff;
            }
            first
        });
    }

    /// Whether the daemon can wait for it no more.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.is_cut_off.load(Ordering::Relaxed)
    }

    /// Who still wants it.
    pub(crate) fn wanted(&self) -> Wanted {
        *self.wanted.borrow()
    }

    /// Returns once it is to be stopped; says for whose sake.
    pub(crate) async fn stopped(&self) -> Wanted {
        let mut wanted = self.wanted.subscribe();
        let stopped = wanted.wait_for(|wanted| *wanted != Wanted::Yes).await;
        // The sender lives in `self`.
        stopped.map_or(Wanted::Cancelled, |wanted| *wanted)
    }

    /// A worker takes the job up; false if it has been given up.
    pub(crate) fn begin(&self, worker: &Arc<Worker>, job: u64) -> bool {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        match *stage {
            Stage::Queued => {
                *stage = Stage::Running(Arc::downgrade(worker), job);
                true
            }
            Stage::Running(..) | Stage::GivenUp => false,
        }
    }

    /// Its worker is gone without having begun it; false if nobody wants it done any more.
    pub(crate) fn again(&self) -> bool {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*stage, Stage::Running(..)) || self.wanted() != Wanted::Yes {
            return false;
        }
        *stage = Stage::Queued;
        true
    }

    /// It has failed, and is tried by others: false if nobody wants it done any more.
    pub(crate) fn anew(&self) -> bool {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*stage, Stage::GivenUp) || self.wanted() != Wanted::Yes {
            return false;
        }
        *stage = Stage::Queued;
        true
    }

    /// Gives a job up that no worker has; else gives the worker that does, and its number there.
    pub(crate) fn give_up(&self) -> Option<(Weak<Worker>, u64)> {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        match &*stage {
            Stage::Running(worker, job) => Some((Weak::clone(worker), *job)),
            Stage::Queued | Stage::GivenUp => {
                *stage = Stage::GivenUp;
                None
            }
        }
    }

    /// Whether it has been given up.
    pub(crate) fn is_given_up(&self) -> bool {
        matches!(
            *self.stage.lock().unwrap_or_else(PoisonError::into_inner),
            Stage::GivenUp
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_job_that_its_client_has_cancelled_is_cut_off_and_stays_cancelled() {
        let control = Control::default();
        control.cancel();
        control.cut_off();
        assert_eq!(control.stopped().await, Wanted::Cancelled);
        assert!(control.is_cut_off());
    }

    #[test]
    fn only_a_job_that_a_worker_has_and_somebody_wants_goes_back() {
        let control = Control::default();
        assert!(!control.again());
        *control.stage.lock().unwrap() = Stage::Running(Weak::new(), 7);
        assert!(control.again());
        *control.stage.lock().unwrap() = Stage::Running(Weak::new(), 8);
        control.cancel();
        assert!(!control.again());
    }

    #[tokio::test]
    async fn a_job_that_is_cut_off_in_the_queue_has_not_begun() {
        let control = Control::default();
        control.cut_off();
        assert_eq!(control.stopped().await, Wanted::CutOff);
        assert!(control.give_up().is_none());
        assert!(control.is_given_up());
    }
}
