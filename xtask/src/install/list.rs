//! The list of what was installed, in a form that `sha256sum --check` reads as well:
//!
//! ```text
//! # config etc/nn-daemon/nn-daemon.toml
//! DIGEST  usr/bin/nn-daemon
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use super::layout::Layout;
use super::tree::{Entry, Kind};

const HEAD: &str = "# What is installed. To check: cd / && sha256sum --check --quiet FILE\n";
const CONFIG: &str = "# config ";

/// Files and their digests, by their paths below the root.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct List {
    files: BTreeMap<PathBuf, String>,
    /// The operator's to change; they need only be there.
    configs: BTreeSet<PathBuf>,
}

// === impl List ===

impl List {
    /// Of files that lie below `destdir`.
    pub(crate) fn of(destdir: &Path, entries: &[Entry]) -> Result<Self> {
        let mut list = Self::default();
        for entry in entries {
            if entry.kind == Kind::Config {
                list.configs.insert(entry.to.clone());
                continue;
            }
            let path = destdir.join(&entry.to);
            let digest =
                digest(&path).with_context(|| format!("{} cannot be read", path.display()))?;
            list.files.insert(entry.to.clone(), digest);
        }
        Ok(list)
    }

    /// The one that an installation left.
    ///
    /// # Errors
    /// When there is none, or it is none.
    pub(crate) fn read(destdir: &Path, layout: &Layout) -> Result<Self> {
        let path = destdir.join(layout.list());
        let text = fs::read_to_string(&path).with_context(|| {
            format!(
                "{} cannot be read\nhint: is that what --prefix and --destdir were?",
                path.display()
            )
        })?;
        Self::parse(&text).with_context(|| format!("in {}", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let mut list = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            if let Some(path) = line.strip_prefix(CONFIG) {
                list.configs.insert(below(path, number)?);
            } else if !line.starts_with('#') {
                let (digest, path) = line
                    .split_once("  ")
                    .filter(|(digest, _)| digest.len() == 64)
                    .with_context(|| format!("line {number} is not a digest and a path"))?;
                list.files.insert(below(path, number)?, digest.to_owned());
            }
        }
        Ok(list)
    }

    /// Writes it to its place.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write(&self, destdir: &Path, layout: &Layout) -> Result<()> {
        let path = destdir.join(layout.list());
        fs::write(&path, self.text())
            .with_context(|| format!("{} cannot be written", path.display()))
    }

    fn text(&self) -> String {
        let configs = self.configs.iter();
        let configs = configs.map(|path| format!("{CONFIG}{}\n", path.display()));
        let files = self.files.iter();
        let files = files.map(|(path, digest)| format!("{digest}  {}\n", path.display()));
        std::iter::once(HEAD.to_owned())
            .chain(configs)
            .chain(files)
            .collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.files.len() + self.configs.len()
    }

    /// What this has and the other has not; configuration stays, whoever it was for.
    pub(crate) fn without(&self, other: &Self) -> Vec<PathBuf> {
        let gone = self
            .files
            .keys()
            .filter(|path| !other.files.contains_key(*path));
        gone.cloned().collect()
    }

    /// What is not as it was installed, a line each.
    pub(crate) fn verify(&self, destdir: &Path) -> Vec<String> {
        let files = self.files.iter().filter_map(|(path, wanted)| {
            let what = match digest(&destdir.join(path)) {
                Ok(found) if found == *wanted => return None,
                Ok(_) => "is not what was installed".to_owned(),
                Err(error) => format!("cannot be read: {error}"),
            };
            Some(format!("{}: {what}", path.display()))
        });
        let configs = self.configs.iter();
        let configs = configs.filter(|path| !destdir.join(path).exists());
        let configs = configs.map(|path| format!("{}: is not there", path.display()));
        files.chain(configs).collect()
    }
}

/// A path that cannot lead out of the folder: the list says what the next installation removes.
fn below(path: &str, line: usize) -> Result<PathBuf> {
    let plain = super::relative(Path::new(path));
    if plain != Path::new(path) || path.is_empty() {
        bail!("line {line} names {path:?}, which is not a path below the root");
    }
    Ok(plain)
}

fn digest(path: &Path) -> std::io::Result<String> {
    let digest = Sha256::digest(fs::read(path)?);
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}
