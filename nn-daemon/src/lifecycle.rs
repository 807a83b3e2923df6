//! One task per loaded model version, and per tenant's own unit of one: it starts workers, watches them end, restarts
//! them (`serve.rs`), keeps a spare beside them (`spare.rs`) that gives way where its room is wanted (`spares.rs`), and
//! sees the model out. It applies what `state.rs` decides.

pub(crate) mod admission;
pub(crate) mod policy;
mod serve;
mod spare;
mod spares;
pub(crate) mod state;

pub(crate) use spare::Spare;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nn_tensor::Fault;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::model::{Model, Source};
use crate::queue::dispatch;
use crate::telemetry::Limiter;
use crate::worker::{Startup, Worker};
use serve::{Served, serve};
use state::{Event, State};

/// How long a worker that was asked to leave may take.
const BYE_TIMEOUT: Duration = Duration::from_secs(2);

/// Starts a model's task, once; later calls do nothing.
pub(crate) fn ensure_started(model: &Arc<Model>, startup: &Arc<Startup>) {
    if model.started.swap(true, Ordering::AcqRel) {
        return;
    }
    // Here and not in the task: whoever waits for the model from now on sees it loading.
    advance(model, Event::Wanted, None);
    let jobs = model.jobs.lock().ok().and_then(|mut jobs| jobs.take());
    if let Some(jobs) = jobs {
        let (worker, unload) = (model.worker.subscribe(), model.unload.subscribe());
        let ends = (unload, model.status.subscribe());
        tokio::spawn(dispatch(jobs, worker, ends, startup.limits.clone()));
    }
    tokio::spawn(live(Arc::clone(model), Arc::clone(startup)));
}

fn advance(model: &Model, event: Event, fault: Option<Fault>) -> State {
    let mut now = State::Gone;
    model.status.send_modify(|status| {
        if let Some(next) = status.state.after(event) {
            status.state = next;
        }
        if fault.is_some() || matches!(event, Event::Wanted | Event::Lifted) {
            status.fault = fault;
        }
        now = status.state;
    });
    now
}

async fn live(model: Arc<Model>, startup: Arc<Startup>) {
    let mut unload = model.unload.subscribe();
    loop {
        let served = tokio::select! {
            served = serve(&model, &startup) => served,
            never = spare::keep(&model, &startup) => match never {},
            _ = unload.wait_for(|unload| *unload) => break,
        };
        // One that was being started when the model failed may have come to its place since.
        if let Some(spare) = spare::dismissed(&model) {
            drop(see_off(spare));
        }
        let is_quarantined = match served {
            Served::NoWorker(fault) => {
                // Not the model's doing: the next who wants it tries again.
                if *unload.borrow() {
                    // Somebody waits for its end.
                    break;
                }
                advance(&model, Event::Unavailable, Some(fault));
                model.started.store(false, Ordering::Release);
                return;
            }
            // It waits until somebody unloads it.
            Served::Failed => false,
            Served::Quarantined => true,
        };
        let quarantine = &startup.policy.quarantine;
        tokio::select! {
            () = quarantine.until_free(&model.artifact.sha256, &model.whose), if is_quarantined => {}
            _ = unload.wait_for(|unload| *unload) => break,
        }
        advance(&model, Event::Lifted, None);
    }
    end(&model, &startup).await;
}

async fn end(model: &Model, startup: &Arc<Startup>) {
    advance(model, Event::Unload, None);
    dismiss(model, startup).await;
    advance(model, Event::Drained, None);
    if is_told(model) {
        tracing::info!(model = %model.id(), "unloaded");
    }
}

/// Has a model's workers leave: the spare at once, the one that serves when its jobs are done. They do so whether or not
/// somebody goes on waiting for that.
async fn dismiss(model: &Model, startup: &Arc<Startup>) {
    let spare = spare::dismissed(model).map(see_off);
    if let Some(worker) = model.worker.send_replace(None) {
        let _ = tokio::spawn(leave(worker, Arc::clone(startup))).await;
    }
    if let Some(spare) = spare {
        let _ = spare.await;
    }
}

/// Has a worker without jobs leave, and sees it do so.
fn see_off(worker: Arc<Worker>) -> JoinHandle<()> {
    tokio::spawn(async move { worker.stop(BYE_TIMEOUT).await })
}

/// Lets a worker that gets no more jobs finish those that it has, and sees it leave.
async fn leave(worker: Arc<Worker>, startup: Arc<Startup>) {
    let end = Instant::now() + startup.limits.drain_max();
    while worker.in_flight() > 0 && Instant::now() < end {
        tokio::select! {
            () = sleep(Duration::from_millis(5)) => {}
            () = worker.gone() => {}
        }
    }
    worker.stop(BYE_TIMEOUT).await;
}

/// Whether a line about a model is written: a guest can cause as many as it has models to send.
fn is_told(model: &Model) -> bool {
    static LINES: Limiter = Limiter::new();
    match &model.source {
        Source::Uploaded | Source::Repository => true,
        Source::Guest(_) => LINES.allows(),
    }
}
