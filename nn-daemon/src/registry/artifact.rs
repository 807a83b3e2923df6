//! A model's bytes on their way into sealed memory: from a file, or from an upload as it comes, and from where they are kept
//! once more when they are needed again. What passes on is the sealed copy; what happens to the file later does not matter.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::path::Path;

use nn_catalogue::{NotBeneath, Stamp, StoreError};
use nn_shm::{Blob, BlobDraft, ShmError};
use nn_tensor::Fault;
use nn_vet::{Refusal, Rules, Vetted};
use sha2::{Digest, Sha256};

use super::stored::unwritable;
use crate::limits::Limits;
use crate::model::{Artifact, Origin, Unread};

/// How much of a file is read before it is written to sealed memory, in bytes.
const COPIED_AT_ONCE: usize = 256 * 1024;

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

/// Reads a model file into sealed memory and vets it. A file that is not what it was when it was found, or is written
/// meanwhile, gives none.
pub(super) fn read_as(
    file: &File,
    found: &Stamp,
    limits: &Limits,
) -> Result<Sealed, ArtifactError> {
    let (bytes, max) = (found.bytes(), limits.model_bytes_max);
    if bytes > max {
        return Err(ArtifactError::TooLarge { got: bytes, max });
    }
    let sealed = seal(file, bytes).and_then(|blob| vetted(blob, "", &limits.vetting()));
    // Said first: what is wrong with bytes that were written meanwhile is nobody's concern.
    if Stamp::of(&file.metadata()?) != *found {
        return Err(ArtifactError::Written);
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
    let file = match &artifact.origin {
        Origin::Stored(store) => store.open_blob(&nn_catalogue::Digest(expected))?,
        Origin::Found { root, path } => nn_catalogue::open_beneath(root, path)?,
        Origin::Lost(fault) => return Err(ArtifactError::Lost(fault.clone())),
        // They never leave it.
        Origin::Memory => return Err(ArtifactError::Read(io::ErrorKind::NotFound.into())),
    };
    let bytes = file.metadata()?.len();
    if bytes > max {
        return Err(ArtifactError::TooLarge { got: bytes, max });
    }
    let blob = seal(&file, bytes)?;
    let got = digest_of(&blob)?;
    if got == expected {
        return Ok(blob);
    }
    let (expected, got) = (hex(&expected), hex(&got));
    Err(ArtifactError::Digest { expected, got })
}

/// Copies a file to sealed memory.
fn seal(file: &File, bytes: u64) -> Result<Blob, ArtifactError> {
    let blob = Blob::create(bytes, |memory| {
        // Bounded: a file that grows meanwhile does not.
        // By hand: between two files the standard library copies by calls of the kernel that the daemon's jail has not.
        let reader: &mut dyn Read = &mut file.take(bytes);
        let mut memory = BufWriter::with_capacity(COPIED_AT_ONCE, memory);
        let copied = io::copy(reader, &mut memory)?;
        memory.flush()?;
        if copied == bytes {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    })?;
    Ok(blob)
}

/// That of the copy, which nobody changes any more.
fn digest_of(blob: &Blob) -> Result<[u8; 32], ArtifactError> {
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
            Self::TooLarge { got, max } => Fault::too_large("the model is too large")
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
                Fault::runtime("the daemon could not take the model in").log_id(log_id)
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
            let fault = Fault::runtime("the model's bytes could not be read");
            return Unread::Later(
                fault
                    .hint("try again; the daemon's log says why")
                    .log_id(log_id),
            );
        }
        let fault = Fault::runtime("the model's bytes are damaged, or gone").hint(
            "unload this version, and load it again from where it came from; the daemon's log says more",
        );
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
            return Err(
                Fault::invalid_argument("more bytes came than were announced")
                    .expected(format!("{} bytes", self.expected)),
            );
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
            return Err(Fault::invalid_argument("the upload ended early")
                .expected(format!("{} bytes", self.expected))
                .got(format!("{} bytes", self.received)));
        }
        let got: [u8; 32] = std::mem::take(&mut self.hasher).finalize().into();
        match self.sha256 {
            Some(expected) if expected != got => Err(Fault::invalid_argument(
                "the upload's digest is not the announced one",
            )
            .expected(hex(&expected))
            .got(hex(&got))
            .hint("the file changed while it was sent; send it again")),
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
            return Err(Fault::too_large("the model is too large")
                .expected(format!("at most {} bytes", limits.model_bytes_max))
                .got(format!("{expected} bytes"))
                .hint("limits.model_bytes_max"));
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
            vetted(seal(&self.to, self.expected)?, &self.format, &rules)
        });
        sealed
            .await
            .map_err(|_| Fault::runtime("taking the model in was interrupted"))?
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
            .map_err(|_| Fault::runtime("taking the model in was interrupted"))??;
        Ok(Artifact::read(Origin::Memory, sealed))
    }
}

/// A SHA-256 from the wire.
pub(crate) fn digest(bytes: &[u8]) -> Result<[u8; 32], Fault> {
    bytes.try_into().map_err(|_| {
        Fault::invalid_argument("a SHA-256 of the wrong length")
            .expected("32 bytes")
            .got(format!("{} bytes", bytes.len()))
    })
}
