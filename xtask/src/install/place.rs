//! Puts files in place, each whole or not at all: written beside its place, then renamed. A program that runs goes on
//! with the file it was started from.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::tree::{Content, Entry, Kind};

/// What came of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Done {
    /// Files that were not there, or were others.
    pub(crate) written: usize,
    /// Configuration that was changed by somebody, and has stayed.
    pub(crate) kept: Vec<PathBuf>,
}

/// Puts all of them below a folder.
///
/// # Errors
/// When one cannot be read or written.
pub(crate) fn put(destdir: &Path, entries: &[Entry]) -> Result<Done> {
    let mut done = Done::default();
    for entry in entries {
        let to = destdir.join(&entry.to);
        one(entry, &to, &mut done).with_context(|| format!("{} cannot be put", to.display()))?;
    }
    Ok(done)
}

fn one(entry: &Entry, to: &Path, done: &mut Done) -> Result<()> {
    let bytes = match &entry.content {
        Content::Text(text) => text.clone().into_bytes(),
        Content::Copy(from) => {
            fs::read(from).with_context(|| format!("{} cannot be read", from.display()))?
        }
    };
    let there = match fs::read(to) {
        Ok(there) => Some(there),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let same = there.as_ref() == Some(&bytes);
    let new = with_suffix(to, ".new");
    match entry.kind {
        Kind::Config if there.is_some() && !same => {
            done.kept.push(to.to_path_buf());
            write(&new, &bytes, 0o644)?;
        }
        Kind::Config => {
            remove_file(&new)?;
            // Whoever has changed its mode had a reason.
            if there.is_none() {
                write(to, &bytes, 0o644)?;
                done.written += 1;
            }
        }
        Kind::Program | Kind::Data => {
            let mode = if entry.kind == Kind::Program {
                0o755
            } else {
                0o644
            };
            write(to, &bytes, mode)?;
            done.written += usize::from(!same);
        }
    }
    Ok(())
}

/// Takes away files that are no longer part of it, and folders that are empty for that; tells how many there were.
///
/// # Errors
/// When one is there and cannot be removed.
pub(crate) fn remove(destdir: &Path, paths: &[PathBuf]) -> Result<usize> {
    let mut count = 0;
    for path in paths {
        let path = destdir.join(path);
        if remove_file(&path).with_context(|| format!("{} cannot be removed", path.display()))? {
            count += 1;
        }
        let folders = path.ancestors().skip(1);
        for folder in folders.take_while(|folder| *folder != destdir) {
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
    }
    Ok(count)
}

/// Whether it was there.
fn remove_file(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn write(to: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    if let Some(folder) = to.parent() {
        make(folder)?;
    }
    let unfinished = with_suffix(to, ".unfinished");
    fs::write(&unfinished, bytes)?;
    // Whatever the umask: others than the owner are to read and run it.
    fs::set_permissions(&unfinished, Permissions::from_mode(mode))?;
    Ok(fs::rename(&unfinished, to)?)
}

/// Makes a folder that all may enter; those that are there stay as they are.
fn make(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent() {
        make(above)?;
    }
    fs::create_dir(folder)?;
    fs::set_permissions(folder, Permissions::from_mode(0o755))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}
