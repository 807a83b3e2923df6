//! The spawner: the one process that may start others. The daemon starts it before anything else and
//! asks it for workers; when it ends, every worker ends, and so does the daemon.

mod error;
mod process;
mod reports;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::Child;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use nn_sandbox::Layer;
use nn_shm::fds;
use nn_worker_wire as wire;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::cgroup::{Cgroups, NoCgroups, Walls, WorkerGroup};
use crate::framework::{Framework, Role};
use crate::limits::SPAWN_TIMEOUT;
use crate::packet::PacketSocket;
pub(crate) use error::SpawnError;
pub(crate) use process::SpawnerProcess;
use reports::{Alive, State};

/// Kills waiting to be sent: more than there can be workers.
const KILLS_MAX: usize = 1024;

/// The way to new workers.
#[derive(Debug)]
pub(crate) struct Spawner {
    socket: PacketSocket,
    next: AtomicU32,
    workers_max: usize,
    cgroups: OnceLock<Cgroups>,
    state: Mutex<State>,
    kills: mpsc::Sender<u32>,
    lost: watch::Sender<bool>,
}

/// A worker that is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) purpose: Purpose,
    /// Its memory budget, which its own jail holds, in bytes.
    pub(crate) data_bytes_max: u64,
    /// What it is to run models with.
    pub(crate) framework: Framework,
    /// What it is there for.
    pub(crate) role: Role,
    /// The framework's threads.
    pub(crate) threads: u32,
    /// How much it may have, where control groups can hold it.
    pub(crate) walls: Walls,
}

/// What a worker is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A model: one of `limits.workers_max`.
    Model,
    /// To see whether workers work.
    Canary,
}

/// A worker's process, and everything that leads to it.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) worker: u32,
    pub(crate) pid: u32,
    pub(crate) control: OwnedFd,
    pub(crate) log: OwnedFd,
    pub(crate) exit: oneshot::Receiver<wire::End>,
    /// Its control group, where there is one.
    pub(crate) group: Option<Arc<WorkerGroup>>,
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
            cgroups: OnceLock::new(),
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
        tokio::spawn(reports::listen(Arc::clone(&spawner)));
        tokio::spawn(kill_wanted(Arc::clone(&spawner), wanted));
        Ok((spawner, process.child))
    }

    /// Workers are born into groups of this subtree from here on, if one can be.
    pub(crate) async fn use_cgroups(&self, cgroups: Cgroups) -> Result<(), NoCgroups> {
        let none = Walls {
            memory_bytes: u64::MAX >> 1,
            processes: 8,
        };
        let group = cgroups.make(0, &none)?;
        let tried = self.try_place(0, Some(group.as_fd())).await;
        let result = tried.map_err(|error| error.to_string());
        result
            .and_then(|trial| trial.result)
            .map_err(NoCgroups::Trial)?;
        drop(group);
        let _ = self.cgroups.set(cgroups);
        Ok(())
    }

    /// The groups that workers are born into, if they are.
    pub(crate) fn cgroups(&self) -> Option<&Cgroups> {
        self.cgroups.get()
    }

    /// Whether a process can be started in these new namespaces; else why not. One trial at a time.
    pub(crate) async fn try_namespaces(&self, namespaces: u64) -> Result<Trial, SpawnError> {
        self.try_place(namespaces, None).await
    }

    async fn try_place(
        &self,
        namespaces: u64,
        group: Option<BorrowedFd<'_>>,
    ) -> Result<Trial, SpawnError> {
        let (tried, result) = oneshot::channel();
        self.state().trial = Some((namespaces, tried));
        self.send(&wire::ToSpawner::Try { namespaces }, group.as_slice())
            .await?;
        answer(result).await
    }

    /// Hands over the relay program, once.
    pub(crate) async fn take_relay(&self, relay: &Path) -> Result<(), SpawnError> {
        let program = process::program(relay)?;
        self.send(&wire::ToSpawner::Relay, &[program.as_fd()]).await
    }

    /// Says what workers of one backend are made of; the spawner copies the libraries. Once it is jailed it takes no other
    /// word for it.
    pub(crate) async fn make_of(
        &self,
        workers: wire::Workers,
        libraries: &[BorrowedFd<'_>],
    ) -> Result<(), SpawnError> {
        let frame = wire::ToSpawner::Workers(workers);
        self.send(&frame, libraries).await
    }

    /// Has the spawner jail itself, once it has tried what it is to make.
    pub(crate) async fn jail(&self, layers: &[Layer], privileged: bool) -> Result<(), SpawnError> {
        let (jailed, up) = oneshot::channel();
        self.state().jail = Some(jailed);
        let layers = layers.iter().map(|layer| layer.name().to_owned());
        let frame = wire::ToSpawner::Jail {
            layers: layers.collect(),
            privileged,
        };
        self.send(&frame, &[]).await?;
        answer(up).await
    }

    /// What the kernel says of a worker: the spawner reads it, which is its parent.
    pub(crate) async fn report(&self, worker: u32) -> Result<wire::Report, SpawnError> {
        let (attesting, report) = oneshot::channel();
        self.state().attesting.insert(worker, attesting);
        self.send(&wire::ToSpawner::Attest { worker }, &[]).await?;
        answer(report).await?.map_err(SpawnError::Report)
    }

    /// Starts a worker process.
    pub(crate) async fn spawn(self: &Arc<Self>, ask: Ask) -> Result<Started, SpawnError> {
        let worker = self.next.fetch_add(1, Ordering::Relaxed);
        let (control, theirs) = fds::pair()?;
        let (log, their_log) = pipe2(OFlag::O_CLOEXEC).map_err(io::Error::from)?;
        let group = self.group(worker, &ask.walls).map(Arc::new);
        let (starting, started) = oneshot::channel();
        let exit = self.enter(worker, ask.purpose, starting, group.clone())?;
        let guard = KillOnDrop {
            spawner: Arc::clone(self),
            worker: Some(worker),
        };
        let frame = wire::ToSpawner::Spawn {
            worker,
            backend: ask.framework.backend(ask.role),
            data_bytes_max: ask.data_bytes_max,
            threads: ask.threads,
        };
        let mut fds = vec![theirs.as_fd(), their_log.as_fd()];
        fds.extend(group.iter().map(|group| group.as_fd()));
        self.send(&frame, &fds).await?;
        let wire::Born { pid } = match answer(started).await? {
            Ok(born) => born,
            Err(why) => {
                self.state().forget(worker);
                return Err(SpawnError::Failed(why));
            }
        };
        Ok(Started {
            worker,
            pid,
            control,
            log,
            exit,
            group,
            guard,
        })
    }

    /// A group is one wall more; a worker is held without it too.
    fn group(&self, worker: u32, walls: &Walls) -> Option<WorkerGroup> {
        let made = self.cgroups.get()?.make(worker, walls);
        let warn = |error: &NoCgroups| {
            tracing::warn!(worker, "a worker has no control group: {error}");
        };
        made.inspect_err(warn).ok()
    }

    /// A place among the workers.
    fn enter(
        &self,
        worker: u32,
        purpose: Purpose,
        starting: oneshot::Sender<Result<wire::Born, String>>,
        group: Option<Arc<WorkerGroup>>,
    ) -> Result<oneshot::Receiver<wire::End>, SpawnError> {
        let mut state = self.state();
        let models = state.models();
        match purpose {
            Purpose::Canary => {
                state.canaries.insert(worker);
            }
            Purpose::Model if models >= self.workers_max => {
                return Err(SpawnError::TooMany(models));
            }
            Purpose::Model => {}
        }
        let (exited, exit) = oneshot::channel();
        state.starting.insert(worker, starting);
        let alive = Alive {
            exited,
            group,
            status: None,
            rollup: None,
        };
        state.alive.insert(worker, alive);
        Ok(exit)
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

/// What the spawner answers, in time.
async fn answer<T>(waiting: oneshot::Receiver<T>) -> Result<T, SpawnError> {
    match timeout(SPAWN_TIMEOUT, waiting).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(SpawnError::Lost),
        Err(_) => Err(SpawnError::Late),
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
