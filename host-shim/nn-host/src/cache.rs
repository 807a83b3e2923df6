//! Where guests' machine code is kept between runs, so that a guest is compiled once. What lies there is
//! executed: the directory must be this user's alone, or it is not used.

use std::env;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::unistd::Uid;
use wasmtime::{Cache, CacheConfig};

/// The most that is kept, in bytes; what has not been used for longest goes first.
const BYTES_MAX: u64 = 1 << 30;

/// The most files that are kept.
const FILES_MAX: u64 = 1024;

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

/// The cache in a directory, which is made if need be.
pub(crate) fn open(path: &Path) -> Result<Cache, CacheError> {
    if !path.is_absolute() {
        return Err(CacheError::Relative(path.to_path_buf()));
    }
    let io = |source| CacheError::Io {
        path: path.to_path_buf(),
        source,
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(io)?;
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
    let mut config = CacheConfig::new();
    config
        .with_directory(path)
        .with_files_total_size_soft_limit(BYTES_MAX)
        .with_file_count_soft_limit(FILES_MAX);
    Cache::new(config).map_err(|error| CacheError::Start(format!("{error:#}")))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_directory_is_made_for_this_user_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        assert!(open(&path).is_ok());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_directory_that_others_may_write_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o770)).unwrap();
        assert!(matches!(
            open(dir.path()),
            Err(CacheError::Writable { mode: 0o770, .. })
        ));
    }

    #[test]
    fn a_file_and_a_relative_path_are_no_directories() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(open(file.path()), Err(CacheError::Io { .. })));
        assert!(matches!(open(Path::new("x")), Err(CacheError::Relative(_))));
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
