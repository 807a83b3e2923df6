//! Where guests' machine code is kept between runs, so that a guest is compiled once. What lies there is
//! executed: the directory must be this user's alone, or it is not used, and each file must be what was
//! written, or it is dropped (`sums.rs`), because wasmtime's cache, which does the rest, does not look.
//!
//! Each guest has a directory of its own, named by its digest, and its sums beside it.

mod prune;
mod sums;

use std::env;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::unistd::Uid;
use sha2::{Digest, Sha256};
use wasmtime::{Cache, CacheConfig};

use sums::Sums;

/// Access of others, which there may not be.
const OTHERS: u32 = 0o022;

/// Why there is no cache.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CacheError {
    #[error("the cache directory {} cannot be used", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the cache directory {} belongs to uid {uid}", path.display())]
    Foreign { path: PathBuf, uid: u32 },
    #[error("the cache directory {} may be written by others (mode {mode:o})", path.display())]
    Writable { path: PathBuf, mode: u32 },
    #[error("the cache directory {} must be an absolute path", .0.display())]
    Relative(PathBuf),
    #[error("the cache cannot be started: {0}")]
    Start(String),
}

/// The machine code of one guest.
#[derive(Debug)]
pub(crate) struct GuestCache {
    root: PathBuf,
    dir: PathBuf,
    sums: Sums,
}

/// The directory for it where none is named: `$CACHE_DIRECTORY`, `$XDG_CACHE_HOME/nn-host`,
/// `$HOME/.cache/nn-host`.
pub(crate) fn default_directory() -> Option<PathBuf> {
    directory(|name| env::var_os(name).map(PathBuf::from))
}

fn directory(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let absolute = |path: &PathBuf| path.is_absolute();
    let user = || variable("XDG_CACHE_HOME").filter(absolute);
    let home = || Some(variable("HOME").filter(absolute)?.join(".cache"));
    variable("CACHE_DIRECTORY")
        .filter(absolute)
        .or_else(|| Some(user().or_else(home)?.join("nn-host")))
}

/// The directory, which is made if need be, and is this user's alone.
fn check(path: &Path) -> Result<(), CacheError> {
    if !path.is_absolute() {
        return Err(CacheError::Relative(path.to_path_buf()));
    }
    let io = |source| failed(path, source);
    make(path)?;
    let found = fs::metadata(path).map_err(io)?;
    if found.uid() != Uid::effective().as_raw() {
        return Err(CacheError::Foreign {
            path: path.to_path_buf(),
            uid: found.uid(),
        });
    }
    let mode = found.mode() & 0o777;
    if mode & OTHERS != 0 {
        return Err(CacheError::Writable {
            path: path.to_path_buf(),
            mode,
        });
    }
    Ok(())
}

fn make(path: &Path) -> Result<(), CacheError> {
    let mut builder = DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(path);
    made.map_err(|source| failed(path, source))
}

fn failed(path: &Path, source: io::Error) -> CacheError {
    CacheError::Io {
        path: path.to_path_buf(),
        source,
    }
}

// === impl GuestCache ===

impl GuestCache {
    /// What `root` has of a guest, without what is damaged.
    pub(crate) fn open(root: &Path, wasm: &[u8]) -> Result<Self, CacheError> {
        check(root)?;
        let name = sums::hex(&Sha256::digest(wasm));
        let dir = root.join(&name);
        make(&dir)?;
        let sums = Sums::verified(root.join(format!("{name}.sums")), &dir)
            .map_err(|source| failed(&dir, source))?;
        Ok(Self {
            root: root.to_path_buf(),
            dir,
            sums,
        })
    }

    /// wasmtime's cache over it.
    pub(crate) fn cache(&self) -> Result<Cache, CacheError> {
        let mut config = CacheConfig::new();
        config
            .with_directory(&self.dir)
            // What was written once stays as it is: its sum is known.
            .with_optimized_compression_usage_counter_threshold(u64::MAX);
        Cache::new(config).map_err(|error| CacheError::Start(format!("{error:#}")))
    }

    /// Takes note of what compiling has added. What cannot be noted is compiled again the next time.
    pub(crate) fn seal(self) {
        let sealed = self.sums.seal(&self.dir).and_then(|grown| {
            if grown {
                prune::prune(&self.root, &self.dir)?;
            }
            Ok(())
        });
        if let Err(error) = sealed {
            tracing::warn!(%error, dir = %self.dir.display(), "the guest's machine code is not kept");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_directory_is_made_for_this_user_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        assert!(GuestCache::open(&path, b"guest").is_ok());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_directory_that_others_may_write_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o770)).unwrap();
        assert!(matches!(
            GuestCache::open(dir.path(), b"guest"),
            Err(CacheError::Writable { mode: 0o770, .. })
        ));
    }

    #[test]
    fn a_file_and_a_relative_path_are_no_directories() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let open = |path| GuestCache::open(path, b"guest").unwrap_err();
        assert!(matches!(open(file.path()), CacheError::Io { .. }));
        assert!(matches!(open(Path::new("x")), CacheError::Relative(_)));
    }

    #[test]
    fn the_environment_names_the_directory_in_this_order() {
        let all = [
            ("CACHE_DIRECTORY", "/c"),
            ("XDG_CACHE_HOME", "/x"),
            ("HOME", "/h"),
        ];
        let found = |from: &[(&str, &str)]| {
            directory(|name| Some(from.iter().find(|(n, _)| *n == name)?.1.into()))
        };
        assert_eq!(found(&all), Some("/c".into()));
        assert_eq!(found(&all[1..]), Some("/x/nn-host".into()));
        assert_eq!(found(&all[2..]), Some("/h/.cache/nn-host".into()));
        assert_eq!(found(&[("HOME", "not/absolute")]), None);
    }
}
