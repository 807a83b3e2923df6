//! Uploaded models on disk, so that they survive a restart:
//!
//! ```text
//! STATE/blobs/SHA256            the bytes, named by their digest
//! STATE/models/NAME.toml        versions, and which is current
//! STATE/incoming/               uploads under way (unnamed files)
//! ```
//!
//! Every file is written under a temporary name, synced, and moved into place.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nn_tensor::{Fault, ModelName, Version};
use serde::{Deserialize, Serialize};

use super::artifact::{self, ArtifactError, hex};
use crate::limits::Limits;
use crate::model::{Artifact, Model};

/// The state directory.
#[derive(Debug)]
pub(crate) struct Store {
    dir: PathBuf,
    /// Held while a record is read, changed and written, and its blob made or removed.
    changing: Mutex<()>,
}

/// What NAME.toml holds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kept {
    current: Option<u32>,
    highest: u32,
    #[serde(default)]
    versions: BTreeMap<String, KeptVersion>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptVersion {
    format: String,
    sha256: String,
}

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {path}")]
pub(crate) struct StoreError {
    what: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl StoreError {
    /// A file that could not be written.
    pub(crate) fn writing(path: &Path, source: io::Error) -> Self {
        failed("write", path)(source)
    }

    pub(crate) fn into_fault(self) -> Fault {
        let log_id = crate::telemetry::log_id();
        tracing::error!(log_id, "{self}: {}", self.source);
        Fault::runtime("the daemon could not write to its state directory").log_id(log_id)
    }
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError { what, path, source }
}

// === impl Kept ===

impl Kept {
    pub(crate) fn current(&self) -> Option<Version> {
        self.current.and_then(Version::new)
    }

    pub(crate) fn highest(&self) -> Option<Version> {
        Version::new(self.highest)
    }

    pub(crate) fn versions(&self) -> Vec<Version> {
        let mut versions: Vec<Version> = self
            .versions
            .keys()
            .filter_map(|text| text.parse().ok())
            .collect();
        versions.sort_unstable();
        versions
    }
}

// === impl Store ===

impl Store {
    /// Opens the state directory, making what is missing; what an upload left behind is removed.
    pub(crate) fn open(dir: &Path) -> Result<Self, StoreError> {
        for below in ["", "blobs", "models", "incoming"] {
            let path = dir.join(below);
            fs::create_dir_all(&path).map_err(failed("make", &path))?;
        }
        Ok(Self {
            dir: dir.to_owned(),
            changing: Mutex::new(()),
        })
    }

    /// Where uploads are written.
    pub(crate) fn incoming(&self) -> PathBuf {
        self.dir.join("incoming")
    }

    /// Everything kept, by name. A file that cannot be read is reported and left alone.
    pub(crate) fn load(&self) -> Vec<(ModelName, Kept)> {
        let Ok(entries) = fs::read_dir(self.dir.join("models")) else {
            return Vec::new();
        };
        let name = |path: &Path| path.file_stem()?.to_str()?.parse::<ModelName>().ok();
        let toml = entries
            .filter_map(|e| Some(e.ok()?.path()))
            .filter(|p| p.extension().is_some_and(|e| e == "toml"));
        toml.filter_map(|path| match (name(&path), self.read(&path)) {
            (Some(name), Ok(kept)) => Some((name, kept)),
            (_, error) => {
                tracing::error!(path = %path.display(), "left out: {:?}", error.err());
                None
            }
        })
        .collect()
    }

    /// A kept version's bytes, if they still are what was stored.
    pub(crate) fn artifact(
        &self,
        kept: &Kept,
        version: Version,
        limits: &Limits,
    ) -> Result<Artifact, ArtifactError> {
        let stored = kept.versions.get(&version.to_string());
        let stored = stored.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let artifact = artifact::read(&self.blob(&stored.sha256), limits)?;
        let got = hex(&artifact.sha256);
        if got != stored.sha256 {
            return Err(ArtifactError::Digest {
                expected: stored.sha256.clone(),
                got,
            });
        }
        Ok(artifact)
    }

    /// Keeps a model: its bytes first, then the record that names them.
    pub(crate) fn keep(&self, model: &Model) -> Result<(), StoreError> {
        let _changing = self.changing();
        let sha256 = hex(&model.artifact.sha256);
        let blob = self.blob(&sha256);
        if !blob.exists() {
            let bytes = model
                .artifact
                .blob
                .map()
                .map_err(|error| failed("map", &blob)(io::Error::other(error)))?;
            replace(&blob, bytes.as_ref())?;
        }
        self.update(&model.name, |kept| {
            kept.highest = kept.highest.max(model.version.get());
            let version = KeptVersion {
                format: model.artifact.vetted.format.to_owned(),
                sha256,
            };
            kept.versions.insert(model.version.to_string(), version);
        })
    }

    /// Notes which version is current.
    pub(crate) fn set_current(&self, name: &ModelName, version: Version) -> Result<(), StoreError> {
        let _changing = self.changing();
        self.update(name, |kept| kept.current = Some(version.get()))
    }

    /// Forgets a version; its bytes go when no other version has the same.
    pub(crate) fn forget(&self, model: &Model) -> Result<(), StoreError> {
        let _changing = self.changing();
        let forgotten = self.forget_record(model);
        self.remove_bytes(model)?;
        // A full disk has no room for a new record until the bytes have gone. A crash between the two leaves a record
        // without bytes, which the next start reports and leaves out.
        forgotten.or_else(|_| self.forget_record(model))
    }

    fn forget_record(&self, model: &Model) -> Result<(), StoreError> {
        self.update(&model.name, |kept| {
            kept.versions.remove(&model.version.to_string());
            if kept.current == Some(model.version.get()) {
                kept.current = kept.versions().last().map(|version| version.get());
            }
        })
    }

    fn remove_bytes(&self, model: &Model) -> Result<(), StoreError> {
        let (sha256, own) = (hex(&model.artifact.sha256), model.version.to_string());
        let wanted = self.load().iter().any(|(name, kept)| {
            let other = |version: &String| *name != model.name || *version != own;
            let mut others = kept.versions.iter().filter(|(version, _)| other(version));
            others.any(|(_, version)| version.sha256 == sha256)
        });
        if wanted {
            return Ok(());
        }
        let blob = self.blob(&sha256);
        fs::remove_file(&blob)
            .or_else(ignore_missing)
            .map_err(failed("remove", &blob))
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, name: &ModelName, change: impl FnOnce(&mut Kept)) -> Result<(), StoreError> {
        let path = self.dir.join("models").join(format!("{name}.toml"));
        let mut kept = if path.exists() {
            self.read(&path)?
        } else {
            Kept::default()
        };
        change(&mut kept);
        let text = toml::to_string(&kept)
            .map_err(|error| failed("write", &path)(io::Error::other(error)))?;
        replace(&path, text.as_bytes())
    }

    fn read(&self, path: &Path) -> Result<Kept, StoreError> {
        let text = fs::read_to_string(path).map_err(failed("read", path))?;
        toml::from_str(&text).map_err(|error| failed("read", path)(io::Error::other(error)))
    }

    fn blob(&self, sha256: &str) -> PathBuf {
        self.dir.join("blobs").join(sha256)
    }
}

fn ignore_missing(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound {
        Ok(())
    } else {
        Err(error)
    }
}

/// Writes a file so that a reader, or a crash, sees the old one or the new one whole.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(dir).map_err(failed("write below", dir))?;
    file.write_all(bytes).map_err(failed("write", path))?;
    file.as_file().sync_all().map_err(failed("sync", path))?;
    file.persist(path)
        .map_err(|error| failed("move into place", path)(error.error))?;
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(failed("sync", dir))
}
