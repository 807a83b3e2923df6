//! A model's bytes on their way into sealed memory: from a file, or from an upload as it comes, and from where they are kept
//! once more when they are needed again. What passes on is the sealed copy; what happens to the file later does not matter.

mod seal;

use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

use nn_catalogue::{Found, NotBeneath, Stamp, StoreError};
use nn_shm::{Blob, BlobDraft, ShmError};
use nn_tensor::{Fault, Reason};
use nn_vet::{Refusal, Rules, Vetted};
use sha2::{Digest, Sha256};

use super::stored::unwritable;
use crate::limits::Limits;
use crate::model::{Artifact, Origin, Unread};
use seal::fits;
pub(crate) use seal::seal;

/// Why a file gives no artifact.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArtifactError {
    #[error("cannot read the file: {0}")]
    Read(#[from] io::Error),
    #[error("the file has {got} bytes; expected at most {max} (limits.model_bytes_max)")]
    TooLarge { got: u64, max: u64 },
    #[error("the file could not be sealed: {0}")]
    Seal(#[from] ShmError),
    #[error("{0}")]
    Refused(Fault),
    #[error(
        "the file was written, or another put in its place, while it was read; SIGHUP reads it again. Put new versions \
         beside old ones, by `mv`"
    )]
    Written,
    #[error("the bytes are not those that they were; expected sha256 {expected}, got {got}")]
    Digest { expected: String, got: String },
    #[error("{0}: {source}", source = .0.source)]
    Store(#[from] StoreError),
    #[error("{0}")]
    NotBeneath(#[from] NotBeneath),
    #[error("{0}")]
    Lost(Fault),
}

/// Bytes in sealed memory, and what is known of them.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) blob: Blob,
    pub(crate) sha256: [u8; 32],
    /// What our own reading of them found.
    pub(crate) vetted: Vetted,
}

/// Bytes that a client is sending, hashed as they come and kept until they are complete: an operator's in an
/// unnamed file, a guest's in memory.
#[derive(Debug)]
pub(crate) struct Upload<W = File> {
    to: W,
    format: String,
    expected: u64,
    sha256: Option<[u8; 32]>,
    received: u64,
    hasher: Sha256,
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a model's files into sealed memory and vets them. One that is not what it was when it was found, or is written
/// meanwhile, gives none.
pub(super) fn read_as(found: &Found, limits: &Limits) -> Result<Sealed, ArtifactError> {
    let mut files = Vec::with_capacity(found.pieces.len());
    for piece in &found.pieces {
        let file = nn_catalogue::open_beneath(&found.root, &piece.path)?;
        nn_catalogue::after_writes(&file)?;
        files.push((file, piece.stamp.bytes()));
    }
    fits(&files, limits.model_bytes_max)?;
    let sealed = seal(&files).and_then(|blob| vetted(blob, "", &limits.vetting()));
    // Said first: what is wrong with bytes that were written meanwhile is nobody's concern.
    for ((file, _), piece) in files.iter().zip(&found.pieces) {
        if Stamp::of(&file.metadata()?) != piece.stamp {
            return Err(ArtifactError::Written);
        }
    }
    sealed
}

/// Reads bytes again from where they are kept, into new sealed memory. Believed is their digest, and no file: whatever
/// has happened to it since gives an error. They are vetted if they have not been.
pub(crate) fn reread(
    artifact: &Artifact,
    is_vetted: bool,
    rules: &Rules,
) -> Result<(Blob, Option<Vetted>), Unread> {
    let read = reread_sealed(artifact, rules).and_then(|blob| {
        let vetted = (!is_vetted).then(|| vet(&blob, &artifact.format, rules));
        Ok((blob, vetted.transpose()?))
    });
    read.map_err(|error| error.into_unread(artifact))
}

fn reread_sealed(artifact: &Artifact, rules: &Rules) -> Result<Blob, ArtifactError> {
    let (expected, max) = (artifact.sha256, rules.bytes_max);
    let mut files = match &artifact.origin {
        Origin::Stored(store) => vec![store.open_blob(&nn_catalogue::Digest(expected))?],
        Origin::Found {
            root,
            path,
            weights,
        } => {
            let open = |path: &PathBuf| nn_catalogue::open_beneath(root, path);
            let opened: Result<Vec<File>, _> = [Some(path), weights.as_ref()]
                .into_iter()
                .flatten()
                .map(open)
                .collect();
            opened?
        }
        Origin::Lost(fault) => return Err(ArtifactError::Lost(fault.clone())),
        Origin::Elsewhere => {
            return Err(ArtifactError::Lost(Fault::of(Reason::PlacementFile)));
        }
        // They never leave it.
        Origin::Memory => return Err(ArtifactError::Read(io::ErrorKind::NotFound.into())),
    };
    let sized = files.drain(..).map(|file| {
        let bytes = file.metadata()?.len();
        Ok((file, bytes))
    });
    let files = sized.collect::<io::Result<Vec<(File, u64)>>>()?;
    fits(&files, max)?;
    let blob = seal(&files)?;
    let got = digest_of(&blob)?;
    if got == expected {
        return Ok(blob);
    }
    let (expected, got) = (hex(&expected), hex(&got));
    Err(ArtifactError::Digest { expected, got })
}

/// That of the copy, which nobody changes any more.
pub(crate) fn digest_of(blob: &Blob) -> Result<[u8; 32], ArtifactError> {
    Ok(Sha256::digest(blob.map()?.as_ref()).into())
}

fn vet(blob: &Blob, said: &str, rules: &Rules) -> Result<Vetted, ArtifactError> {
    let vetted = nn_vet::vet(blob.map()?.as_ref(), said, rules);
    vetted.map_err(|refusal: Refusal| ArtifactError::Refused(refusal.into()))
}

fn vetted(blob: Blob, said: &str, rules: &Rules) -> Result<Sealed, ArtifactError> {
    Ok(Sealed {
        sha256: digest_of(&blob)?,
        vetted: vet(&blob, said, rules)?,
        blob,
    })
}

impl ArtifactError {
    fn into_fault(self) -> Fault {
        match self {
            Self::Refused(fault) => fault,
            Self::TooLarge { got, max } => Fault::of(Reason::VetSize)
                .expected(format!("at most {max} bytes"))
                .got(format!("{got} bytes")),
            Self::Lost(fault) => fault,
            Self::Read(_)
            | Self::Seal(_)
            | Self::Written
            | Self::Digest { .. }
            | Self::Store(_)
            | Self::NotBeneath(_) => {
                let log_id = crate::telemetry::log_id();
                tracing::error!(log_id, "an upload could not be taken in: {self}");
                Fault::of(Reason::UploadInterrupted)
                    .message("the daemon could not take the model in")
                    .log_id(log_id)
            }
        }
    }

    /// Why bytes that were there once are not. What a client may read of it names no path and no digest.
    fn into_unread(self, artifact: &Artifact) -> Unread {
        let is_for_good = match &self {
            Self::Read(error) => is_gone(error),
            Self::Store(error) => is_gone(&error.source),
            Self::NotBeneath(NotBeneath::Open { source, .. }) => is_gone(source),
            Self::Seal(_) => false,
            Self::NotBeneath(_)
            | Self::TooLarge { .. }
            | Self::Refused(_)
            | Self::Written
            | Self::Digest { .. }
            | Self::Lost(_) => true,
        };
        if let Self::Refused(fault) | Self::Lost(fault) = self {
            return Unread::Damaged(fault);
        }
        if let Self::TooLarge { .. } = self {
            return Unread::Damaged(self.into_fault().hint("limits.model_bytes_max"));
        }
        let log_id = crate::telemetry::log_id();
        let sha256 = hex(&artifact.sha256);
        tracing::error!(
            log_id,
            sha256,
            "a model's bytes cannot be read again: {self}"
        );
        if !is_for_good {
            let fault = Fault::of(Reason::BytesUnread);
            return Unread::Later(fault.log_id(log_id));
        }
        let fault = Fault::of(Reason::BytesDamaged);
        Unread::Damaged(fault.log_id(log_id))
    }
}

/// Whether a file is not there, or shorter than it was.
fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind;
    let kind = error.kind();
    matches!(kind, ErrorKind::NotFound | ErrorKind::UnexpectedEof)
}

// === impl Upload ===

impl<W: Write> Upload<W> {
    fn new(to: W, format: String, expected: u64, sha256: Option<[u8; 32]>) -> Self {
        Self {
            to,
            format,
            expected,
            sha256,
            received: 0,
            hasher: Sha256::new(),
        }
    }

    /// Takes a chunk.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Result<(), Fault> {
        let len = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        self.received = self.received.saturating_add(len);
        if self.received > self.expected {
            return Err(Fault::of(Reason::UploadLength)
                .message("more bytes came than were announced")
                .expected(format!("{} bytes", self.expected)));
        }
        self.hasher.update(chunk);
        self.to.write_all(chunk).map_err(|error| {
            let log_id = crate::telemetry::log_id();
            tracing::error!(log_id, "cannot write an upload: {error}");
            unwritable(&error).log_id(log_id)
        })
    }

    /// Whether all bytes that were announced have come.
    pub(crate) fn is_full(&self) -> bool {
        self.received >= self.expected
    }

    /// Ends the upload: all bytes must have come, with the right digest. Gives that.
    pub(crate) fn complete(&mut self) -> Result<[u8; 32], Fault> {
        if self.received != self.expected {
            return Err(Fault::of(Reason::UploadLength)
                .message("the upload ended early")
                .hint("send it again, whole")
                .expected(format!("{} bytes", self.expected))
                .got(format!("{} bytes", self.received)));
        }
        let got: [u8; 32] = std::mem::take(&mut self.hasher).finalize().into();
        match self.sha256 {
            Some(expected) if expected != got => Err(Fault::of(Reason::UploadDigest)
                .expected(hex(&expected))
                .got(hex(&got))),
            _ => Ok(got),
        }
    }
}

impl Upload {
    /// Begins to take `expected` bytes, which hash to `sha256` if that is given.
    pub(crate) fn begin(
        dir: &Path,
        format: String,
        expected: u64,
        sha256: &[u8],
        limits: &Limits,
    ) -> Result<Self, Fault> {
        if expected > limits.model_bytes_max {
            return Err(Fault::of(Reason::VetSize)
                .expected(format!("at most {} bytes", limits.model_bytes_max))
                .got(format!("{expected} bytes")));
        }
        let sha256 = match sha256 {
            [] => None,
            given => Some(digest(given)?),
        };
        let file = tempfile::tempfile_in(dir).map_err(|error| {
            let log_id = crate::telemetry::log_id();
            tracing::error!(log_id, dir = %dir.display(), "cannot make a file: {error}");
            unwritable(&error).log_id(log_id)
        })?;
        Ok(Self::new(file, format, expected, sha256))
    }

    /// A completed upload, sealed and vetted.
    pub(crate) async fn seal(mut self, limits: &Limits) -> Result<Sealed, Fault> {
        let too_large = self.expected > limits.model_bytes_max;
        let rules = limits.vetting();
        let sealed = tokio::task::spawn_blocking(move || {
            if too_large {
                return Err(ArtifactError::Read(io::ErrorKind::FileTooLarge.into()));
            }
            self.to.rewind()?;
            let blob = seal(&[(self.to, self.expected)])?;
            vetted(blob, &self.format, &rules)
        });
        sealed
            .await
            .map_err(|_| Fault::of(Reason::UploadInterrupted))?
            .map_err(ArtifactError::into_fault)
    }
}

impl Upload<BlobDraft> {
    /// Begins to take bytes into memory, where they stay: they touch no file. The caller has made room.
    pub(crate) fn in_memory(
        format: String,
        expected: u64,
        sha256: [u8; 32],
    ) -> Result<Self, Fault> {
        let draft = BlobDraft::new(expected)
            .map_err(ArtifactError::Seal)
            .map_err(ArtifactError::into_fault)?;
        Ok(Self::new(draft, format, expected, Some(sha256)))
    }

    /// The sealed, vetted artifact of what has come; fails unless that is what was announced.
    pub(crate) async fn finish(mut self, limits: &Limits) -> Result<Artifact, Fault> {
        let rules = limits.vetting();
        let sealed = tokio::task::spawn_blocking(move || {
            let sha256 = self.complete()?;
            let sealed = self.to.seal().map_err(ArtifactError::Seal);
            let sealed = sealed.and_then(|blob| {
                let vetted = vet(&blob, &self.format, &rules)?;
                Ok(Sealed {
                    blob,
                    sha256,
                    vetted,
                })
            });
            sealed.map_err(ArtifactError::into_fault)
        });
        let sealed = sealed
            .await
            .map_err(|_| Fault::of(Reason::UploadInterrupted))??;
        Ok(Artifact::read(Origin::Memory, sealed))
    }
}

/// A SHA-256 from the wire.
pub(crate) fn digest(bytes: &[u8]) -> Result<[u8; 32], Fault> {
    bytes.try_into().map_err(|_| {
        Fault::of(Reason::UploadDigest)
            .message("a SHA-256 of the wrong length")
            .expected("32 bytes")
            .got(format!("{} bytes", bytes.len()))
    })
}
