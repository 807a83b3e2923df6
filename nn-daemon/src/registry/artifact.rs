//! A model's bytes on their way into sealed memory: from a file, or from an upload as it comes. What
//! passes on is the sealed copy; what happens to the file later does not matter.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use nn_shm::{Blob, ShmError};
use nn_tensor::Fault;
use sha2::{Digest, Sha256};

use super::vet;
use crate::limits::Limits;
use crate::model::Artifact;

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
    #[error("the bytes are not those that were stored; expected sha256 {expected}, got {got}")]
    Digest { expected: String, got: String },
}

/// Bytes that a client is sending, kept in an unnamed file until they are complete.
#[derive(Debug)]
pub(crate) struct Upload {
    file: File,
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

/// Reads a model file into sealed memory and vets it.
pub(crate) fn read(path: &Path, limits: &Limits) -> Result<Artifact, ArtifactError> {
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let max = limits.model_bytes_max;
    if bytes > max {
        return Err(ArtifactError::TooLarge { got: bytes, max });
    }
    seal(file, bytes, "")
}

/// Copies a file to sealed memory. The digest is that of the copy.
fn seal(mut file: File, bytes: u64, said: &str) -> Result<Artifact, ArtifactError> {
    let blob = Blob::create(bytes, |memory| {
        // Bounded: a file that grows meanwhile does not.
        let copied = io::copy(&mut (&mut file).take(bytes), memory)?;
        if copied == bytes {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    })?;
    let mapped = blob.map()?;
    let format = vet::format_of(mapped.as_ref(), said).map_err(ArtifactError::Refused)?;
    let sha256 = Sha256::digest(mapped.as_ref()).into();
    drop(mapped);
    Ok(Artifact {
        blob,
        sha256,
        format: format.to_owned(),
    })
}

impl ArtifactError {
    fn into_fault(self) -> Fault {
        match self {
            Self::Refused(fault) => fault,
            Self::TooLarge { got, max } => Fault::too_large("the model is too large")
                .expected(format!("at most {max} bytes"))
                .got(format!("{got} bytes")),
            Self::Read(_) | Self::Seal(_) | Self::Digest { .. } => {
                let log_id = crate::telemetry::log_id();
                tracing::error!(log_id, "an upload could not be taken in: {self}");
                Fault::runtime("the daemon could not take the model in").log_id(log_id)
            }
        }
    }
}

// === impl Upload ===

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
            given => Some(given.try_into().map_err(|_| {
                Fault::invalid_argument("a SHA-256 of the wrong length")
                    .expected("32 bytes, or none")
                    .got(format!("{} bytes", given.len()))
            })?),
        };
        let file = tempfile::tempfile_in(dir).map_err(|error| {
            let log_id = crate::telemetry::log_id();
            tracing::error!(log_id, dir = %dir.display(), "cannot make a file: {error}");
            Fault::runtime("the daemon cannot write to its state directory").log_id(log_id)
        })?;
        Ok(Self {
            file,
            format,
            expected,
            sha256,
            received: 0,
            hasher: Sha256::new(),
        })
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
        self.file.write_all(chunk).map_err(|error| {
            let log_id = crate::telemetry::log_id();
            tracing::error!(log_id, "cannot write an upload: {error}");
            let full = error.kind() == io::ErrorKind::StorageFull;
            Fault::runtime("the daemon could not store the model")
                .hint(if full {
                    "its state directory is full"
                } else {
                    "see its log"
                })
                .log_id(log_id)
        })
    }

    /// Ends the upload: all bytes must have come, with the right digest.
    pub(crate) fn complete(&mut self) -> Result<(), Fault> {
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
            _ => Ok(()),
        }
    }

    /// The sealed, vetted artifact of a completed upload.
    pub(crate) async fn seal(mut self, limits: &Limits) -> Result<Artifact, Fault> {
        let too_large = self.expected > limits.model_bytes_max;
        let sealed = tokio::task::spawn_blocking(move || {
            if too_large {
                return Err(ArtifactError::Read(io::ErrorKind::FileTooLarge.into()));
            }
            self.file.rewind()?;
            seal(self.file, self.expected, &self.format)
        });
        sealed
            .await
            .map_err(|_| Fault::runtime("taking the model in was interrupted"))?
            .map_err(ArtifactError::into_fault)
    }
}
