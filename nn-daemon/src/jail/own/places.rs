//! Where the daemon may go once it is jailed: the paths of the places that its profile grants.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::OwnJailError;
use crate::config::{Config, Library};
use crate::framework::Framework;
use crate::worker::spawn::Spawner;

/// The paths of what the profile grants.
pub(super) fn places(
    config: &Config,
    file: Option<&Path>,
    spawner: &Spawner,
) -> Vec<(&'static str, Vec<PathBuf>)> {
    let libraries = Framework::ALL.map(|framework| config.library(framework));
    let runtimes = libraries.into_iter().flat_map(|library| match library {
        Library::At(path) | Library::Missing(path) => {
            Vec::from_iter(path.parent().map(Path::to_owned))
        }
        Library::NotIn(places) => places.clone(),
    });
    for repository in config.repositories.iter().filter(|path| !path.exists()) {
        tracing::warn!(
            "the model repository {} is not there; the daemon sees it after a restart only",
            repository.display()
        );
    }
    let tls = config.kserve.tls.iter();
    let tls = tls.filter(|_| config.kserve.listen.is_some());
    let tls = tls.flat_map(|tls| [Some(&tls.certificate), Some(&tls.key), tls.clients.as_ref()]);
    let tls = tls.flatten().flat_map(|file| configuration(file));
    let remote = config.remote.as_ref();
    let secrets = remote.and_then(|remote| remote.secrets.clone());
    let groups = spawner.cgroups().map(|groups| groups.workers().to_owned());
    vec![
        ("state_dir", vec![config.state_dir.clone()]),
        ("runtime_dir", vec![config.runtime_dir.clone()]),
        ("model_repository", config.repositories.clone()),
        ("configuration", file.map(configuration).unwrap_or_default()),
        ("certificates", tls.collect()),
        ("runtimes", runtimes.collect()),
        ("cgroups", Vec::from_iter(groups)),
        ("secrets", Vec::from_iter(secrets)),
    ]
}

/// Where a configuration file is looked for again: its directory, and that of what it is a link to. A directory that
/// much else lies below (/etc, /tmp, a link to the root) is not opened for that: then it is the file as it is now.
fn configuration(file: &Path) -> Vec<PathBuf> {
    let lies_in = |file: &Path| {
        let folder = fs::canonicalize(file.parent()?)
            .or_else(|_| fs::canonicalize("."))
            .ok()?;
        let own = folder.components().count() > 2;
        own.then_some(folder)
    };
    let link = std::path::absolute(file).ok();
    let target = fs::canonicalize(file).ok();
    let both = [link, target].into_iter().flatten();
    both.map(|path| lies_in(&path).unwrap_or(path)).collect()
}

/// A full disk is no reason not to start; a directory of somebody else's is.
pub(super) fn is_writable(state_dir: &Path) -> Result<(), OwnJailError> {
    match tempfile::NamedTempFile::new_in(state_dir) {
        Err(source) if source.kind() == io::ErrorKind::PermissionDenied => {
            let path = state_dir.to_owned();
            Err(OwnJailError::State { path, source })
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_of_a_configuration_file_is_granted_unless_much_else_lies_there() {
        let folder = tempfile::tempdir().unwrap();
        let real = fs::canonicalize(folder.path()).unwrap();
        let file = folder.path().join("nn-daemon.toml");
        fs::write(&file, "").unwrap();
        assert!(configuration(&file).iter().all(|path| *path == real));
        let shared = Path::new("/etc/nn-daemon-that-is-not-there.toml");
        assert_eq!(configuration(shared), [shared]);
    }
}
