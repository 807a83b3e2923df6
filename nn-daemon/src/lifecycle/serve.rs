//! One worker of a model: how it is started, when it serves, and to whom its end, or that it did not come, is charged. When
//! one is to be started is decided in `pool.rs` and `spare.rs`.

use std::sync::Arc;
use std::time::Duration;

use nn_tensor::{Code, Fault};

use super::admission::Ticket;
use super::measure;
use super::spare;
use super::state::Event;
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

/// The model is refused. Said first, so that nobody is let in and no spare begins while what is left of it ends.
pub(super) async fn refused(model: &Model, startup: &Arc<Startup>) -> Served {
    let quarantine = &startup.policy.quarantine;
    let fault = quarantine.refuses(&model.artifact.sha256, &model.whose);
    model.tell(Kind::Quarantined, "its workers crashed too often");
    model.advance(Event::Quarantined, fault);
    dismiss(model, startup).await;
    Served::Quarantined
}

/// A new worker with the model, if there is room for it.
pub(super) async fn start(
    model: &Model,
    startup: &Startup,
    first: bool,
) -> Result<Loaded, NotStarted> {
    let ticket = admit(model, startup).map_err(NotStarted::Admission)?;
    start_admitted(model, startup, first, ticket).await
}

/// Room for a worker with the model, if there is some.
pub(super) fn admit(model: &Model, startup: &Startup) -> Result<Ticket, Fault> {
    startup.policy.admission.admit(model.need())
}

/// A new worker with the model, in the room that there is for it.
pub(super) async fn start_admitted(
    model: &Model,
    startup: &Startup,
    first: bool,
    ticket: Ticket,
) -> Result<Loaded, NotStarted> {
    let loaded = launch(startup, first, model).await?;
    let (worker, ticket) = (Arc::clone(&loaded.worker), Arc::new(ticket));
    let (policy, artifact) = (&startup.policy, Arc::clone(&model.artifact));
    let is_bound = startup.limits.models_memory_bytes_max > 0;
    if is_bound {
        // Before anybody else is let in by what is measured.
        policy.meter.enrol(&worker, &ticket, &artifact).await;
        measure::all(startup).await;
    }
    let meter = Arc::clone(&policy.meter);
    // Whoever has the worker, and however it ends: its room is taken until it has.
    tokio::spawn(async move {
        if !is_bound {
            meter.enrol(&worker, &ticket, &artifact).await;
        }
        drop(artifact);
        worker.gone().await;
        drop(ticket);
    });
    Ok(loaded)
}

/// The model answers from here on, by one worker more, which took so long to load if somebody waited for it. Where each
/// tenant has workers of its own it does not serve, and `false` is given: it is the first tenant's that asks.
pub(super) fn ready(
    model: &Arc<Model>,
    loaded: Loaded,
    load: Option<Duration>,
    startup: &Startup,
) -> bool {
    if is_told(model) {
        let (worker, pid) = (loaded.worker.id, loaded.worker.pid);
        tracing::info!(model = %model.id(), worker, pid, load = load.map(tracing::field::debug), "ready");
    }
    model.set_signatures(loaded.signatures.clone());
    model.status.send_modify(|status| {
        status.load = load.unwrap_or(status.load);
        status.runtime.clone_from(&loaded.runtime);
        status.fault = None;
    });
    let is_split = model.is_split(startup.policy.isolation);
    if is_split {
        spare::place(model, startup, loaded);
    } else {
        model.pool.join(loaded.worker);
        startup.policy.residents.enrol(model);
    }
    model.advance(Event::Loaded, None);
    !is_split
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
        | StartError::TooLong(_)
        | StartError::Unread(_)
        | StartError::Refused(_) => {}
    }
}

fn blame(model: &Model, startup: &Startup, cause: &Cause, at_load: bool) {
    // A relay has no bytes of a model: its crash is ours, or what an engine sent it.
    let kind = quarantine::Kind::of(cause).filter(|_| !model.is_remote());
    let Some(kind) = kind else {
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

    /// Why no further worker is tried, if that is so.
    pub(super) fn refusal(&self, first: bool) -> Option<&Fault> {
        match self {
            Self::Start(error) => error.refusal(first),
            Self::Admission(_) => None,
        }
    }

    pub(super) fn into_fault(self, model: &Model) -> Fault {
        match self {
            Self::Admission(fault) => fault,
            Self::Start(error) => not_started(model, &error),
        }
    }
}

/// What a client may read of a worker that did not come up; the log has the rest.
pub(super) fn not_started(model: &Model, error: &StartError) -> Fault {
    if let StartError::Unread(fault) = error {
        // Logged where they were read, under the id that it has.
        return fault.clone();
    }
    let fault = error.fault();
    // Where the framework has spoken, its words stand under the id that the fault has.
    let log_id = match &*fault.log_id {
        "" => log_id(),
        said => said.to_owned(),
    };
    let cause = std::error::Error::source(error)
        .map(ToString::to_string)
        .unwrap_or_default();
    if is_told(model) {
        tracing::error!(log_id, model = %model.id(), cause, "no worker: {error}");
    }
    fault.log_id(log_id)
}
