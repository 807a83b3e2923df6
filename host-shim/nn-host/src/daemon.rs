//! A private nn-daemon, for people who just want to try: in a temporary directory, gone at the end. The
//! one place where nn-host starts a process.

use std::env;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use nn_client::{Client, socket_path};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::cli::DaemonArgs;
use crate::exit::Failure;

/// Longest time until it answers.
const READY_WAIT: Duration = Duration::from_secs(10);

/// Between two questions whether it does.
const READY_PAUSE: Duration = Duration::from_millis(20);

/// Longest time until it has ended after SIGTERM.
const STOP_WAIT: Duration = Duration::from_secs(10);

/// How much of its log is shown when it fails.
const LOG_TAIL_BYTES: u64 = 4096;

const PROGRAM: &str = "nn-daemon";

/// What a service manager tells this process alone: the daemon would answer in its place, or miss a watchdog.
const OURS_ALONE: [&str; 6] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
];

/// Which daemon guests infer through.
#[derive(Debug)]
pub(crate) enum Daemon {
    /// The one behind this socket.
    At(PathBuf),
    /// One of this process's own.
    Private {
        /// Where its models lie.
        repositories: Vec<PathBuf>,
        /// Whether it may run them without a whole jail.
        allow_degraded: bool,
    },
}

/// A daemon that is this process's own. Dropped without [`stop`](Self::stop), it is killed.
#[derive(Debug)]
pub(crate) struct PrivateDaemon {
    child: Child,
    dir: TempDir,
}

/// The daemon's program: beside this one, or one directory up, where cargo puts it for tests.
fn program() -> Result<PathBuf, Failure> {
    let here = env::current_exe().map_err(Failure::Spawn)?;
    let dir = here.parent().unwrap_or(Path::new("/"));
    let above = dir
        .parent()
        .filter(|_| dir.file_name() == Some(OsStr::new("deps")));
    [Some(dir), above]
        .into_iter()
        .flatten()
        .map(|dir| dir.join(PROGRAM))
        .find(|path| path.is_file())
        .ok_or_else(|| Failure::NoDaemon(dir.join(PROGRAM)))
}

fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for name in OURS_ALONE {
        command.env_remove(name);
    }
    command
}

// === impl Daemon ===

impl Daemon {
    /// The one that flags name, else the one behind `socket`, else the system's.
    pub(crate) fn chosen(args: DaemonArgs, socket: Option<PathBuf>) -> Self {
        if args.spawn_daemon {
            return Self::Private {
                repositories: args.model_repository,
                allow_degraded: args.allow_degraded,
            };
        }
        Self::At(socket_path(args.socket.or(socket).as_deref()))
    }

    /// Its socket, and itself if it is a private one, which is not ready yet.
    pub(crate) fn start(&self) -> Result<(PathBuf, Option<PrivateDaemon>), Failure> {
        match self {
            Self::At(socket) => Ok((socket.clone(), None)),
            Self::Private {
                repositories,
                allow_degraded,
            } => {
                let daemon = PrivateDaemon::start(repositories, *allow_degraded)?;
                Ok((daemon.socket(), Some(daemon)))
            }
        }
    }
}

// === impl PrivateDaemon ===

impl PrivateDaemon {
    /// Starts it; it is not ready yet.
    fn start(repositories: &[PathBuf], allow_degraded: bool) -> Result<Self, Failure> {
        let program = program()?;
        // Mode 0700: nobody else reaches its sockets.
        let dir = tempfile::Builder::new()
            .prefix("nn-host-")
            .tempdir()
            .map_err(Failure::Spawn)?;
        let log = File::create(dir.path().join("log")).map_err(Failure::Spawn)?;
        let mut command = command(&program);
        command
            .arg("--runtime-dir")
            .arg(dir.path())
            .arg("--state-dir")
            .arg(dir.path().join("state"));
        if allow_degraded {
            command.arg("--allow-degraded");
        }
        for repository in repositories {
            if !repository.is_dir() {
                return Err(Failure::Repository(repository.clone()));
            }
            command.arg("--model-repository").arg(repository);
        }
        let child = command
            // However this process ends, the pipe does, and with it the daemon.
            .arg("--end-with-stdin")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            // Ctrl-C reaches this process only, which stops the daemon in its own time.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(Failure::Spawn)?;
        tracing::info!(pid = child.id(), dir = %dir.path().display(), "private nn-daemon started");
        Ok(Self { child, dir })
    }

    /// Its gRPC socket.
    fn socket(&self) -> PathBuf {
        self.dir.path().join("nn.sock")
    }

    /// What it has complained of so far: its own WARN and ERROR lines, the last of them.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let tail = self.log_tail();
        let complaint = |line: &&str| line.contains(" WARN ") || line.contains("ERROR ");
        tail.lines().filter(complaint).map(str::to_owned).collect()
    }

    /// Waits until it answers, for at most 10 s.
    pub(crate) async fn wait_ready(&mut self, client: &Client) -> Result<(), Failure> {
        let deadline = Instant::now() + READY_WAIT;
        loop {
            let source = match client.connect().await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(Failure::DaemonEnded {
                    status: status.to_string(),
                    log: self.log_tail(),
                });
            }
            if Instant::now() >= deadline {
                return Err(Failure::DaemonSilent {
                    waited: READY_WAIT,
                    log: self.log_tail(),
                    source,
                });
            }
            sleep(READY_PAUSE).await;
        }
    }

    /// SIGTERM, and SIGKILL if that does not help; then the directory goes.
    pub(crate) async fn stop(mut self) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid {
            // Not reaped yet, so the number is still the child's.
            if let Err(error) = kill(Pid::from_raw(pid), Signal::SIGTERM) {
                tracing::debug!(%error, "the private nn-daemon takes no signal");
            }
        }
        if timeout(STOP_WAIT, self.child.wait()).await.is_err() {
            tracing::warn!("the private nn-daemon does not end; it is killed");
            drop(self.child.kill().await);
        }
        if let Err(error) = self.dir.close() {
            tracing::warn!(%error, "the private nn-daemon's directory stays behind");
        }
    }

    /// The last lines that it said.
    fn log_tail(&self) -> String {
        let read = || -> io::Result<String> {
            let mut log = File::open(self.dir.path().join("log"))?;
            let end = log.seek(SeekFrom::End(0))?;
            log.seek(SeekFrom::Start(end.saturating_sub(LOG_TAIL_BYTES)))?;
            let mut tail = Vec::new();
            log.take(LOG_TAIL_BYTES).read_to_end(&mut tail)?;
            Ok(String::from_utf8_lossy(&tail).trim_end().to_owned())
        };
        read().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_daemon_hears_nothing_of_our_service_manager() {
        let command = command(Path::new("/bin/true"));
        let removed: Vec<&OsStr> = command
            .as_std()
            .get_envs()
            .filter_map(|(name, value)| value.is_none().then_some(name))
            .collect();
        assert_eq!(removed.len(), OURS_ALONE.len());
        assert!(removed.contains(&OsStr::new("NOTIFY_SOCKET")));
    }
}
