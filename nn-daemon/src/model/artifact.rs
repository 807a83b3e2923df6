//! A model's bytes: where they are kept, and the sealed memory that they are in while it is loaded or loading. What rests
//! has none of it: its next use reads them again, and believes them by their digest alone.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use nn_catalogue::Store;
use nn_shm::Blob;
use nn_tensor::{Fault, Reason};
use nn_vet::{Rules, Vetted};

use crate::prepared::Ready;
use crate::registry::{Sealed, reread};

/// Where bytes are kept.
#[derive(Debug)]
pub(crate) enum Origin {
    /// In memory alone: a guest's.
    Memory,
    /// In the state directory.
    Stored(Arc<Store>),
    /// In a repository.
    Found {
        /// The repository.
        root: PathBuf,
        /// The file in it.
        path: PathBuf,
        /// The weights, where that is an IR's XML.
        weights: Option<PathBuf>,
    },
    /// Not on this machine: remote engines have the model.
    Elsewhere,
    /// Nowhere any more, or without what was said of them; and why.
    Lost(Fault),
}

/// A model's bytes, and what is known of them.
#[derive(Debug)]
pub(crate) struct Artifact {
    pub(crate) sha256: [u8; 32],
    /// How many there are.
    pub(crate) bytes: u64,
    /// "onnx".
    pub(crate) format: String,
    pub(crate) origin: Origin,
    /// What our own reading of them found, once they have been read. It never changes: the digest does not.
    vetted: OnceLock<Vetted>,
    sealed: Mutex<Option<Arc<Blob>>>,
    /// What was made of them and loads faster, while it is held.
    ready: Mutex<Option<Arc<Ready>>>,
    /// Held while they are read, so that two who want them read them once.
    reading: tokio::sync::Mutex<()>,
    /// What a worker had of its own when it had loaded them, in bytes; 0 while that is not known.
    loaded_bytes: AtomicU64,
}

/// Why there are no bytes.
#[derive(Clone, Debug)]
pub(crate) enum Unread {
    /// They are not what they were: trying again will not help.
    Damaged(Fault),
    /// They could not be read now.
    Later(Fault),
}

// === impl Artifact ===

impl Artifact {
    /// Bytes that nobody has read since the daemon's start.
    pub(crate) fn unread(origin: Origin, sha256: [u8; 32], bytes: u64, format: String) -> Self {
        Self {
            sha256,
            bytes,
            format,
            origin,
            vetted: OnceLock::new(),
            sealed: Mutex::default(),
            ready: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            loaded_bytes: AtomicU64::new(0),
        }
    }

    /// Bytes that have just been read, and are in sealed memory.
    pub(crate) fn read(origin: Origin, sealed: Sealed) -> Self {
        let Sealed {
            blob,
            sha256,
            vetted,
        } = sealed;
        let artifact = Self::unread(origin, sha256, blob.bytes(), vetted.format.to_owned());
        *artifact.sealed() = Some(Arc::new(blob));
        let _ = artifact.vetted.set(vetted);
        artifact
    }

    /// What our own reading of them found; `None` until they have been read.
    pub(crate) fn vetted(&self) -> Option<&Vetted> {
        self.vetted.get()
    }

    /// In sealed memory; `None` while they are not.
    pub(crate) fn held(&self) -> Option<Arc<Blob>> {
        self.sealed().clone()
    }

    /// Gives up the memory, if the bytes are kept elsewhere too. Who has them at the moment keeps them.
    pub(crate) fn release(&self) {
        self.release_bytes();
        self.hold_ready(None);
    }

    /// The same, and keeps what was made of them.
    pub(crate) fn release_bytes(&self) {
        if !matches!(self.origin, Origin::Memory) {
            *self.sealed() = None;
        }
    }

    /// What was made of them, if it is held.
    pub(crate) fn ready(&self) -> Option<Arc<Ready>> {
        let ready = self.ready.lock();
        ready.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Holds that until it is released with the bytes; or holds it no longer.
    pub(crate) fn hold_ready(&self, ready: Option<Arc<Ready>>) {
        *self.ready.lock().unwrap_or_else(PoisonError::into_inner) = ready;
    }

    /// In sealed memory, where they stay until they are released: read again if need be, away from the thread that
    /// serves.
    pub(crate) async fn hold(self: &Arc<Self>, rules: Rules) -> Result<Arc<Blob>, Unread> {
        let _turn = self.reading.lock().await;
        if let Some(blob) = self.held() {
            return Ok(blob);
        }
        let blob = Arc::new(self.again(rules).await?);
        *self.sealed() = Some(Arc::clone(&blob));
        Ok(blob)
    }

    /// What our own reading of them finds: they are read for that, and held no longer.
    pub(crate) async fn look(self: &Arc<Self>, rules: Rules) -> Result<&Vetted, Unread> {
        if matches!(self.origin, Origin::Elsewhere) {
            return Err(Unread::Later(Fault::of(Reason::PlacementFile)));
        }
        let _turn = self.reading.lock().await;
        if self.vetted.get().is_none() {
            drop(self.again(rules).await?);
        }
        let unknown = || {
            Unread::Later(
                Fault::of(Reason::BytesUnread).message("reading the model was interrupted"),
            )
        };
        self.vetted.get().ok_or_else(unknown)
    }

    /// Reads them from where they are kept.
    async fn again(self: &Arc<Self>, rules: Rules) -> Result<Blob, Unread> {
        let artifact = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || {
            let known = artifact.vetted.get().is_some();
            let (blob, vetted) = reread(&artifact, known, &rules)?;
            if let Some(vetted) = vetted {
                let _ = artifact.vetted.set(vetted);
            }
            Ok(blob)
        });
        read.await.unwrap_or_else(|_| {
            let interrupted =
                Fault::of(Reason::BytesUnread).message("reading the model was interrupted");
            Err(Unread::Later(interrupted))
        })
    }

    /// What a worker that had loaded them had of its own, in bytes; 0 while that is not known.
    pub(crate) fn loaded_bytes(&self) -> u64 {
        self.loaded_bytes.load(Ordering::Relaxed)
    }

    /// A worker that has just loaded them has so much of its own.
    pub(crate) fn set_loaded_bytes(&self, bytes: u64) {
        self.loaded_bytes.store(bytes, Ordering::Relaxed);
    }

    fn sealed(&self) -> MutexGuard<'_, Option<Arc<Blob>>> {
        self.sealed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
