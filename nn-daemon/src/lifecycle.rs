//! One task per loaded model version, and per tenant's own unit of one: it starts workers, watches them end, restarts
//! them (`pool.rs`, `serve.rs`), as many as the load wants (`growth.rs`, `scale.rs`), keeps a spare beside them (`spare.rs`) that gives way where its room is wanted (`spares.rs`), and
//! sees the model out. It applies what `state.rs` decides.

pub(crate) mod admission;
mod extras;
mod growth;
pub(crate) mod measure;
pub(crate) mod policy;
mod pool;
mod residents;
mod scale;
mod serve;
mod spare;
mod spares;
pub(crate) mod state;

pub(crate) use spare::Spare;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::model::{Model, Source};
use crate::queue::dispatch;
use crate::telemetry::Limiter;
use crate::worker::{Startup, Worker};
use pool::serve;
use serve::Served;
use state::{Event, State};

/// How long a worker that was asked to leave may take.
const BYE_TIMEOUT: Duration = Duration::from_secs(2);

/// Starts a model's task, once; later calls have it load again what rests.
pub(crate) fn ensure_started(model: &Arc<Model>, startup: &Arc<Startup>) {
    if model.started.swap(true, Ordering::AcqRel) {
        return model.want();
    }
    // Here and not in the task: whoever waits for the model from now on sees it loading.
    model.touch();
    model.advance(Event::Wanted, None);
    begin(model, startup);
}

/// Starts a model's task, once, without having it load: who wants it later is heard.
pub(crate) fn ensure_there(model: &Arc<Model>, startup: &Arc<Startup>) {
    if !model.started.swap(true, Ordering::AcqRel) {
        begin(model, startup);
    }
}

fn begin(model: &Arc<Model>, startup: &Arc<Startup>) {
    let (serving, unload) = (model.pool.subscribe(), model.unload.subscribe());
    let of = (Arc::downgrade(model), model.status.subscribe());
    tokio::spawn(dispatch(
        model.queue.waiting(),
        serving,
        (of, unload),
        startup.limits.clone(),
    ));
    tokio::spawn(live(Arc::clone(model), Arc::clone(startup)));
}

async fn live(model: Arc<Model>, startup: Arc<Startup>) {
    let mut unload = model.unload.subscribe();
    let is_absent = model.status.borrow().state == State::Absent;
    if is_absent && !until_wanted(&model, &mut unload).await {
        return end(&model, &startup).await;
    }
    loop {
        let served = tokio::select! {
            served = serve(&model, &startup) => served,
            never = spare::keep(&model, &startup) => match never {},
            () = rest(&model, &startup) => Served::Rested,
            _ = unload.wait_for(|unload| *unload) => break,
        };
        // One that was being started when the model failed may have come to its place since.
        if let Some(spare) = spare::dismissed(&model) {
            drop(see_off(spare));
        }
        // Its bytes are read again when it is loaded again. Its tenants' units have the same ones, and go before it does.
        if !model.is_unit() {
            model.artifact.release();
        }
        let is_quarantined = match served {
            Served::Rested => {
                dismiss(&model, &startup).await;
                if until_wanted(&model, &mut unload).await {
                    continue;
                }
                break;
            }
            Served::NoWorker(fault) => {
                // Not the model's doing: the next who wants it tries again.
                model.advance(Event::Unavailable, Some(fault));
                if until_wanted(&model, &mut unload).await {
                    continue;
                }
                break;
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
        model.advance(Event::Lifted, None);
    }
    end(&model, &startup).await;
}

/// Returns once the model has begun to rest: asked to, and nobody needs it just now.
async fn rest(model: &Model, startup: &Startup) {
    loop {
        model.rest.notified().await;
        if model.may_rest(startup.policy.isolation) {
            model.advance(Event::Rested, None);
            return;
        }
    }
}

/// Waits until somebody wants it; `false` once it is to go.
async fn until_wanted(model: &Model, unload: &mut watch::Receiver<bool>) -> bool {
    loop {
        if model.status.borrow().state == State::Loading {
            return true;
        }
        tokio::select! {
            () = model.wanted.notified() => {}
            _ = unload.wait_for(|unload| *unload) => return false,
        }
    }
}

async fn end(model: &Model, startup: &Arc<Startup>) {
    model.advance(Event::Unload, None);
    dismiss(model, startup).await;
    if !model.is_unit() {
        model.artifact.release();
    }
    model.advance(Event::Drained, None);
    if is_told(model) {
        tracing::info!(model = %model.id(), "unloaded");
    }
}

/// Has a model's workers leave: the spare at once, those that serve when their jobs are done. They do so whether or not
/// somebody goes on waiting for that.
async fn dismiss(model: &Model, startup: &Arc<Startup>) {
    let spare = spare::dismissed(model).map(see_off);
    let serving = model.pool.take();
    let leaving = serving
        .into_iter()
        .map(|worker| tokio::spawn(leave(worker, Arc::clone(startup))));
    // All have begun to before one is waited for.
    let leaving: Vec<JoinHandle<()>> = leaving.chain(spare).collect();
    for left in leaving {
        let _ = left.await;
    }
    // What the daemon itself had for them.
    nn_sandbox::trim_heap();
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
