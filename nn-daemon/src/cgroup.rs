//! The control groups of workers, in the subtree that the service manager has handed to the daemon (`Delegate=yes`).
//!
//! ```text
//! nn-daemon.service        delegated: the daemon owns it, and no process may be in it once it has controllers
//! ├── daemon               the daemon and the spawner
//! └── workers              ├── 1, 2, …  one a worker, born into it: memory.max, pids.max, cpu.weight, cgroup.kill
//! ```
//!
//! Only version 2 of control groups, and only what was delegated (`user.delegate`, set by systemd): a daemon that was
//! started in a session or a foreign group moves nobody. Where a controller is missing, or there is no subtree at all, the
//! resource limits of the jail stand alone, and `nnctl status` says so.

mod worker;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub(crate) use worker::{Walls, WorkerGroup};

/// Where version 2 is mounted.
const MOUNT: &str = "/sys/fs/cgroup";

/// What a service manager writes to the group that it hands over.
const DELEGATED: &str = "user.delegate";

/// The controllers that are of use to a worker.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

/// What the daemon's own group weighs where all processors are wanted, against 100 of all workers together.
const DAEMON_WEIGHT: &str = "200";

/// The subtree, taken.
#[derive(Debug)]
pub(crate) struct Cgroups {
    workers: PathBuf,
    /// Those of [`CONTROLLERS`] that there are.
    controllers: Vec<&'static str>,
}

/// Why there are no control groups for workers.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoCgroups {
    #[error("this process is in no group of cgroup version 2")]
    NotUnified,
    #[error("the group {0} is not delegated to the daemon (systemd: Delegate=yes)")]
    NotDelegated(PathBuf),
    #[error("the group {0} has other processes than the daemon: it is not the daemon's to divide")]
    NotAlone(PathBuf),
    #[error("cannot {what} {path}")]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("no process can be started in one: {0}")]
    Trial(String),
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> NoCgroups {
    let path = path.to_owned();
    move |source| NoCgroups::Io { what, path, source }
}

fn make(path: &Path) -> Result<(), NoCgroups> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(failed("make the group", path)(error))
        }
        _ => Ok(()),
    }
}

fn write(path: &Path, value: &str) -> Result<(), NoCgroups> {
    fs::write(path, value).map_err(failed("write to", path))
}

// === impl Cgroups ===

impl Cgroups {
    /// Takes the delegated subtree, if there is one, and moves this process to its place in there. To be called before
    /// the spawner is started, which is born into the same place.
    pub(crate) fn take() -> Result<Self, NoCgroups> {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let path = own.lines().find_map(|line| line.strip_prefix("0::/"));
        let root = Path::new(MOUNT).join(path.ok_or(NoCgroups::NotUnified)?);
        if !root.join("cgroup.procs").is_file() {
            return Err(NoCgroups::NotUnified);
        }
        let mut value = [0_u8; 8];
        match rustix::fs::getxattr(&root, DELEGATED, &mut value[..]) {
            Ok(1) if value[0] == b'1' => Self::in_subtree(&root, &std::process::id().to_string()),
            _ => Err(NoCgroups::NotDelegated(root)),
        }
    }

    /// `process` is the number of the one that moves.
    fn in_subtree(root: &Path, process: &str) -> Result<Self, NoCgroups> {
        let procs = fs::read_to_string(root.join("cgroup.procs")).unwrap_or_default();
        if procs.lines().any(|other| other != process) {
            return Err(NoCgroups::NotAlone(root.to_owned()));
        }
        let (daemon, workers) = (root.join("daemon"), root.join("workers"));
        make(&daemon)?;
        make(&workers)?;
        write(&daemon.join("cgroup.procs"), process)?;
        let there = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
        let there = |name: &&str| there.split_whitespace().any(|one| one == *name);
        let mut controllers = Vec::new();
        for controller in CONTROLLERS.into_iter().filter(there) {
            let handed = [root, &workers].into_iter().try_for_each(|group| {
                write(
                    &group.join("cgroup.subtree_control"),
                    &format!("+{controller}"),
                )
            });
            match handed {
                Ok(()) => controllers.push(controller),
                Err(error) => {
                    let error = anyhow::Error::from(error);
                    tracing::warn!("workers have no {controller} controller: {error:#}");
                }
            }
        }
        if controllers.contains(&"cpu") {
            write(&daemon.join("cpu.weight"), DAEMON_WEIGHT)?;
        }
        // What a daemon that died has left: empty, or its processes are still being killed.
        for left in fs::read_dir(&workers).into_iter().flatten().flatten() {
            let _ = fs::remove_dir(left.path());
        }
        Ok(Self {
            workers,
            controllers,
        })
    }

    /// A group for one worker; gone when the returned value is.
    pub(crate) fn make(&self, worker: u32, walls: &Walls) -> Result<WorkerGroup, NoCgroups> {
        WorkerGroup::make(
            self.workers.join(worker.to_string()),
            &self.controllers,
            walls,
        )
    }

    /// Where their groups are made.
    pub(crate) fn workers(&self) -> &Path {
        &self.workers
    }

    /// What holds a worker besides its resource limits.
    pub(crate) fn detail(&self) -> String {
        let walls = self.controllers.iter().map(|controller| match *controller {
            "memory" => "memory.max, memory.oom.group",
            "pids" => "pids.max",
            _ => "cpu.weight",
        });
        let walls: Vec<&str> = walls.chain(["cgroup.kill"]).collect();
        format!(
            "a control group of its own for each worker: {}",
            walls.join(", ")
        )
    }

    /// What of that there is not, here.
    pub(crate) fn lacks(&self) -> Option<String> {
        let lacks = |name: &&str| !self.controllers.contains(name);
        let missing: Vec<&str> = CONTROLLERS.into_iter().filter(lacks).collect();
        (!missing.is_empty()).then(|| {
            format!(
                "no controller here for {}: resource limits alone hold those",
                missing.join(", ")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subtree_is_divided_and_its_controllers_are_handed_down() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("cgroup.controllers"), "cpu io pids\n").unwrap();
        let groups = Cgroups::in_subtree(root.path(), "17").unwrap();
        let read = |file: &str| fs::read_to_string(root.path().join(file)).unwrap();
        assert_eq!(read("daemon/cgroup.procs"), "17");
        // The last that was written: the kernel would have taken one after the other.
        assert_eq!(read("cgroup.subtree_control"), "+pids");
        assert_eq!(read("workers/cgroup.subtree_control"), "+pids");
        assert!(groups.lacks().unwrap().contains("memory"));
        assert!(groups.detail().contains("pids.max"));
    }

    #[test]
    fn a_group_with_other_processes_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("cgroup.procs"), "17\n18\n").unwrap();
        let taken = Cgroups::in_subtree(root.path(), "17");
        assert!(matches!(taken, Err(NoCgroups::NotAlone(_))));
        assert!(!root.path().join("daemon").exists());
    }

    #[test]
    fn a_group_that_cannot_be_made_is_an_error_with_its_path() {
        let missing = Path::new("/nonexistent/group");
        let error = Cgroups::in_subtree(missing, "17").unwrap_err();
        assert!(error.to_string().contains("/nonexistent/group/daemon"));
    }
}
