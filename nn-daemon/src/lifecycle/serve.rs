//! One model, kept served: a worker is started or a spare taken, its end awaited, its cause charged to whom it
//! belongs, and the next one started after a pause; until the model has failed, or is refused.

use std::sync::Arc;
use std::time::Duration;

use nn_tensor::{Code, Fault};
use tokio::time::{Instant, sleep};

use super::admission::Ticket;
use super::spare;
use super::spares::start_for_callers;
use super::state::{Event, State, backoff};
use super::{dismiss, is_told};
use crate::events::Kind;
use crate::model::Model;
use crate::quarantine::{self, Crash};
use crate::telemetry::log_id;
use crate::worker::{Cause, Loaded, StartError, Startup, Worker, launch};

/// A worker that lived so long has shown that the next crash is a new story.
pub(super) const HEALTHY: Duration = Duration::from_secs(60);

/// How serving a model came to its end.
#[derive(Debug)]
pub(super) enum Served {
    /// The model has failed for good.
    Failed,
    /// It is refused until the quarantine is lifted.
    Quarantined,
    /// No worker could be had for its first load.
    NoWorker(Fault),
    /// Nobody needs it at the moment.
    Rested,
}

/// Why there is no worker.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotStarted {
    /// There is no room for it; none was started.
    #[error("{0}")]
    Admission(Fault),
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Keeps a worker running.
pub(super) async fn serve(model: &Arc<Model>, startup: &Arc<Startup>) -> Served {
    let quarantine = &startup.policy.quarantine;
    let (sha256, whose) = (&model.artifact.sha256, &model.whose);
    let mut crashes = 0_u32;
    loop {
        if quarantine.refuses(sha256, whose).is_some() {
            return refused(model, startup).await;
        }
        let first = model.status.borrow().state == State::Loading;
        let begun = Instant::now();
        let obtained = tokio::select! {
            obtained = obtain(model, startup, first) => obtained,
            // It may have stood in line for long.
            () = quarantine.until_refused(sha256, whose) => return refused(model, startup).await,
        };
        if let Some(fault) = refusal(&obtained, first) {
            if is_told(model) {
                tracing::warn!(model = %model.id(), "refused: {fault}");
            }
            model.advance(Event::Refused, Some(fault));
            return Served::Failed;
        }
        let fault = match obtained {
            Ok(loaded) => {
                let worker = Arc::clone(&loaded.worker);
                ready(model, loaded, begun.elapsed(), startup);
                tokio::select! {
                    () = over(model, &worker, startup) => {}
                    () = quarantine.until_refused(sha256, whose) => {
                        return refused(model, startup).await;
                    }
                }
                model.worker.send_replace(None);
                model.tell(Kind::Crashed, &worker.cause().fault().message);
                blame_end(model, startup, &worker);
                // What the daemon ended itself says nothing of the model.
                if begun.elapsed() > HEALTHY || worker.cause() == Cause::Timeout {
                    crashes = 0;
                }
                worker.cause().fault()
            }
            Err(NotStarted::Admission(fault)) if first => return Served::NoWorker(fault),
            Err(NotStarted::Admission(fault)) => fault,
            Err(NotStarted::Start(error @ StartError::Spawn(_))) if first => {
                return Served::NoWorker(not_started(model, &error));
            }
            Err(error @ NotStarted::Start(_)) => {
                blame_start(model, startup, &error);
                error.into_fault(model)
            }
        };
        crashes = crashes.saturating_add(1);
        model
            .status
            .send_modify(|status| status.restarts = status.restarts.saturating_add(1));
        if quarantine.refuses(sha256, whose).is_some() {
            continue;
        }
        if model.advance(Event::Crashed(crashes), Some(fault)) == State::Failed {
            return Served::Failed;
        }
        let max = Duration::from_millis(startup.limits.restart_backoff_ms_max);
        tokio::select! {
            () = sleep(backoff(crashes, max)) => {}
            () = quarantine.until_refused(sha256, whose) => {}
        }
    }
}

/// The model is refused. Said first, so that nobody is let in and no spare begins while what is left of it ends.
async fn refused(model: &Model, startup: &Arc<Startup>) -> Served {
    let quarantine = &startup.policy.quarantine;
    let fault = quarantine.refuses(&model.artifact.sha256, &model.whose);
    model.tell(Kind::Quarantined, "its workers crashed too often");
    model.advance(Event::Quarantined, fault);
    dismiss(model, startup).await;
    Served::Quarantined
}

/// Why no further worker is tried, if that is so.
fn refusal(obtained: &Result<Loaded, NotStarted>, first: bool) -> Option<Fault> {
    match obtained {
        Err(NotStarted::Start(error)) => error.refusal(first).cloned(),
        Err(NotStarted::Admission(_)) | Ok(_) => None,
    }
}

/// A worker with the model: the one that waits, or a new one.
async fn obtain(model: &Arc<Model>, startup: &Startup, first: bool) -> Result<Loaded, NotStarted> {
    match model.spare.take() {
        Some(spare) => Ok(spare),
        None => start_for_callers(model, startup, first).await,
    }
}

/// A new worker with the model, if there is room for it.
pub(super) async fn start(
    model: &Model,
    startup: &Startup,
    first: bool,
) -> Result<Loaded, NotStarted> {
    let ticket = admit(model, startup)?;
    start_admitted(model, startup, first, ticket).await
}

/// Room for a worker with the model, if there is some.
pub(super) fn admit(model: &Model, startup: &Startup) -> Result<Ticket, NotStarted> {
    let ticket = startup.policy.admission.admit(model.artifact.blob.bytes());
    ticket.map_err(NotStarted::Admission)
}

/// A new worker with the model, in the room that there is for it.
pub(super) async fn start_admitted(
    model: &Model,
    startup: &Startup,
    first: bool,
    ticket: Ticket,
) -> Result<Loaded, NotStarted> {
    let loaded = launch(startup, first, model).await?;
    let worker = Arc::clone(&loaded.worker);
    // Whoever has the worker, and however it ends: its room is taken until it has.
    tokio::spawn(async move {
        worker.gone().await;
        drop(ticket);
    });
    Ok(loaded)
}

/// The model answers from here on. Where each tenant has a worker of its own, this one is the first tenant's that asks.
fn ready(model: &Arc<Model>, loaded: Loaded, load: Duration, startup: &Startup) {
    if is_told(model) {
        let (worker, pid) = (loaded.worker.id, loaded.worker.pid);
        tracing::info!(model = %model.id(), worker, pid, ?load, "ready");
    }
    model.set_signature(loaded.signature.clone());
    model.status.send_modify(|status| {
        status.load = load;
        status.runtime.clone_from(&loaded.runtime);
        status.fault = None;
    });
    if model.is_split(startup.policy.isolation) {
        spare::place(model, startup, loaded);
    } else {
        model.worker.send_replace(Some(loaded.worker));
        startup.policy.residents.enrol(model);
    }
    model.advance(Event::Loaded, None);
}

/// Returns when a model's worker has ended. A model whose tenants have workers of their own has none that could.
async fn over(model: &Model, worker: &Worker, startup: &Startup) {
    if model.is_split(startup.policy.isolation) {
        std::future::pending::<()>().await;
    }
    worker.gone().await;
}

/// Charges the end of a worker that had the model, if that may be its doing.
pub(super) fn blame_end(model: &Model, startup: &Startup, worker: &Worker) {
    blame(model, startup, &worker.cause(), false);
}

/// Charges the end of a worker that was given the model and never answered.
pub(super) fn blame_start(model: &Model, startup: &Startup, error: &NotStarted) {
    match error {
        NotStarted::Start(error) => blame_start_for(model, startup, error),
        NotStarted::Admission(_) => {}
    }
}

fn blame_start_for(model: &Model, startup: &Startup, error: &StartError) {
    match error {
        StartError::Died(cause) => blame(model, startup, cause, true),
        StartError::Protocol(_) => blame(model, startup, &Cause::Protocol, true),
        StartError::WarmUp { error, .. } => blame_start_for(model, startup, error),
        // Before it had the model; or by the daemon's decision; or not at all.
        StartError::Boot(_)
        | StartError::Spawn(_)
        | StartError::Attest(_)
        | StartError::Late
        | StartError::Refused(_) => {}
    }
}

fn blame(model: &Model, startup: &Startup, cause: &Cause, at_load: bool) {
    let Some(kind) = quarantine::Kind::of(cause) else {
        return;
    };
    startup.policy.quarantine.crashed(&Crash {
        sha256: model.artifact.sha256,
        whose: &model.whose,
        kind,
        at_load,
    });
}

// === impl NotStarted ===

impl NotStarted {
    /// Whether one that waits beside another model could change that by going.
    pub(super) fn is_for_want_of_room(&self) -> bool {
        match self {
            Self::Admission(fault) => fault.code == Code::Busy,
            Self::Start(StartError::Spawn(error)) => error.is_for_want_of_room(),
            Self::Start(_) => false,
        }
    }

    fn into_fault(self, model: &Model) -> Fault {
        match self {
            Self::Admission(fault) => fault,
            Self::Start(error) => not_started(model, &error),
        }
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
        StartError::Boot(_) | StartError::Attest(_) | StartError::Protocol(_) => {
            Fault::runtime("no worker could be started").hint("see the daemon's log")
        }
        StartError::Refused(fault) => fault.clone(),
        StartError::WarmUp { fault, .. } => (**fault).clone(),
    };
    fault.log_id(log_id)
}
