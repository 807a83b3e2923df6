//! A folder for things half-made, on the file system of their place, gone when it is dropped.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};

const PREFIX: &str = ".making-";

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A folder that no other process and no other part of this one uses.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
}

// === impl Scratch ===

impl Scratch {
    /// Makes one inside a folder, and removes what killed processes left there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
        remove_abandoned(folder);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("{PREFIX}{}-{count}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is removed as abandoned by a later run.
        let _later = fs::remove_dir_all(&self.path);
    }
}

/// Removes the folders of processes that are no more.
pub(crate) fn remove_abandoned(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX))
            .and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            let _later = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scratch_is_gone_after_use_and_so_is_an_abandoned_one() {
        let parent = Scratch::new(&std::env::temp_dir()).unwrap();
        // No process has this number: it is above the kernel's greatest pid_max, 2^22.
        let abandoned = parent.path().join(format!("{PREFIX}4194305-0"));
        fs::create_dir(&abandoned).unwrap();

        let scratch = Scratch::new(parent.path()).unwrap();
        let path = scratch.path().to_path_buf();
        drop(scratch);

        assert!(!path.exists());
        assert!(!abandoned.exists());
    }
}
