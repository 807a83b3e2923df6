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
    cancelled: watch::Sender<bool>,
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
            cancelled: watch::channel(false).0,
        }
    }
}

impl Control {
    /// The client wants it no more.
    pub(crate) fn cancel(&self) {
        self.cancelled.send_replace(true);
    }

    /// Returns once the client has cancelled.
    pub(crate) async fn cancelled(&self) {
        // The sender lives in `self`.
        let _ = self
            .cancelled
            .subscribe()
            .wait_for(|cancelled| *cancelled)
            .await;
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
