//! A relay: the worker of a model that remote engines compute. It is started as any other, by the spawner and in a jail; in
//! place of a model's bytes it is told where the model is, and it gets a socket on which it may ask for connections there.

use std::os::fd::AsFd;
use std::sync::Arc;

use nn_tensor::Signature;
use nn_worker_wire as wire;
use tokio::time::{Instant, timeout_at};

use super::needs::{Needs, spawn};
use super::spawn::{Purpose, SpawnError};
use super::start::{self, Loaded, StartError, Startup};
use super::warm_up;
use crate::framework::{Framework, Role};
use crate::model::Model;
use crate::remote::differs;

/// One relay, that has heard from an engine what the model takes and gives. Where none comes, and it is not for want of a
/// process, no other is tried for a while.
pub(super) async fn attempt(start: &Startup, model: &Model) -> Result<Loaded, StartError> {
    if let Some(fault) = model.endpoints.left_alone() {
        return Err(StartError::Unread(fault));
    }
    let loaded = launched(start, model).await;
    if let Err(error) = &loaded {
        error.count(&start.ends);
        if let Ok(kserve) = model.kserve()
            && !matches!(error, StartError::Spawn(_))
        {
            model.endpoints.leave_alone(error.fault(), kserve.open_ms);
        }
    }
    loaded
}

async fn launched(start: &Startup, model: &Model) -> Result<Loaded, StartError> {
    let end = Instant::now() + model.load_max(&start.limits);
    let remotes = start.remotes.as_ref().map_err(Clone::clone);
    let remotes = remotes.map_err(StartError::Unread)?;
    let asking = remotes.asked(model, &start.limits);
    let asking = async { asking.await.map_err(StartError::Unread) };
    let asked = by(end, asking).await?;
    let started = spawn(start, Purpose::Model, needs(start, model)).await?;
    let relay = started.worker;
    let dialing = remotes.dialer.relay(relay);
    let dialing = async { dialing.await.map_err(StartError::Unread) };
    let dialer = by(end, dialing).await?;
    let log = Some(Arc::clone(&model.log));
    let booting = start::boot_with(start, started, log, Some(dialer.as_fd()));
    let mut booted = by(end, booting)
        .await
        .map_err(|error| StartError::Boot(error.into()))?;
    drop(dialer);
    let given = async {
        let memory = |error| StartError::Spawn(SpawnError::System(std::io::Error::other(error)));
        let blob = asked.to_blob().map_err(memory)?;
        let frame = wire::ToWorker::Model {
            format: wire::REMOTE.to_owned(),
            parts: vec![wire::Part {
                name: wire::REMOTE.to_owned(),
                bytes: blob.bytes(),
            }],
            precision: wire::Precision::default(),
        };
        start::send(&booted.socket, &frame, Some(blob.as_fd())).await?;
        start::loaded(start, &mut booted).await
    };
    let signature = by(end, given).await.map_err(worth_another)?;
    let signatures = model.signatures_of(signature).map_err(StartError::Unread)?;
    agrees(start, model, &signatures.own, end).await?;
    let warmed = warm_up::run(start, model, &mut booted, &signatures.seen).await;
    if warmed.is_err() {
        // What it may have said of its endpoints meanwhile.
        model.endpoints.forget(relay);
    }
    let runs = warmed.map_err(worth_another)?;
    Ok(start::serving(start, model, booted, (signatures, runs)))
}

/// What comes by then.
async fn by<T>(
    end: Instant,
    what: impl Future<Output = Result<T, StartError>>,
) -> Result<T, StartError> {
    let come = timeout_at(end, what).await;
    come.unwrap_or(Err(StartError::Late))
}

/// What an engine answers says nothing for good: it may be another one, or mended, the next time.
fn worth_another(error: StartError) -> StartError {
    match error {
        StartError::Refused(fault) | StartError::TooLong(fault) => StartError::Unread(fault),
        StartError::WarmUp { fault, error }
            if matches!(*error, StartError::Refused(_) | StartError::Late) =>
        {
            StartError::Unread(*fault)
        }
        other => other,
    }
}

/// Clients that have resolved the version go on with what they know of it; and its file, where there is one here, is to be the
/// same model: a worker with that may take calls over, or the version be moved here.
async fn agrees(
    start: &Startup,
    model: &Model,
    signature: &Signature,
    end: Instant,
) -> Result<(), StartError> {
    let known = model.learnt().map(|known| known.own);
    let file = match &known {
        // It was held against that before.
        Some(_) => None,
        None => of_file(start, model, end).await,
    };
    let all = known.as_deref().into_iter().chain(file.as_ref());
    let mut differing = all.filter_map(|known| differs(known, signature));
    differing
        .next()
        .map_or(Ok(()), |fault| Err(StartError::Unread(fault)))
}

/// As our own reading of the version's file says, read for that if need be. What cannot be read now can be held against nothing,
/// and keeps no engine from computing.
async fn of_file(start: &Startup, model: &Model, end: Instant) -> Option<Signature> {
    let file = model.file.as_ref()?;
    match timeout_at(end, file.look(start.limits.vetting())).await {
        Ok(Ok(vetted)) => vetted.signature.clone(),
        Ok(Err(_)) | Err(_) => {
            tracing::warn!(model = %model.id(), "its file cannot be read: endpoints are not held against it");
            None
        }
    }
}

fn needs(start: &Startup, model: &Model) -> Needs {
    Needs {
        budget: model.budget(&start.limits),
        framework: Framework::KServe,
        role: Role::Serves,
        threads: 1,
    }
}
