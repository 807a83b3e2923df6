//! One task per loaded model version: it starts workers, watches them end, restarts them, and sees
//! the model out. It applies what `state.rs` decides.

pub(crate) mod state;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nn_tensor::{Code, Fault};
use tokio::time::{Instant, sleep};

use crate::model::{Model, Source};
use crate::queue::dispatch;
use crate::telemetry::{Limiter, log_id};
use crate::worker::{StartError, Startup, launch};
use state::{Event, State, backoff};

/// A worker that lived so long has shown that the next crash is a new story.
const HEALTHY: Duration = Duration::from_secs(60);

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
        tokio::spawn(dispatch(jobs, worker, unload, startup.limits.clone()));
    }
    tokio::spawn(live(Arc::clone(model), Arc::clone(startup)));
}

fn advance(model: &Model, event: Event, fault: Option<Fault>) -> State {
    let mut now = State::Gone;
    model.status.send_modify(|status| {
        if let Some(next) = status.state.after(event) {
            status.state = next;
        }
        if fault.is_some() || event == Event::Wanted {
            status.fault = fault;
        }
        now = status.state;
    });
    now
}

async fn live(model: Arc<Model>, startup: Arc<Startup>) {
    let mut unload = model.unload.subscribe();
    tokio::select! {
        served = serve(&model, &startup) => if let Served::NoWorker(fault) = served {
            // Not the model's doing: the next who wants it tries again.
            model.started.store(false, Ordering::Release);
            advance(&model, Event::Unavailable, Some(fault));
            return;
        },
        _ = unload.wait_for(|unload| *unload) => {}
    }
    // Failed models wait here until somebody unloads them.
    let _ = unload.wait_for(|unload| *unload).await;
    advance(&model, Event::Unload, None);
    let worker = model.worker.send_replace(None);
    if let Some(worker) = worker {
        let end = Instant::now() + startup.limits.drain_max();
        while worker.in_flight() > 0 && Instant::now() < end {
            tokio::select! {
                () = sleep(Duration::from_millis(5)) => {}
                () = worker.gone() => {}
            }
        }
        worker.stop(BYE_TIMEOUT).await;
    }
    advance(&model, Event::Drained, None);
    if is_told(&model) {
        tracing::info!(model = %model.id(), "unloaded");
    }
}

/// Whether a line about a model is written: a guest can cause as many as it has models to send.
fn is_told(model: &Model) -> bool {
    static LINES: Limiter = Limiter::new();
    match &model.source {
        Source::Uploaded | Source::Repository => true,
        Source::Guest(_) => LINES.allows(),
    }
}

/// How serving a model came to its end.
#[derive(Debug)]
enum Served {
    /// The model has failed for good.
    Failed,
    /// No worker could be had for its first load.
    NoWorker(Fault),
}

/// Keeps a worker running.
async fn serve(model: &Arc<Model>, startup: &Startup) -> Served {
    let mut crashes = 0_u32;
    loop {
        let first = model.status.borrow().state == State::Loading;
        let begun = Instant::now();
        let launched = launch(startup, first, &model.artifact.format, &model.artifact.blob).await;
        let fault = match launched {
            Ok(loaded) => {
                let load = begun.elapsed();
                if is_told(model) {
                    tracing::info!(model = %model.id(), worker = loaded.worker.id, pid = loaded.worker.pid, ?load, "ready");
                }
                model.set_signature(loaded.signature);
                model.worker.send_replace(Some(Arc::clone(&loaded.worker)));
                model.status.send_modify(|status| {
                    status.load = load;
                    status.runtime = loaded.runtime;
                    status.fault = None;
                });
                advance(model, Event::Loaded, None);
                loaded.worker.gone().await;
                model.worker.send_replace(None);
                // What the daemon ended itself says nothing of the model.
                if begun.elapsed() > HEALTHY || loaded.worker.was_stopped() {
                    crashes = 0;
                }
                loaded.worker.cause().fault()
            }
            Err(StartError::Refused(fault)) => {
                if is_told(model) {
                    tracing::warn!(model = %model.id(), "refused: {fault}");
                }
                advance(model, Event::Refused, Some(fault));
                return Served::Failed;
            }
            Err(error @ StartError::Spawn(_)) if first => {
                return Served::NoWorker(not_started(model, &error));
            }
            Err(error) => not_started(model, &error),
        };
        crashes = crashes.saturating_add(1);
        model
            .status
            .send_modify(|status| status.restarts = status.restarts.saturating_add(1));
        if advance(model, Event::Crashed(crashes), Some(fault)) == State::Failed {
            return Served::Failed;
        }
        let max = Duration::from_millis(startup.limits.restart_backoff_ms_max);
        sleep(backoff(crashes, max)).await;
    }
}

/// What a client may read of a worker that did not come up; the log has the rest.
fn not_started(model: &Model, error: &StartError) -> Fault {
    let log_id = log_id();
    let cause = std::error::Error::source(error)
        .map(ToString::to_string)
        .unwrap_or_default();
    if is_told(model) {
        tracing::error!(log_id, model = %model.id(), cause, "no worker: {error}");
    }
    let fault = match error {
        StartError::Died(cause) => Fault::new(
            Code::BackendCrashed,
            format!("the worker {cause} while it loaded the model"),
        )
        .hint("the file may be damaged, or the framework cannot take it"),
        StartError::Late => {
            Fault::new(Code::Timeout, "loading the model took too long").hint("limits.load_ms_max")
        }
        StartError::Spawn(_) => Fault::busy("no worker can be started now")
            .hint("try again later; the daemon's log and limits.workers_max say more"),
        StartError::Attest(_) | StartError::Protocol(_) => {
            Fault::runtime("no worker could be started").hint("see the daemon's log")
        }
        StartError::Refused(fault) => fault.clone(),
    };
    fault.log_id(log_id)
}
