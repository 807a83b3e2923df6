//! A relay: the worker of a model that remote engines compute. It is started as any other, by the spawner and in a jail; in
//! place of a model's bytes it is told where the model is, and it gets a socket on which it may ask for connections there.

use std::os::fd::AsFd;
use std::sync::Arc;

use nn_tensor::{Fault, Signature};
use nn_worker_wire as wire;
use tokio::time::{Instant, timeout_at};

use super::needs::{Needs, spawn};
use super::spawn::{Purpose, SpawnError};
use super::start::{self, Loaded, StartError, Startup};
use super::warm_up;
use crate::framework::{Framework, Role};
use crate::model::Model;

/// What a relay has besides messages, in bytes.
const OWN_BYTES: u64 = 64 * 1024 * 1024;

/// A call's messages: the request, and the answer.
const MESSAGES: u64 = 2;

/// One relay, that has heard from an engine what the model takes and gives.
pub(super) async fn attempt(start: &Startup, model: &Model) -> Result<Loaded, StartError> {
    if let Some(fault) = model.endpoints.left_alone() {
        return Err(StartError::Unread(fault));
    }
    let loaded = launched(start, model).await;
    if let (Err(StartError::Unread(fault)), Ok(kserve)) = (&loaded, model.kserve()) {
        model.endpoints.leave_alone(fault.clone(), kserve.open_ms);
    }
    if let Err(error) = &loaded {
        error.count(&start.ends);
    }
    loaded
}

async fn launched(start: &Startup, model: &Model) -> Result<Loaded, StartError> {
    let remotes = start.remotes.as_ref().map_err(Clone::clone);
    let remotes = remotes.map_err(StartError::Unread)?;
    let asked = remotes.asked(model).await.map_err(StartError::Unread)?;
    let needs = needs(start, model)?;
    let started = spawn(start, Purpose::Model, needs).await?;
    let dialer = remotes.dialer.relay(started.worker).await;
    let dialer = dialer.map_err(StartError::Unread)?;
    let end = Instant::now() + model.load_max(&start.limits);
    let booting = start::boot_with(
        start,
        started,
        Some(Arc::clone(&model.log)),
        Some(dialer.as_fd()),
    );
    let mut booted = timeout_at(end, booting)
        .await
        .unwrap_or(Err(StartError::Late))
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
    let given = timeout_at(end, given)
        .await
        .unwrap_or(Err(StartError::Late));
    let signature = given.map_err(worth_another)?;
    let signatures = model.signatures_of(signature).map_err(StartError::Unread)?;
    let warmed = warm_up::run(start, model, &mut booted, &signatures.seen).await;
    let runs = warmed.map_err(worth_another)?;
    agrees(model, &signatures.own)?;
    Ok(start::serving(start, model, booted, (signatures, runs)))
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

/// Clients that have resolved the version go on with what they know of it.
fn agrees(model: &Model, signature: &Signature) -> Result<(), StartError> {
    let Some(known) = model.learnt() else {
        return Ok(());
    };
    let differs = crate::remote::differs(&known.own, signature);
    let fault = |fault: Fault| StartError::Unread(fault);
    differs.map_or(Ok(()), |differs| Err(fault(differs)))
}

fn needs(start: &Startup, model: &Model) -> Result<Needs, StartError> {
    let kserve = model.kserve().map_err(StartError::Refused)?;
    let each = kserve.message_bytes_max.saturating_mul(MESSAGES);
    let messages = each.saturating_mul(kserve.in_flight_max.into());
    let limits = &start.limits;
    Ok(Needs {
        model_bytes: 0,
        budget: Some(
            OWN_BYTES
                .saturating_add(messages)
                .min(limits.worker_budget_max()),
        ),
        framework: Framework::KServe,
        role: Role::Serves,
        threads: 1,
    })
}
