//! A model's bounded queue: jobs enter at once or are refused at once.

mod control;
mod dispatch;
mod message;
mod share;

pub(crate) use control::{Control, Wanted};
pub(crate) use dispatch::dispatch;
pub(crate) use message::{Job, Reply};
pub(crate) use share::Share;

use std::sync::Arc;

use nn_tensor::{Fault, Reason};
use share::Shares;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// The way in.
#[derive(Debug)]
pub(crate) struct Queue {
    jobs: mpsc::Sender<Job>,
    shares: Arc<Shares>,
}

impl Queue {
    /// A queue of at most `jobs_max` jobs, and its other end.
    pub(crate) fn new(jobs_max: u32) -> (Self, mpsc::Receiver<Job>) {
        let (jobs, receiver) = mpsc::channel(usize::try_from(jobs_max).unwrap_or(1).max(1));
        let shares = Arc::default();
        (Self { jobs, shares }, receiver)
    }

    /// Puts a job in; `busy` when the queue is full, or its session has its part of it.
    pub(crate) fn call(&self, mut job: Job) -> Result<(), Fault> {
        let free = self.jobs.capacity();
        job.share = self.shares.enter(job.session.id, free);
        if job.share.is_none() && free > 0 {
            return Err(Fault::of(Reason::QueueShareFull)
                .expected(format!("fewer jobs waiting than places left, {free}")));
        }
        self.jobs
            .try_send(job)
            .map_err(|error| self.refused(&error))
    }

    /// Takes a job again that had its turn and not begun: last in line, whatever its session's part; refuses it where
    /// there is no place.
    pub(crate) fn call_again(&self, mut job: Job) {
        job.share = self.shares.enter(job.session.id, self.jobs.capacity());
        if let Err(error) = self.jobs.try_send(job) {
            let fault = self.refused(&error);
            error.into_inner().refuse(fault);
        }
    }

    fn refused(&self, error: &TrySendError<Job>) -> Fault {
        match error {
            TrySendError::Full(_) => Fault::of(Reason::QueueFull)
                .expected(format!("at most {} jobs waiting", self.jobs.max_capacity())),
            TrySendError::Closed(_) => Fault::of(Reason::ModelUnloaded),
        }
    }

    /// Jobs that wait.
    pub(crate) fn len(&self) -> usize {
        self.jobs
            .max_capacity()
            .saturating_sub(self.jobs.capacity())
    }
}
