//! A job's turn, as its tenant is charged for it.

use std::sync::Arc;
use std::time::Duration;

use nn_tensor::Tenant;

use super::Waiting;

/// What was run of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ran {
    Nothing,
    /// It was stopped, it failed, or its worker ended: that says nothing of how long others run.
    InPart(Duration),
    Whole(Duration),
}

/// For a turn a tenant is charged what its job is thought to run, and in the end what it ran. Dropped before, nothing was
/// run.
#[derive(Debug)]
pub(crate) struct Turn {
    waiting: Arc<Waiting>,
    tenant: Tenant,
    time: u64,
    ran: Ran,
}

// === impl Turn ===

impl Turn {
    pub(super) fn new(waiting: &Arc<Waiting>, tenant: Tenant, time: u64) -> Self {
        Self {
            waiting: Arc::clone(waiting),
            tenant,
            time,
            ran: Ran::Nothing,
        }
    }

    /// The job has ended.
    pub(crate) fn end(mut self, ran: Ran) {
        self.ran = ran;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.waiting.settle(&self.tenant, self.time, self.ran);
    }
}
