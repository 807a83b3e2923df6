//! Which files of this machine a worker's root holds: the directory that the framework's library comes from, and the
//! system's libraries that the profile names. These are looked for where the process's own ones came from. The
//! framework's library itself is not among them: it comes by descriptor ([`Sealed`](crate::Sealed)).

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::Profile;

/// What is bound into the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct World {
    /// Files and directories, absolute and without symbolic links on the way to them.
    pub binds: Vec<PathBuf>,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
#[error("cannot read /proc/self/maps; expected /proc to be mounted where the worker starts")]
pub struct WorldError(#[source] io::Error);

// === impl World ===

impl World {
    /// Looks. Only while the host's files are still there to be seen. `library` is where the framework's one lay when
    /// the daemon started, without symbolic links.
    ///
    /// # Errors
    /// When /proc cannot be read.
    pub fn find(profile: &Profile, library: &Path) -> Result<Self, WorldError> {
        let maps = fs::read_to_string("/proc/self/maps").map_err(WorldError)?;
        let folders = folders(&maps);
        // Where it lies no longer, that directory has no place for the sealed one. If it needs another library from
        // beside it, the loader misses that, and says so.
        let there = fs::canonicalize(library).is_ok_and(|found| found == library);
        let runtime = library.parent().filter(|_| there);
        let found_runtime = runtime.is_some();
        let mut binds: Vec<PathBuf> = runtime.map(Into::into).into_iter().collect();
        let others = profile.binds.iter().map(|bind| PathBuf::from(bind.path));
        binds.extend(others.filter(|path| path.is_absolute() && path.exists()));
        binds.extend(profile.libraries.iter().filter_map(|wanted| {
            let mut places = folders.iter().map(|folder| folder.join(wanted.name));
            places.find(|place| place.is_file())
        }));
        // What lies in the framework's own directory is there already.
        let inside: Option<PathBuf> = binds.first().filter(|_| found_runtime).cloned();
        binds.retain(|bind| {
            inside
                .as_ref()
                .is_none_or(|dir| bind == dir || !bind.starts_with(dir))
        });
        Ok(Self { binds })
    }
}

/// The folders that shared libraries are mapped from.
fn folders(maps: &str) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for line in maps.lines() {
        let Some(start) = line.find('/') else {
            continue;
        };
        let path = Path::new(line.get(start..).unwrap_or_default());
        let library = path.file_name().and_then(|name| name.to_str());
        let folder = path.parent().map(Path::to_owned);
        if library.is_some_and(|name| name.contains(".so"))
            && let Some(folder) = folder
            && !folders.contains(&folder)
        {
            folders.push(folder);
        }
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_libraries_are_read_from_maps() {
        let maps = "\
7f00-7f01 r--p 00000000 00:1f 12 /usr/lib/x/libc.so.6
7f01-7f02 r-xp 00000000 00:1f 12 /usr/lib/x/libc.so.6
7f02-7f03 r-xp 00000000 00:1f 13 /memfd:nn-worker (deleted)
7f03-7f04 rw-p 00000000 00:00 0
7f04-7f05 r--p 00000000 00:1f 14 /opt/y/libgcc_s.so.1
";
        assert_eq!(folders(maps), ["/usr/lib/x", "/opt/y"].map(PathBuf::from));
    }

    #[test]
    fn the_directory_of_a_library_is_there_as_long_as_the_library_is() {
        let profile = Profile::named("worker-ort").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let folder = fs::canonicalize(folder.path()).unwrap();
        let library = folder.join("libonnxruntime.so.1.28.0");
        fs::write(&library, "x").unwrap();
        let binds = || World::find(profile, &library).unwrap().binds;
        assert_eq!(binds().first(), Some(&folder));
        fs::remove_file(&library).unwrap();
        assert!(!binds().contains(&folder));
    }
}
