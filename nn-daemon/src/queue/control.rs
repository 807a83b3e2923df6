//! How far one job has come, shared between the request that waits for it and the worker that runs
//! it: whether it may still be given up without a word, or has to be stopped.
//!
//! ```text
//!  Queued ──begin──▶ Running(worker, job)
//!     └───give_up──▶ GivenUp            (dispatch drops it)
//! ```

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::watch;

use crate::worker::Worker;

/// One job's progress and its cancellation.
#[derive(Debug)]
pub(crate) struct Control {
    stage: Mutex<Stage>,
    wanted: watch::Sender<Wanted>,
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
        }
    }
}

impl Control {
    /// The client wants it no more.
    pub(crate) fn cancel(&self) {
        self.wanted.send_replace(Wanted::Cancelled);
    }

    /// The daemon can wait for it no more.
    pub(crate) fn cut_off(&self) {
        self.wanted.send_if_modified(|wanted| {
            let first = *wanted == Wanted::Yes;
            if first {
                *wanted = Wanted::CutOff;
            }
            first
        });
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
    async fn a_job_that_its_client_has_cancelled_is_not_cut_off_as_well() {
        let control = Control::default();
        control.cancel();
        control.cut_off();
        assert_eq!(control.stopped().await, Wanted::Cancelled);
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
