//! Is a file what it should be? Its size and its SHA-256 say.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::manifest::Digest;

/// The digest and the size of a file.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn measure(path: &Path) -> Result<(Digest, u64)> {
    let mut file =
        fs::File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; 1 << 18];
    let mut bytes = 0_u64;
    loop {
        let count = file
            .read(&mut chunk)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        if count == 0 {
            break;
        }
        let read = chunk
            .get(..count)
            .context("read more than there is room for")?;
        hasher.update(read);
        bytes += u64::try_from(count)?;
    }
    let text = hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>();
    Ok((Digest::try_from(text)?, bytes))
}

/// Refuses a file that is not what it should be.
///
/// # Errors
/// With what was expected and what came.
pub(crate) fn expect(path: &Path, digest: &Digest, bytes: u64) -> Result<()> {
    let (found_digest, found_bytes) = measure(path)?;
    if (&found_digest, found_bytes) == (digest, bytes) {
        return Ok(());
    }
    let name = path.file_name().unwrap_or(path.as_os_str());
    bail!(
        "{} is not what it should be\n\
         expected: {bytes} bytes, sha256 {}\n\
         got:      {found_bytes} bytes, sha256 {}",
        name.to_string_lossy(),
        digest.as_str(),
        found_digest.as_str()
    )
}

/// Moves a file to its place, if it is right: nobody ever sees half of it there.
///
/// Source and target lie on one file system. A wrong source stays where it is, which is a scratch folder.
///
/// # Errors
/// When the file is not what it should be, or cannot be moved.
pub(crate) fn place(source: &Path, target: &Path, digest: &Digest, bytes: u64) -> Result<()> {
    expect(source, digest, bytes)?;
    let parent = target.parent().context("a target without a folder")?;
    fs::create_dir_all(parent).with_context(|| format!("{} cannot be made", parent.display()))?;
    // A rename may reach the disk before the content does, and then a power cut leaves an empty file with a good name.
    fs::File::open(source)?.sync_all()?;
    fs::rename(source, target)
        .with_context(|| format!("{} cannot be put in place", target.display()))
}
