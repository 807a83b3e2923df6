//! The registry's hand in the state directory: work on it away from the thread that serves, and what a client is told
//! where that fails.

use std::io;
use std::sync::Arc;

use nn_catalogue::{Digest, Landing, NewVersion, Store, StoreError};
use nn_tensor::{Fault, Reason};
use nn_vet::Vetted;

use super::Registry;
use crate::lifecycle::state::{Event, State};
use crate::model::{Model, Origin, Unread};

/// Bytes first, then the record that names them.
pub(super) fn keep(
    store: &Store,
    model: &Model,
    pending: Option<&Landing>,
) -> Result<(), StoreError> {
    let artifact = &model.artifact;
    let gone = || StoreError::writing(&store.incoming(), io::ErrorKind::NotFound.into());
    let blob = match artifact.origin {
        Origin::Elsewhere => None,
        _ => Some(artifact.held().ok_or_else(gone)?),
    };
    let bytes = blob.as_ref().map(|blob| blob.map()).transpose();
    let unwritten = |fault| StoreError::writing(&store.incoming(), io::Error::other(fault));
    let manifest = model.manifest.to_text().map_err(unwritten)?;
    let unmapped = |error| StoreError::writing(&store.incoming(), io::Error::other(error));
    let bytes = bytes.map_err(unmapped)?;
    let new = NewVersion {
        format: &artifact.format,
        sha256: Digest(artifact.sha256),
        bytes: bytes.as_ref().map_or(&[], AsRef::as_ref),
        manifest: &manifest,
        pending,
    };
    store.keep(&model.name, model.version, &new)
}

/// What a client may read of it; the log has the rest.
pub(crate) fn not_stored(error: &StoreError) -> Fault {
    let log_id = crate::telemetry::log_id();
    tracing::error!(log_id, "{error}: {}", error.source);
    unwritable(&error.source).log_id(log_id)
}

/// What an operator can do about a state directory that cannot be written.
pub(super) fn unwritable(error: &io::Error) -> Fault {
    let fault = Fault::of(Reason::StateUnwritable);
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => fault
            .got("the disk is full")
            .hint("make room there (`nnctl unload` removes a version's bytes) and try again"),
        io::ErrorKind::ReadOnlyFilesystem => fault
            .got("the file system is read-only")
            .hint("mount it writable and try again"),
        io::ErrorKind::PermissionDenied => fault
            .got("permission denied")
            .hint("the directory must belong to the daemon's user"),
        _ => fault.hint("the daemon's log says why"),
    }
}

impl Registry {
    /// What the bytes of a version say; they are read for that where nobody has since the daemon's start. One whose bytes
    /// are damaged has failed, and is not read again.
    pub(crate) async fn look<'a>(&self, model: &'a Model) -> Option<&'a Vetted> {
        let state = || model.status.borrow().state;
        if state() == State::Failed {
            return model.artifact.vetted();
        }
        match model.artifact.look(self.limits.vetting()).await {
            Ok(vetted) => Some(vetted),
            Err(Unread::Damaged(fault)) if state() == State::Absent => {
                model.advance(Event::Refused, Some(fault));
                None
            }
            Err(Unread::Damaged(_) | Unread::Later(_)) => None,
        }
    }

    /// Works on the state directory, away from the thread that serves.
    pub(super) async fn stored<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Fault> {
        let store = Arc::clone(&self.store);
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        done.map_err(|_| {
            Fault::of(Reason::StateUnwritable)
                .message("work on the state directory was interrupted")
        })?
        .map_err(|error| not_stored(&error))
    }
}
