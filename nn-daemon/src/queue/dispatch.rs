//! The loop between a model's queue and its workers: something waits → a place in a window → whoever's turn it is then → go.
//! A job is chosen at the last moment, so that whoever has come meanwhile has had its chance. Jobs that nobody waits for any
//! more are dropped here, not run.
//!
//! A job goes to the worker with the fewest in flight, of several to the one with the lowest number: where there is
//! little to do the others get nothing, and may go. One that was told to stop a job and goes on gets none while another
//! lives. ADR 21; whose turn it is: ADR 30.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::Poll;

use nn_tensor::{Fault, Reason};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::{Job, Waiting};
use crate::lifecycle::state::State;
use crate::limits::Limits;
use crate::model::{Instance, Model, Serving, Status};
use crate::worker::{Load, Place, Worker};

/// A model, and where it stands.
pub(crate) type Of = (Weak<Model>, watch::Receiver<Status>);

/// The workers of the moment, as the lifecycle publishes them.
pub(crate) type Current = watch::Receiver<Serving>;

/// A worker, and a place in its window.
type Placed = (Arc<Worker>, Place);

/// Runs until the queue is closed and empty.
pub(crate) async fn dispatch(
    waiting: Arc<Waiting>,
    mut current: Current,
    ((model, mut status), mut unload): (Of, watch::Receiver<bool>),
    limits: Limits,
) {
    while waiting.any().await {
        // It may rest, or have tried in vain to load before.
        want(&model);
        let loading = status.clone();
        let placed = tokio::select! {
            placed = room(&waiting, &mut current, &loading, &limits) => placed,
            _ = unload.wait_for(|unload| *unload) => Err(unloaded()),
            fault = hopeless(&model, &mut status) => Err(fault),
        };
        match placed {
            Ok(Some((worker, mut place))) => {
                if let Some((job, estimate)) = waiting.take()
                    && let Some(job) = wanted(job)
                {
                    place.is_for(estimate);
                    worker.start(job, place).await;
                }
            }
            Ok(None) => {}
            Err(fault) => waiting.refuse(&fault, |_| true),
        }
    }
}

/// A job that is still worth running; one that is late is answered.
fn wanted(job: Job) -> Option<Job> {
    if job.control.is_given_up() || job.session.is_closed() {
        return None;
    }
    if job.deadline <= Instant::now() {
        let fault = job.times().waited();
        job.refuse(fault);
        return None;
    }
    Some(job)
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

/// Waits for a worker with room for the job whose turn it is; where all die meanwhile that is waited out, within bounds.
/// `None` once nothing waits any more.
async fn room(
    waiting: &Waiting,
    current: &mut Current,
    status: &watch::Receiver<Status>,
    limits: &Limits,
) -> Result<Option<Placed>, Fault> {
    let wait = limits.restart_wait_max();
    let mut away = Instant::now();
    loop {
        // Whoever has waited for longest has waited since then for a worker.
        let Some(oldest) = waiting.oldest() else {
            return Ok(None);
        };
        let any_lives = |all: &Serving| all.iter().any(|of| of.worker.is_alive());
        let until = oldest.max(away) + wait;
        let serving = match timeout_at(until, current.wait_for(any_lives)).await {
            Ok(Ok(serving)) => Arc::clone(&serving),
            Ok(Err(_)) => return Err(unloaded()),
            // A load has a bound of its own, and each job its deadline.
            Err(_) if status.borrow().state.is_coming() => {
                away = Instant::now();
                continue;
            }
            Err(_) => {
                let fault = Fault::of(Reason::WorkerAway);
                let fault = fault.expected(format!("a new worker within {wait:?}"));
                waiting.refuse(&fault, |job| {
                    job.enqueued.max(away) + wait <= Instant::now()
                });
                continue;
            }
        };
        let workers = in_order(&serving);
        let Some(estimate) = waiting.estimate() else {
            return Ok(None);
        };
        let free = workers.iter().find_map(|worker| {
            let place = worker.window.place(estimate)?;
            Some((Arc::clone(worker), place))
        });
        if free.is_some() {
            return Ok(free);
        }
        tokio::select! {
            // One more may have come, or one is to leave, which must get no job any more. That all have gone is seen above.
            _ = current.changed() => {}
            // It may be somebody else's turn, for whose job there is a place.
            () = waiting.news() => {}
            () = news(&workers) => {}
        }
        away = Instant::now();
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

/// Returns once something has changed in any of these workers' windows.
async fn news(workers: &[Arc<Worker>]) {
    let mut all: Vec<Pin<Box<dyn Future<Output = ()> + Send + '_>>> = workers
        .iter()
        .map(|worker| Box::pin(worker.window.news()) as _)
        .collect();
    poll_fn(|context| {
        // All of them: each is to wake us.
        let mut is_ready = false;
        for one in &mut all {
            is_ready |= one.as_mut().poll(context).is_ready();
        }
        if is_ready {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}
