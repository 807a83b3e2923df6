//! The dialer's process, started before the daemon has a runtime or has read a byte from outside.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nn_shm::fds;
use nn_worker_wire as wire;

use super::DialerError;

/// How long the C library waits for a name server, in seconds, and how often it asks: an engine's name is looked up within the
/// time that connecting may take.
const RESOLVER: &str = "timeout:2 attempts:2";

/// The dialer's process and the daemon's end of its socket; not yet in any runtime.
#[derive(Debug)]
pub(crate) struct DialerProcess {
    pub(super) child: Child,
    pub(super) socket: OwnedFd,
}

impl DialerProcess {
    /// Starts it, after checking that it is of this build.
    pub(crate) fn start(program: &Path) -> Result<Self, DialerError> {
        let path: PathBuf = program.to_owned();
        let failed = |source: io::Error| DialerError::Program {
            path: path.clone(),
            source,
        };
        let bytes = fs::read(program).map_err(failed)?;
        if !wire::build_id_in(&bytes) {
            return Err(DialerError::Build {
                path: program.to_owned(),
                expected: wire::BUILD_ID,
            });
        }
        let (socket, theirs) = fds::pair().map_err(failed)?;
        #[expect(
            clippy::disallowed_methods,
            reason = "a child of the daemon's own build"
        )]
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("RES_OPTIONS", RESOLVER)
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null());
        let child = command.spawn().map_err(failed)?;
        Ok(Self { child, socket })
    }
}
