//! Opening a file of a repository. Links within the repository are followed, as the trees of configuration managers
//! have them; what lies elsewhere is refused, whatever it is called. Judged is the file that was opened, not its name:
//! what happens to the name afterwards does not matter.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

/// Why a file of a repository is not read.
#[derive(Debug, thiserror::Error)]
pub enum NotBeneath {
    /// It cannot be opened.
    #[error("cannot open {}: {source}", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// It lies outside.
    #[error("{} leads out of the repository, to {}", path.display(), to.display())]
    Outside {
        /// Which.
        path: PathBuf,
        /// Where it leads.
        to: PathBuf,
    },
    /// It is a directory, a pipe, a device …
    #[error("{} is no regular file", path.display())]
    Kind {
        /// Which.
        path: PathBuf,
    },
}

/// Opens the regular file at `path` for reading, if it lies in `root`.
pub fn open_beneath(root: &Path, path: &Path) -> Result<File, NotBeneath> {
    let failed = |source| NotBeneath::Open {
        path: path.to_owned(),
        source,
    };
    // Not to hang at a pipe, nor to be given a terminal.
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)
        .map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(NotBeneath::Kind {
            path: path.to_owned(),
        });
    }
    let root = fs::canonicalize(root).map_err(failed)?;
    let to = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).map_err(failed)?;
    if to.starts_with(&root) {
        Ok(file)
    } else {
        Err(NotBeneath::Outside {
            path: path.to_owned(),
            to,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_within_the_repository_is_followed_and_one_out_of_it_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (inside, outside) = (dir.path().join("repo"), dir.path().join("repo-secret"));
        fs::create_dir(&inside).unwrap();
        fs::write(inside.join("data"), "model").unwrap();
        fs::write(&outside, "secret").unwrap();
        symlink("data", inside.join("good")).unwrap();
        symlink("../repo-secret", inside.join("bad")).unwrap();

        let mut text = String::new();
        let good = open_beneath(&inside, &inside.join("good"));
        good.unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "model");
        let bad = open_beneath(&inside, &inside.join("bad"));
        assert!(matches!(bad, Err(NotBeneath::Outside { .. })), "{bad:?}");
    }

    #[test]
    fn a_pipe_and_a_directory_are_refused_without_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for path in [pipe.as_path(), dir.path()] {
            let refused = open_beneath(dir.path(), path);
            assert!(
                matches!(refused, Err(NotBeneath::Kind { .. })),
                "{refused:?}"
            );
        }
    }

    #[test]
    fn a_repository_that_is_a_link_itself_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        fs::create_dir(&real).unwrap();
        fs::write(real.join("data"), "model").unwrap();
        symlink("real", &link).unwrap();
        assert!(open_beneath(&link, &link.join("data")).is_ok());
    }
}
