//! Looks at the directories of models, and for the user who is to read them.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, getgrouplist};

use super::super::facts::{Repository, RepositoryGap, Step, User};

/// As an installation calls it.
const USER: &str = "nn-daemon";

pub(super) fn look(paths: Vec<PathBuf>) -> Vec<Repository> {
    let repository = |path: PathBuf| Repository {
        steps: steps(&path),
        path,
    };
    paths.into_iter().map(repository).collect()
}

/// By where links lead: what is on the way to a link's end is what has to be open.
fn steps(path: &Path) -> Result<Vec<Step>, RepositoryGap> {
    let real = fs::canonicalize(path).map_err(|error| gap(&error))?;
    if !real.is_dir() {
        return Err(RepositoryGap::Other);
    }
    let mut steps = Vec::new();
    for path in real.ancestors() {
        let metadata = fs::metadata(path).map_err(|error| gap(&error))?;
        steps.push(Step {
            path: path.to_owned(),
            uid: metadata.uid(),
            gid: metadata.gid(),
            mode: metadata.mode() & 0o7777,
        });
    }
    steps.reverse();
    Ok(steps)
}

fn gap(error: &std::io::Error) -> RepositoryGap {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => RepositoryGap::Absent,
        _ => RepositoryGap::Failed(error.to_string()),
    }
}

/// Who runs the daemon that answers; else who would, where its user has been made.
pub(super) fn daemon_user(uid: Option<u32>) -> Option<User> {
    let user = match uid {
        Some(uid) => nix::unistd::User::from_uid(Uid::from_raw(uid)),
        None => nix::unistd::User::from_name(USER),
    };
    let user = user.ok().flatten()?;
    let name = std::ffi::CString::new(user.name.as_str()).ok()?;
    let gids = getgrouplist(&name, user.gid).unwrap_or_else(|_| vec![user.gid]);
    Some(User {
        name: user.name,
        uid: user.uid.as_raw(),
        gids: gids.into_iter().map(nix::unistd::Gid::as_raw).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_told_from_a_file_and_from_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let paths = vec![folder.path().to_owned(), file, folder.path().join("none")];
        let looked = look(paths);
        let steps = looked[0].steps.as_ref().unwrap();
        assert_eq!(steps[0].path, Path::new("/"));
        assert_eq!(looked[1].steps, Err(RepositoryGap::Other));
        assert_eq!(looked[2].steps, Err(RepositoryGap::Absent));
    }

    #[test]
    fn the_user_of_a_daemon_that_runs_is_the_one_of_its_process() {
        let user = daemon_user(Some(0)).unwrap();
        assert_eq!((user.name.as_str(), user.uid), ("root", 0));
    }
}
