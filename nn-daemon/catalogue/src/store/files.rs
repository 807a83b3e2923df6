//! Files of the state directory: written so that nobody ever sees half of one, compared, removed.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use super::StoreError;

/// How much of a file is read before it is compared, in bytes.
const COMPARED_AT_ONCE: usize = 256 * 1024;

pub(crate) fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError { what, path, source }
}

/// Whether there was no room on the disk.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Whether a file has these bytes and no others.
pub(super) fn holds(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if file.metadata()?.len() != len {
        return Ok(false);
    }
    let mut read = vec![0; COMPARED_AT_ONCE.min(bytes.len())];
    for expected in bytes.chunks(COMPARED_AT_ONCE) {
        let got = read.get_mut(..expected.len()).unwrap_or_default();
        file.read_exact(got)?;
        if got != expected {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Removes the files whose names are wanted gone; gives how many there were.
pub(crate) fn remove_all(dir: &Path, is_to_go: impl Fn(&str) -> bool) -> Result<usize, StoreError> {
    let mut removed = 0_usize;
    for entry in fs::read_dir(dir).map_err(failed("read", dir))? {
        let entry = entry.map_err(failed("read", dir))?;
        if entry.file_name().to_str().is_some_and(&is_to_go) {
            let path = entry.path();
            fs::remove_file(&path).map_err(failed("remove", &path))?;
            removed = removed.saturating_add(1);
        }
    }
    Ok(removed)
}

/// Writes a file so that a reader, or a crash, sees the old one or the new one whole.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
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
