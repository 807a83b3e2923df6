//! A worker that makes of a model what loads faster. It is started as any other, in a jail that lets it write one piece of memory; what is
//! in that is taken once the process has ended, when nobody can write to it any more.

use std::os::fd::AsFd;

use nn_shm::{Blob, BlobDraft};
use nn_tensor::Fault;
use nn_worker_wire as wire;
use tokio::time::timeout;

use super::exit::Report;
use super::needs::{Needs, needs, spawn};
use super::spawn::{Purpose, SpawnError};
use super::start::{self, StartError, Startup};
use super::{answer, bytes};
use crate::framework::Role;
use crate::model::Model;

/// Makes it, within the time that a load of the model may take; gives it sealed.
pub(crate) async fn prepare(start: &Startup, model: &Model) -> Result<Blob, StartError> {
    let making = make(start, model);
    let made = timeout(model.load_max(&start.limits), making).await;
    let made = made.unwrap_or_else(|_| {
        Err(StartError::TooLong(Fault::runtime(
            "preparing the model took too long",
        )))
    });
    if let Err(error) = &made {
        error.count(&start.ends);
    }
    made
}

async fn make(start: &Startup, model: &Model) -> Result<Blob, StartError> {
    let framework = model.framework().map_err(StartError::Refused)?;
    let bytes = bytes::of(start, model).await?;
    let memory = |error| StartError::Spawn(SpawnError::System(std::io::Error::other(error)));
    let mut draft = BlobDraft::new(0).map_err(memory)?;
    let needs = Needs {
        role: Role::Prepares,
        ..needs(start, model, framework)
    };
    let started = spawn(start, Purpose::Model, needs).await?;
    let place = draft.file();
    let mut booted = start::boot_with(start, started, None, Some(place.as_fd()))
        .await
        .map_err(|error| StartError::Boot(error.into()))?;
    let format = model.artifact.format.as_str();
    let frame = wire::ToWorker::Prepare {
        format: format.into(),
        parts: vec![wire::Part {
            name: format!("model.{format}"),
            bytes: bytes.bytes(),
        }],
        precision: start::precision(model),
    };
    start::send(&booted.socket, &frame, Some(bytes.as_fd())).await?;
    match start::recv(&booted.socket, &mut booted.exit).await? {
        wire::FromWorker::Prepared { result: Ok(()) } => {}
        wire::FromWorker::Prepared {
            result: Err(failure),
        } => return Err(StartError::Refused(answer::explain(failure, booted.id))),
        other => {
            return Err(StartError::Protocol(format!(
                "{other:?} in answer to Prepare"
            )));
        }
    }
    start::send(&booted.socket, &wire::ToWorker::Bye, None).await?;
    match booted.exit.learn().await {
        Report::Ended(_) => {}
        Report::Lives | Report::Late => {
            return Err(StartError::Protocol("it lives on after Bye".into()));
        }
    }
    let blob = draft.seal_as_found().map_err(memory)?;
    if blob.bytes() == 0 {
        return Err(StartError::Protocol("it has prepared nothing".into()));
    }
    Ok(blob)
}

/// Why, with all causes, for the log.
pub(crate) fn causes(error: &StartError) -> String {
    let first: &dyn std::error::Error = error;
    let all = std::iter::successors(Some(first), |error| error.source());
    all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
