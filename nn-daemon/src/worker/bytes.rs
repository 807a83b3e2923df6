//! The model's bytes for a worker, before it is started: in sealed memory, vetted, and such as its `model.toml` says.

use std::sync::Arc;

use nn_shm::Blob;
use nn_tensor::{Fault, Reason};
use tokio::time::timeout;

use super::start::{StartError, Startup};
use super::warm_up;
use crate::model::{Model, Unread};

/// Reads them if need be, for as long as a load may take.
pub(super) async fn of(start: &Startup, model: &Model) -> Result<Arc<Blob>, StartError> {
    let holding = model.artifact.hold(start.limits.vetting());
    let held = timeout(model.load_max(&start.limits), holding).await;
    let blob = held
        .map_err(|_| StartError::Late)?
        .map_err(|unread| match unread {
            Unread::Damaged(fault) => StartError::Refused(fault),
            Unread::Later(fault) => StartError::Unread(fault),
        })?;
    let unknown = || {
        StartError::Unread(
            Fault::of(Reason::BytesUnread).message("the model's bytes were not vetted"),
        )
    };
    let vetted = model.artifact.vetted().ok_or_else(unknown)?;
    if let Some(signature) = &vetted.signature {
        let seen = model.manifest.converted(signature);
        warm_up::fits(model, &seen.map_err(StartError::Refused)?, &start.limits)?;
    }
    Ok(blob)
}
