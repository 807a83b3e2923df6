//! Remembers what was verified, so that a second run need not read it again.
//!
//! A file counts as unchanged while its size and its time of modification are the recorded ones. That is a cache, not a
//! defence: whoever can write target/ can replace the record too. The record may be lost or broken at any time; then
//! files are read and verified again.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::verify;
use crate::manifest::Digest;
use crate::output::talk;

const NAME: &str = ".setup.json";

/// The files in place, by their path in the folder.
#[derive(Debug)]
pub(crate) struct Record {
    folder: PathBuf,
    files: BTreeMap<String, Seen>,
    in_use: BTreeMap<String, u64>,
}

/// How a file looked when it was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    sha256: String,
    bytes: u64,
    modified_s: i64,
    modified_ns: i64,
}

// === impl Record ===

impl Record {
    /// Opens the record of a folder; an unreadable one is an empty one.
    pub(crate) fn open(folder: &Path) -> Self {
        let files = fs::read(folder.join(NAME))
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        Self {
            folder: folder.to_path_buf(),
            files,
            in_use: BTreeMap::new(),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// How many files were found or put in place, and their sizes together.
    pub(crate) fn total(&self) -> (usize, u64) {
        (self.in_use.len(), self.in_use.values().sum())
    }

    /// Whether the file is in place and right. One that is there and wrong is removed.
    ///
    /// # Errors
    /// When it is there and cannot be read, or the record cannot be written.
    pub(crate) fn holds(&mut self, to: &str, digest: &Digest, bytes: u64) -> Result<bool> {
        let path = self.folder.join(to);
        if !path.exists() {
            return Ok(false);
        }
        let unchanged = self.files.get(to) == Some(&Seen::of(&path, digest)?);
        if !unchanged {
            if let Err(error) = verify::expect(&path, digest, bytes) {
                talk(&format!("setup: {error:#}\nsetup: making {to} anew"));
                fs::remove_file(&path)
                    .with_context(|| format!("{} cannot be removed", path.display()))?;
                return Ok(false);
            }
            self.remember(to, digest)?;
        }
        self.in_use.insert(to.to_owned(), bytes);
        Ok(true)
    }

    /// Verifies a finished file and moves it to its place.
    ///
    /// # Errors
    /// When it is not what it should be, or cannot be moved.
    pub(crate) fn place(
        &mut self,
        source: &Path,
        to: &str,
        digest: &Digest,
        bytes: u64,
    ) -> Result<()> {
        verify::place(source, &self.folder.join(to), digest, bytes)?;
        self.in_use.insert(to.to_owned(), bytes);
        self.remember(to, digest)
    }

    fn remember(&mut self, to: &str, digest: &Digest) -> Result<()> {
        let seen = Seen::of(&self.folder.join(to), digest)?;
        self.files.insert(to.to_owned(), seen);
        let text = serde_json::to_vec_pretty(&self.files)?;
        let path = self.folder.join(NAME);
        let fresh = path.with_extension("json.new");
        fs::write(&fresh, text)
            .with_context(|| format!("{} cannot be written", fresh.display()))?;
        fs::rename(&fresh, &path).with_context(|| format!("{} cannot be written", path.display()))
    }
}

// === impl Seen ===

impl Seen {
    fn of(path: &Path, digest: &Digest) -> Result<Self> {
        let metadata =
            fs::metadata(path).with_context(|| format!("{} cannot be read", path.display()))?;
        Ok(Self {
            sha256: digest.as_str().to_owned(),
            bytes: metadata.len(),
            modified_s: metadata.mtime(),
            modified_ns: metadata.mtime_nsec(),
        })
    }
}
