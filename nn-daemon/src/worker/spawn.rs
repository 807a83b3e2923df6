//! The spawner: the one process that may start others. The daemon starts it before anything else and
//! asks it for workers; when it ends, every worker ends, and so does the daemon.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fs, io};

use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use nn_shm::fds;
use nn_worker_wire as wire;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::limits::SPAWN_TIMEOUT;
use crate::packet::PacketSocket;

/// Kills waiting to be sent: more than there can be workers.
const KILLS_MAX: usize = 1024;

/// The spawner's process and the daemon's end of its socket; not yet in any runtime.
#[derive(Debug)]
pub(crate) struct SpawnerProcess {
    pub(crate) child: Child,
    socket: OwnedFd,
    program: File,
}

/// The way to new workers.
#[derive(Debug)]
pub(crate) struct Spawner {
    socket: PacketSocket,
    next: AtomicU32,
    workers_max: usize,
    state: Mutex<State>,
    kills: mpsc::Sender<u32>,
    lost: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    starting: HashMap<u32, oneshot::Sender<Result<wire::Born, String>>>,
    /// Who waits for the result of a trial, and of which namespaces.
    trial: Option<(u64, oneshot::Sender<Trial>)>,
    exits: HashMap<u32, oneshot::Sender<wire::End>>,
}

/// A worker's process, and everything that leads to it.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) worker: u32,
    pub(crate) pid: u32,
    /// The uid that it is to become.
    pub(crate) uid: Option<u32>,
    pub(crate) control: OwnedFd,
    pub(crate) log: OwnedFd,
    pub(crate) exit: oneshot::Receiver<wire::End>,
    pub(crate) guard: KillOnDrop,
}

/// What came of trying to start a process in new namespaces.
#[derive(Debug)]
pub(crate) struct Trial {
    /// Whether workers get uids of their own.
    pub(crate) own_uids: bool,
    /// Else why not.
    pub(crate) result: Result<(), String>,
}

/// Has a worker killed unless somebody has taken charge of it.
#[derive(Debug)]
pub(crate) struct KillOnDrop {
    spawner: Arc<Spawner>,
    worker: Option<u32>,
}

impl KillOnDrop {
    /// The worker is somebody's now.
    pub(crate) fn disarm(mut self) {
        self.worker = None;
    }
}

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        if let Some(worker) = self.worker {
            self.spawner.kill(worker);
        }
    }
}

/// Why there is no spawner, or no worker.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpawnError {
    #[error("cannot start {path}")]
    Spawner {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot read the worker program {path}")]
    Program {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "{path} is of another build; expected {expected}; hint: build and install daemon and workers together"
    )]
    Build {
        path: PathBuf,
        expected: &'static str,
    },
    #[error("cannot make a worker's sockets")]
    System(#[from] io::Error),
    #[error("there are {0} workers already; hint: unload a model, or raise limits.workers_max")]
    TooMany(usize),
    #[error("the spawner could not start a worker: {0}")]
    Failed(String),
    #[error("the spawner is gone")]
    Lost,
    #[error("the spawner did not start a worker in time")]
    Late,
}

// === impl SpawnerProcess ===

impl SpawnerProcess {
    /// Starts the spawner and opens the worker program, after checking that it is of this build.
    pub(crate) fn start(spawner: &Path, worker: &Path) -> Result<Self, SpawnError> {
        let unreadable = |source| SpawnError::Program {
            path: worker.to_owned(),
            source,
        };
        let bytes = fs::read(worker).map_err(unreadable)?;
        if !wire::build_id_in(&bytes) {
            return Err(SpawnError::Build {
                path: worker.to_owned(),
                expected: wire::BUILD_ID,
            });
        }
        let program = File::open(worker).map_err(unreadable)?;
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

// === impl Spawner ===

impl Spawner {
    /// Takes the spawner's socket into the runtime and hands it the worker program.
    pub(crate) async fn connect(
        process: SpawnerProcess,
        workers_max: u32,
        uid_first: u32,
    ) -> Result<(Arc<Self>, Child), SpawnError> {
        let socket = PacketSocket::new(process.socket)?;
        let (kills, wanted) = mpsc::channel(KILLS_MAX);
        let spawner = Arc::new(Self {
            socket,
            next: AtomicU32::new(1),
            workers_max: usize::try_from(workers_max).unwrap_or(usize::MAX),
            state: Mutex::default(),
            kills,
            lost: watch::channel(false).0,
        });
        spawner
            .send(
                &wire::ToSpawner::Program { uid_first },
                &[process.program.as_fd()],
            )
            .await?;
        tokio::spawn(listen(Arc::clone(&spawner)));
        tokio::spawn(kill_wanted(Arc::clone(&spawner), wanted));
        Ok((spawner, process.child))
    }

    /// Whether a process can be started in these new namespaces; else why not. One trial at a time.
    pub(crate) async fn try_namespaces(&self, namespaces: u64) -> Result<Trial, SpawnError> {
        let (tried, result) = oneshot::channel();
        self.state().trial = Some((namespaces, tried));
        self.send(&wire::ToSpawner::Try { namespaces }, &[]).await?;
        match timeout(SPAWN_TIMEOUT, result).await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(_)) => Err(SpawnError::Lost),
            Err(_) => Err(SpawnError::Late),
        }
    }

    /// Starts a worker process in these new namespaces.
    pub(crate) async fn spawn(self: &Arc<Self>, namespaces: u64) -> Result<Started, SpawnError> {
        let worker = self.next.fetch_add(1, Ordering::Relaxed);
        let (control, theirs) = fds::pair()?;
        let (log, their_log) = pipe2(OFlag::O_CLOEXEC).map_err(io::Error::from)?;
        let (starting, started) = oneshot::channel();
        let (exited, exit) = oneshot::channel();
        {
            let mut state = self.state();
            if state.exits.len() >= self.workers_max {
                return Err(SpawnError::TooMany(state.exits.len()));
            }
            state.starting.insert(worker, starting);
            state.exits.insert(worker, exited);
        }
        let guard = KillOnDrop {
            spawner: Arc::clone(self),
            worker: Some(worker),
        };
        let frame = wire::ToSpawner::Spawn { worker, namespaces };
        self.send(&frame, &[theirs.as_fd(), their_log.as_fd()])
            .await?;
        let result = timeout(SPAWN_TIMEOUT, started).await;
        let wire::Born { pid, uid } = match result {
            Ok(Ok(Ok(born))) => born,
            Ok(Ok(Err(why))) => {
                self.state().exits.remove(&worker);
                return Err(SpawnError::Failed(why));
            }
            Ok(Err(_)) => return Err(SpawnError::Lost),
            Err(_) => return Err(SpawnError::Late),
        };
        Ok(Started {
            worker,
            pid,
            uid,
            control,
            log,
            exit,
            guard,
        })
    }

    /// Has a worker killed. Harmless when it has ended.
    pub(crate) fn kill(&self, worker: u32) {
        if self.kills.try_send(worker).is_err() {
            tracing::error!(worker, "cannot pass a kill to the spawner");
        }
    }

    /// Lets the spawner end, and with it every worker that is left.
    pub(crate) fn close(&self) {
        self.socket.close();
    }

    /// Returns when the spawner is gone.
    pub(crate) async fn lost(&self) {
        // The sender lives in `self`.
        let _ = self.lost.subscribe().wait_for(|lost| *lost).await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(
        &self,
        frame: &wire::ToSpawner,
        fds: &[BorrowedFd<'_>],
    ) -> Result<(), SpawnError> {
        let bytes = wire::encode(frame).map_err(io::Error::other)?;
        self.socket
            .send(&bytes, fds)
            .await
            .map_err(|_| SpawnError::Lost)
    }
}

async fn kill_wanted(spawner: Arc<Spawner>, mut wanted: mpsc::Receiver<u32>) {
    while let Some(worker) = wanted.recv().await {
        if spawner
            .send(&wire::ToSpawner::Kill { worker }, &[])
            .await
            .is_err()
        {
            return;
        }
    }
}

/// Takes the spawner's reports until it is gone.
async fn listen(spawner: Arc<Spawner>) {
    let mut buffer = vec![0; wire::FRAME_BYTES_MAX];
    // The pidfd that comes with a start is not needed: the spawner reports every end.
    loop {
        let packet = match spawner.socket.recv(&mut buffer, 1).await {
            Ok(packet) if packet.len > 0 => packet,
            // Without room for a descriptor the report is lost, not the spawner: whoever waits for it
            // gives up in time.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::error!("a report of the spawner is lost: {error}");
                continue;
            }
            Ok(_) | Err(_) => break,
        };
        match wire::decode(buffer.get(..packet.len).unwrap_or_default()) {
            Ok(wire::FromSpawner::Spawned { worker, result }) => {
                let waiting = spawner.state().starting.remove(&worker);
                let _ = waiting.map(|waiting| waiting.send(result));
            }
            Ok(wire::FromSpawner::Tried {
                namespaces,
                own_uids,
                result,
            }) => {
                let waiting = spawner.state().trial.take_if(|(of, _)| *of == namespaces);
                let _ = waiting.map(|(_, waiting)| waiting.send(Trial { own_uids, result }));
            }
            Ok(wire::FromSpawner::Exited { worker, end }) => {
                let waiting = spawner.state().exits.remove(&worker);
                let _ = waiting.map(|waiting| waiting.send(end));
            }
            Err(error) => {
                tracing::error!("the spawner sent {error}");
                break;
            }
        }
    }
    {
        let mut state = spawner.state();
        state.starting.clear();
        state.trial = None;
        state.exits.clear();
    }
    spawner.lost.send_replace(true);
}
