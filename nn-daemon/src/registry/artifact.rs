//! A model's bytes on their way into sealed memory: from a file, or from an upload as it comes. What
//! passes on is the sealed copy; what happens to the file later does not matter.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::path::Path;

use nn_catalogue::Stamp;
use nn_shm::{Blob, BlobDraft, ShmError};
use nn_tensor::Fault;
use nn_vet::{Refusal, Rules};
use sha2::{Digest, Sha256};

use super::stored::unwritable;
use crate::limits::Limits;
use crate::model::Artifact;

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
    #[error("the bytes are not those that were stored; expected sha256 {expected}, got {got}")]
    Digest { expected: String, got: String },
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

/// Reads a model file into sealed memory and vets it. A file that is written meanwhile gives no artifact.
pub(crate) fn read(file: &File, limits: &Limits) -> Result<Artifact, ArtifactError> {
    read_as(file, &Stamp::settled(file)?, limits)
}

/// The same of a file that is still what it was when it was found.
pub(super) fn read_as(
    file: &File,
    found: &Stamp,
    limits: &Limits,
) -> Result<Artifact, ArtifactError> {
    let (bytes, max) = (found.bytes(), limits.model_bytes_max);
    if bytes > max {
        return Err(ArtifactError::TooLarge { got: bytes, max });
    }
    let artifact = seal(file, bytes, "", &limits.vetting());
    // Said first: what is wrong with bytes that were written meanwhile is nobody's concern.
    if Stamp::of(&file.metadata()?) != *found {
        return Err(ArtifactError::Written);
    }
    artifact
}

/// Copies a file to sealed memory. The digest is that of the copy.
fn seal(file: &File, bytes: u64, said: &str, rules: &Rules) -> Result<Artifact, ArtifactError> {
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
    let sha256 = Sha256::digest(blob.map()?.as_ref()).into();
    vetted(blob, sha256, said, rules)
}

fn vetted(
    blob: Blob,
    sha256: [u8; 32],
    said: &str,
    rules: &Rules,
) -> Result<Artifact, ArtifactError> {
    let vetted = nn_vet::vet(blob.map()?.as_ref(), said, rules);
    let vetted = vetted.map_err(|refusal: Refusal| ArtifactError::Refused(refusal.into()))?;
    Ok(Artifact {
        blob,
        sha256,
        vetted,
    })
}

impl ArtifactError {
    fn into_fault(self) -> Fault {
        match self {
            Self::Refused(fault) => fault,
            Self::TooLarge { got, max } => Fault::too_large("the model is too large")
                .expected(format!("at most {max} bytes"))
                .got(format!("{got} bytes")),
            Self::Read(_) | Self::Seal(_) | Self::Written | Self::Digest { .. } => {
                let log_id = crate::telemetry::log_id();
                tracing::error!(log_id, "an upload could not be taken in: {self}");
                Fault::runtime("the daemon could not take the model in").log_id(log_id)
            }
        }
    }
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

    /// The sealed, vetted artifact of a completed upload.
    pub(crate) async fn seal(mut self, limits: &Limits) -> Result<Artifact, Fault> {
        let too_large = self.expected > limits.model_bytes_max;
        let rules = limits.vetting();
        let sealed = tokio::task::spawn_blocking(move || {
            if too_large {
                return Err(ArtifactError::Read(io::ErrorKind::FileTooLarge.into()));
            }
            self.to.rewind()?;
            seal(&self.to, self.expected, &self.format, &rules)
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
            let blob = self.to.seal().map_err(ArtifactError::Seal);
            blob.and_then(|blob| vetted(blob, sha256, &self.format, &rules))
                .map_err(ArtifactError::into_fault)
        });
        sealed
            .await
            .map_err(|_| Fault::runtime("taking the model in was interrupted"))?
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
