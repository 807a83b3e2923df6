//! The loop between a model's queue and its workers: next job → a place in a window → go. Jobs that nobody waits for any
//! more are dropped here, not run.
//!
//! A job goes to the worker with the fewest in flight, of several to the one with the lowest number: where there is
//! little to do the others get nothing, and may go. One that was told to stop a job and goes on gets none while another
//! lives. ADR 21.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::Poll;

use nn_tensor::{Fault, Reason};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, mpsc, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::Job;
use crate::lifecycle::state::State;
use crate::limits::Limits;
use crate::model::{Instance, Model, Serving, Status};
use crate::worker::{Load, Worker};

/// A model, and where it stands.
pub(crate) type Of = (Weak<Model>, watch::Receiver<Status>);

/// The workers of the moment, as the lifecycle publishes them.
pub(crate) type Current = watch::Receiver<Serving>;

/// A worker, and a place in its window.
type Placed = (Arc<Worker>, OwnedSemaphorePermit);

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
            let fault = job.times().waited();
            job.refuse(fault);
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
            Err(_) => {
                let fault = job.times().waited();
                job.refuse(fault);
            }
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
    Fault::of(Reason::ModelUnloaded)
}

/// Waits for a worker with room in its window; where all die meanwhile that is waited out, within bounds.
async fn room(
    current: &mut Current,
    status: &watch::Receiver<Status>,
    limits: &Limits,
) -> Result<Placed, Fault> {
    loop {
        let wait = limits.restart_wait_max();
        let any_lives = |all: &Serving| all.iter().any(|of| of.worker.is_alive());
        let serving = match timeout(wait, current.wait_for(any_lives)).await {
            Ok(Ok(serving)) => Arc::clone(&serving),
            Ok(Err(_)) => return Err(unloaded()),
            // A load has a bound of its own, and the job its deadline.
            Err(_) if status.borrow().state.is_coming() => continue,
            Err(_) => {
                return Err(
                    Fault::of(Reason::WorkerAway).expected(format!("a new worker within {wait:?}"))
                );
            }
        };
        let workers = in_order(&serving);
        let free = workers.iter().find_map(|worker| {
            let place = Arc::clone(&worker.window).try_acquire_owned().ok()?;
            Some((Arc::clone(worker), place))
        });
        if let Some(placed) = free {
            return Ok(placed);
        }
        tokio::select! {
            biased;
            // One more may have come, or one is to leave, which must get no job any more. That all have gone is seen above.
            _ = current.changed() => {}
            placed = first_place(&workers) => {
                if let Some(placed) = placed {
                    return Ok(placed);
                }
            }
        }
    }
}

/// Those that may have the next job, the one that is to have it first.
fn in_order(serving: &[Instance]) -> Vec<Arc<Worker>> {
    if let [one] = serving {
        return vec![Arc::clone(&one.worker)];
    }
    let alive = serving.iter().filter(|of| of.worker.is_alive());
    let mut loaded: Vec<(Load, Arc<Worker>)> = alive
        .map(|of| (of.worker.load(), Arc::clone(&of.worker)))
        .collect();
    // Stable: they come in the order of their numbers.
    loaded.sort_by_key(|(load, _)| *load);
    if loaded.first().is_some_and(|(load, _)| !load.is_deaf) {
        loaded.retain(|(load, _)| !load.is_deaf);
    }
    loaded.into_iter().map(|(_, worker)| worker).collect()
}

/// Waits for the first place that is free in any of these windows; `None` once all of these workers have ended.
async fn first_place(workers: &[Arc<Worker>]) -> Option<Placed> {
    type Place = Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>;
    let mut waits: Vec<(&Arc<Worker>, Place)> = workers
        .iter()
        .map(|worker| {
            let place: Place = Box::pin(Arc::clone(&worker.window).acquire_owned());
            (worker, place)
        })
        .collect();
    poll_fn(|context| {
        let mut placed = None;
        waits.retain_mut(|(worker, place)| {
            if placed.is_some() {
                return true;
            }
            match place.as_mut().poll(context) {
                Poll::Pending => true,
                Poll::Ready(Ok(place)) => {
                    placed = Some((Arc::clone(worker), place));
                    false
                }
                // Its window is closed: it has ended.
                Poll::Ready(Err(_)) => false,
            }
        });
        match placed {
            Some(placed) => Poll::Ready(Some(placed)),
            None if waits.is_empty() => Poll::Ready(None),
            None => Poll::Pending,
        }
    })
    .await
}
