//! The spawner's process, started before the daemon has a runtime or has read a byte from outside.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nn_shm::fds;
use nn_worker_wire as wire;

use super::SpawnError;

/// The spawner's process and the daemon's end of its socket; not yet in any runtime.
#[derive(Debug)]
pub(crate) struct SpawnerProcess {
    pub(crate) child: Child,
    pub(super) socket: OwnedFd,
    pub(super) program: File,
}

// === impl SpawnerProcess ===

/// A program for the spawner to copy, after checking that it is of this build.
pub(super) fn program(path: &Path) -> Result<File, SpawnError> {
    let unreadable = |source| SpawnError::Program {
        path: path.to_owned(),
        source,
    };
    let bytes = fs::read(path).map_err(unreadable)?;
    if !wire::build_id_in(&bytes) {
        return Err(SpawnError::Build {
            path: path.to_owned(),
            expected: wire::BUILD_ID,
        });
    }
    File::open(path).map_err(unreadable)
}

impl SpawnerProcess {
    /// Starts the spawner and opens the worker program, after checking that it is of this build.
    pub(crate) fn start(spawner: &Path, worker: &Path) -> Result<Self, SpawnError> {
        let program = program(worker)?;
        let (socket, theirs) = fds::pair()?;
        #[expect(clippy::disallowed_methods, reason = "the daemon's one child")]
        let mut command = Command::new(spawner);
        command
            .env_clear()
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null());
        let failed = |source| SpawnError::Spawner {
            path: spawner.to_owned(),
            source,
        };
        let child = command.spawn().map_err(failed)?;
        Ok(Self {
            child,
            socket,
            program,
        })
    }
}
