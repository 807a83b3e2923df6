//! The loop between a model's queue and its worker: next job → a place in the window → go. Jobs that
//! nobody waits for any more are dropped here, not run.

use std::sync::{Arc, Weak};

use nn_tensor::{Code, Fault};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::Job;
use crate::infer::timed_out;
use crate::lifecycle::state::State;
use crate::limits::Limits;
use crate::model::{Model, Status};
use crate::worker::Worker;

/// A model, and where it stands.
pub(crate) type Of = (Weak<Model>, watch::Receiver<Status>);

/// The worker of the moment, as the lifecycle publishes it.
pub(crate) type Current = watch::Receiver<Option<Arc<Worker>>>;

/// Runs until the queue is closed and empty.
pub(crate) async fn dispatch(
    mut jobs: mpsc::Receiver<Job>,
    mut current: Current,
    ((model, mut status), mut unload): (Of, watch::Receiver<bool>),
    limits: Limits,
) {
    while let Some(mut job) = jobs.recv().await {
        drop(job.share.take());
        if job.control.is_given_up() || job.session.is_closed() {
            continue;
        }
        if job.deadline <= Instant::now() {
            job.refuse(timed_out());
            continue;
        }
        // It may rest, or have tried in vain to load before.
        want(&model);
        let loading = status.clone();
        let placed = tokio::select! {
            placed = timeout_at(job.deadline, room(&mut current, &loading, &limits)) => placed,
            _ = unload.wait_for(|unload| *unload) => Ok(Err(unloaded())),
            fault = hopeless(&model, &mut status) => Ok(Err(fault)),
        };
        match placed {
            Ok(Ok((worker, place))) => worker.start(job, place).await,
            Ok(Err(fault)) => job.refuse(fault),
            Err(_) => job.refuse(timed_out()),
        }
    }
}

fn want(model: &Weak<Model>) {
    if let Some(model) = model.upgrade() {
        model.want();
    }
}

/// Returns once the model has failed, or could not be loaded again, with why: nobody waits for a worker that will not
/// come. One that begins to rest meanwhile is wanted again.
async fn hopeless(model: &Weak<Model>, status: &mut watch::Receiver<Status>) -> Fault {
    loop {
        let (state, fault) = {
            let now = status.borrow_and_update();
            (now.state, now.fault.clone())
        };
        match (state, fault) {
            (State::Failed, fault) => return fault.unwrap_or_else(unloaded),
            (State::Absent, Some(fault)) => return fault,
            (State::Absent, None) => want(model),
            _ => {}
        }
        if status.changed().await.is_err() {
            return unloaded();
        }
    }
}

fn unloaded() -> Fault {
    Fault::not_found("the model has been unloaded").hint("`nnctl list` shows the models")
}

/// Waits for a worker with room in its window; a worker that dies meanwhile is waited out, within
/// bounds.
async fn room(
    current: &mut Current,
    status: &watch::Receiver<Status>,
    limits: &Limits,
) -> Result<(Arc<Worker>, OwnedSemaphorePermit), Fault> {
    loop {
        let wait = limits.restart_wait_max();
        let worker = match timeout(wait, current.wait_for(Option::is_some)).await {
            Ok(Ok(worker)) => worker.clone(),
            Ok(Err(_)) => return Err(unloaded()),
            // A load has a bound of its own, and the job its deadline.
            Err(_) if status.borrow().state.is_coming() => continue,
            Err(_) => {
                return Err(
                    Fault::new(Code::BackendCrashed, "the model's worker is not back yet")
                        .expected(format!("a new worker within {wait:?}"))
                        .hint("`nnctl describe NAME` says why it ended"),
                );
            }
        };
        let Some(worker) = worker else { continue };
        tokio::select! {
            place = Arc::clone(&worker.window).acquire_owned() => match place {
                Ok(place) => return Ok((worker, place)),
                Err(_closed) => worker.gone().await,
            },
            () = worker.gone() => {}
        }
        // This worker is gone; wait until the lifecycle has noticed as well.
        let stale = |next: &Option<Arc<Worker>>| {
            !next.as_ref().is_some_and(|next| Arc::ptr_eq(next, &worker))
        };
        if current.wait_for(stale).await.is_err() {
            return Err(unloaded());
        }
    }
}
