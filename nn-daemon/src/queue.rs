//! A model's bounded queue: jobs enter at once or are refused at once, and tenants take turns.

mod control;
mod dispatch;
mod lane;
mod lanes;
mod message;
mod turn;
mod waiting;

pub(crate) use control::{Control, Wanted};
pub(crate) use dispatch::dispatch;
pub(crate) use message::{Job, Reply};
pub(crate) use turn::{Ran, Turn};
pub(crate) use waiting::Waiting;

use std::sync::Arc;

use nn_tensor::{Fault, Tenant};

/// The way in.
#[derive(Debug)]
pub(crate) struct Queue(Arc<Waiting>);

impl Queue {
    /// A queue of at most `jobs_max` jobs.
    pub(crate) fn new(jobs_max: u32) -> Self {
        Self(Arc::new(Waiting::new(jobs_max)))
    }

    /// The other end.
    pub(crate) fn waiting(&self) -> Arc<Waiting> {
        Arc::clone(&self.0)
    }

    /// Puts a job in and gives its number; `busy` when the queue is full, or its tenant has its part of it.
    pub(crate) fn call(&self, job: Job) -> Result<u64, Fault> {
        self.0.enter(job)
    }

    /// Takes a job again that had its turn and not begun: at its place among its tenant's, whatever that one's part.
    pub(crate) fn call_again(&self, job: Job) {
        self.0.enter_again(job);
    }

    /// Takes a job out that nobody waits for any more, if it still waits.
    pub(crate) fn forget(&self, tenant: &Tenant, number: u64) {
        self.0.leave(tenant, number);
    }

    /// Jobs that wait.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.0.close();
    }
}
