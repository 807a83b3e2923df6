//! The state directory: uploaded models, and which version each name means.
//!
//! ```text
//! STATE/blobs/SHA256            bytes, named by their digest: one file however many versions have them
//! STATE/models/NAME.toml        a name's record: its versions, its pointers
//! STATE/incoming/               uploads under way (unnamed files)
//! STATE/prepared/               what loads faster than the bytes it was made of (`prepared.rs`)
//! ```
//!
//! Every file is written under a temporary name, synced, and moved into place, and its directory synced: whoever reads,
//! and whoever starts after a crash or a loss of power, finds the old file or the new one whole. Bytes come before the
//! record that names them, and go after it; [`Store::sweep`] clears away what a crash left between the two.

mod files;
mod record;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use nn_tensor::{ModelName, Version};

use crate::{Digest, Landing, Pointers};
pub use files::replace;
pub(crate) use files::{failed, remove_all};
use files::{holds, is_full};
pub use record::{Kept, Record};

/// Names that are kept though they have no version left, so that their numbers are not used again.
const RETIRED_MAX: usize = 1024;

/// The largest record read, in bytes.
const RECORD_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// The state directory.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    /// Held while a record is read, changed and written, and its bytes made or removed.
    changing: Mutex<()>,
}

/// An uploaded version, on its way into the state directory.
#[derive(Clone, Copy, Debug)]
pub struct NewVersion<'a> {
    /// Of the bytes: "onnx".
    pub format: &'a str,
    /// Of the bytes.
    pub sha256: Digest,
    /// The model.
    pub bytes: &'a [u8],
    /// Its `model.toml`; empty if there is none.
    pub manifest: &'a str,
    /// What has been promised to become of it once it answers, also by the next daemon; `None` for nothing.
    pub pending: Option<&'a Landing>,
}

/// Every record there is.
#[derive(Debug, Default)]
pub struct Records {
    /// By name.
    pub readable: Vec<(ModelName, Record)>,
    /// Files that hold none: they are left alone.
    pub unreadable: Vec<StoreError>,
}

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {}", path.display())]
pub struct StoreError {
    what: &'static str,
    path: PathBuf,
    /// What the kernel said.
    #[source]
    pub source: io::Error,
}

/// What a sweep has removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Bytes that no record named.
    pub blobs: usize,
    /// Files that were not finished.
    pub unfinished: usize,
    /// Records without a version, beyond the number that is kept.
    pub records: usize,
}

impl StoreError {
    /// A file that could not be written.
    #[must_use]
    pub fn writing(path: &Path, source: io::Error) -> Self {
        failed("write", path)(source)
    }
}

impl Store {
    /// Opens the state directory, making what is missing.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
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
    #[must_use]
    pub fn incoming(&self) -> PathBuf {
        self.dir.join("incoming")
    }

    /// Every record.
    pub fn records(&self) -> Result<Records, StoreError> {
        let dir = self.dir.join("models");
        let mut all = Records::default();
        for entry in fs::read_dir(&dir).map_err(failed("read", &dir))? {
            let path = entry.map_err(failed("read", &dir))?.path();
            if path.extension().is_none_or(|extension| extension != "toml") {
                continue;
            }
            let name = path.file_stem().and_then(|stem| stem.to_str());
            match (
                name.and_then(|name| name.parse::<ModelName>().ok()),
                read(&path),
            ) {
                (Some(name), Ok(record)) => all.readable.push((name, record)),
                (None, _) => all
                    .unreadable
                    .push(failed("take for a model's record", &path)(
                        io::ErrorKind::InvalidInput.into(),
                    )),
                (_, Err(error)) => all.unreadable.push(error),
            }
        }
        all.readable.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(all)
    }

    /// The bytes of that digest, as far as the name of their file goes: whoever reads them hashes them.
    pub fn open_blob(&self, digest: &Digest) -> Result<File, StoreError> {
        let path = self.blob(digest);
        File::open(&path).map_err(failed("open", &path))
    }

    /// How many bytes the file of that digest has; an error where there is none.
    pub fn blob_bytes(&self, digest: &Digest) -> Result<u64, StoreError> {
        let path = self.blob(digest);
        let file = fs::metadata(&path).map_err(failed("read", &path))?;
        Ok(file.len())
    }

    /// The text of a `model.toml`, if it still is what was stored.
    pub fn manifest(&self, digest: &Digest) -> Result<String, StoreError> {
        let path = self.blob(digest);
        let text = fs::read_to_string(&path).map_err(failed("read", &path))?;
        if Digest::of(text.as_bytes()) == *digest {
            return Ok(text);
        }
        let damaged = io::Error::other("it is not what was stored");
        Err(failed("read", &path)(damaged))
    }

    /// Keeps a version: its bytes and its `model.toml` first, then the record that names them. Where that fails, nothing
    /// is left of it.
    pub fn keep(
        &self,
        name: &ModelName,
        version: Version,
        new: &NewVersion<'_>,
    ) -> Result<(), StoreError> {
        let _changing = self.changing();
        let kept = self.keep_all(name, version, new);
        if kept.is_err() {
            let manifest = (!new.manifest.is_empty()).then(|| Digest::of(new.manifest.as_bytes()));
            for digest in [Some(new.sha256), manifest].into_iter().flatten() {
                // What cannot be removed now goes with the next start.
                let _ = self.remove_unless_named(&digest, None);
            }
        }
        kept
    }

    fn keep_all(
        &self,
        name: &ModelName,
        version: Version,
        new: &NewVersion<'_>,
    ) -> Result<(), StoreError> {
        self.write_blob(&new.sha256, new.bytes)?;
        let manifest = (!new.manifest.is_empty()).then_some(new.manifest.as_bytes());
        if let Some(text) = manifest {
            self.write_blob(&Digest::of(text), text)?;
        }
        let kept = Kept {
            format: new.format.to_owned(),
            sha256: new.sha256,
            pending: new.pending.is_some(),
            manifest: manifest.map(Digest::of),
            landing: new.pending.cloned().unwrap_or_default(),
        };
        self.update(name, |record| record.keep(version, kept))
    }

    /// What is there already is looked at: a disk may have damaged it since, and the same bytes that come again mend it.
    fn write_blob(&self, digest: &Digest, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.blob(digest);
        if holds(&path, bytes).unwrap_or(false) {
            return Ok(());
        }
        replace(&path, bytes)
    }

    /// Notes what a name means now.
    pub fn point(&self, name: &ModelName, pointers: &Pointers) -> Result<(), StoreError> {
        let _changing = self.changing();
        self.update(name, |record| record.point(pointers))
    }

    /// Notes that a version has answered, and what its name means now.
    pub fn settle(
        &self,
        name: &ModelName,
        version: Version,
        pointers: &Pointers,
    ) -> Result<(), StoreError> {
        let _changing = self.changing();
        self.update(name, |record| {
            record.settle(version);
            record.point(pointers);
        })
    }

    /// Forgets a version, and notes what its name means now; its bytes go when no other version has the same. Gives the
    /// names that are remembered no longer: there are too many without a version.
    pub fn forget(
        &self,
        name: &ModelName,
        version: Version,
        pointers: &Pointers,
    ) -> Result<Vec<ModelName>, StoreError> {
        let _changing = self.changing();
        let path = self.record(name);
        let kept = read(&path)?.kept(version).cloned();
        let digests = kept.map(|kept| [Some(kept.sha256), kept.manifest]);
        let forget = || {
            self.update(name, |record| {
                record.forget(version);
                record.point(pointers);
            })
        };
        let forgotten = match forget() {
            // The bytes stay with the record that names them.
            Err(error) if !is_full(&error.source) => return Err(error),
            other => other,
        };
        for digest in digests.into_iter().flatten().flatten() {
            self.remove_unless_named(&digest, Some((name, version)))?;
        }
        // A full disk has no room for a new record until the bytes have gone. A crash between the two leaves a record
        // without bytes, which the next start reports and leaves out.
        forgotten.or_else(|_| forget())?;
        if !read(&path)?.is_empty() {
            return Ok(Vec::new());
        }
        self.sweep_retired(&self.records()?.readable)
    }

    /// Removes what no record names, and what was not finished. Nothing of the first while a record cannot be read: it
    /// may name them.
    pub fn sweep(&self) -> Result<Swept, StoreError> {
        let _changing = self.changing();
        let Records {
            readable,
            unreadable,
        } = self.records()?;
        let mut swept = Swept::default();
        if unreadable.is_empty() {
            let named = |digest: Digest| readable.iter().any(|(_, record)| record.names(&digest));
            let orphan = |text: &str| text.parse().is_ok_and(|digest: Digest| !named(digest));
            swept.blobs = remove_all(&self.dir.join("blobs"), orphan)?;
        }
        for below in ["blobs", "models", "incoming"] {
            let removed = remove_all(&self.dir.join(below), |name| name.starts_with(".tmp"))?;
            swept.unfinished = swept.unfinished.saturating_add(removed);
        }
        swept.records = self.sweep_retired(&readable)?.len();
        Ok(swept)
    }

    /// The oldest of those without a version go first.
    fn sweep_retired(&self, records: &[(ModelName, Record)]) -> Result<Vec<ModelName>, StoreError> {
        let retired = records.iter().filter(|(_, record)| record.is_empty());
        let mut retired: Vec<(SystemTime, &ModelName)> = retired
            .map(|(name, _)| {
                let modified = fs::metadata(self.record(name)).and_then(|file| file.modified());
                (modified.unwrap_or(SystemTime::UNIX_EPOCH), name)
            })
            .collect();
        retired.sort();
        let excess = retired.len().saturating_sub(RETIRED_MAX);
        let mut gone = Vec::new();
        for (_, name) in retired.into_iter().take(excess) {
            let path = self.record(name);
            fs::remove_file(&path).map_err(failed("remove", &path))?;
            gone.push(name.clone());
        }
        Ok(gone)
    }

    fn remove_unless_named(
        &self,
        digest: &Digest,
        gone: Option<(&ModelName, Version)>,
    ) -> Result<(), StoreError> {
        let Records {
            mut readable,
            unreadable,
        } = self.records()?;
        // Where the old record could not be replaced yet, it does not count.
        if let Some((own, version)) = gone
            && let Some((_, record)) = readable.iter_mut().find(|(name, _)| name == own)
        {
            record.forget(version);
        }
        let named = readable.iter().any(|(_, record)| record.names(digest));
        if named || !unreadable.is_empty() {
            return Ok(());
        }
        let blob = self.blob(digest);
        match fs::remove_file(&blob) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("remove", &blob)(error))
            }
            _ => Ok(()),
        }
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, name: &ModelName, change: impl FnOnce(&mut Record)) -> Result<(), StoreError> {
        let path = self.record(name);
        let mut record = match read(&path) {
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => Record::default(),
            other => other?,
        };
        change(&mut record);
        let text = toml::to_string(&record)
            .map_err(|error| failed("write", &path)(io::Error::other(error)))?;
        if u64::try_from(text.len()).unwrap_or(u64::MAX) > RECORD_BYTES_MAX {
            // It could not be read again.
            return Err(failed("write", &path)(io::ErrorKind::FileTooLarge.into()));
        }
        replace(&path, text.as_bytes())
    }

    fn record(&self, name: &ModelName) -> PathBuf {
        self.dir.join("models").join(format!("{name}.toml"))
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        self.dir.join("blobs").join(digest.to_string())
    }
}

fn read(path: &Path) -> Result<Record, StoreError> {
    let bytes = fs::metadata(path).map_err(failed("read", path))?.len();
    if bytes > RECORD_BYTES_MAX {
        return Err(failed("read", path)(io::ErrorKind::FileTooLarge.into()));
    }
    let text = fs::read_to_string(path).map_err(failed("read", path))?;
    toml::from_str(&text).map_err(|error| failed("read", path)(io::Error::other(error)))
}

#[cfg(test)]
mod tests;
