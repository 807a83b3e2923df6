//! From nothing to a worker that serves: spawn → Boot → Ready → attest → Model → Loaded. The model's
//! descriptor is sent only after the kernel has confirmed the jail.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock};

use nn_sandbox::Plan;
use nn_shm::Blob;
use nn_tensor::{Fault, Signature};
use nn_worker_wire as wire;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::attest::{AttestError, attest};
use super::ending::Ending;
use super::ends::Ends;
use super::exit::Report;
use super::needs::{needs, spawn};
use super::spawn::{KillOnDrop, Purpose, SpawnError, Spawner, Started};
use super::stop::Interrupts;
use super::{Cause, State, Tail, Worker, answer, bytes, log, outbox, probe, reader, warm_up};
use crate::cgroup::WorkerGroup;
use crate::framework::Frameworks;
use crate::lifecycle::policy::Policy;
use crate::limits::Limits;
use crate::model::Model;
use crate::packet::PacketSocket;

/// What a worker is started with.
#[derive(Debug)]
pub(crate) struct Startup {
    pub(crate) spawner: Arc<Spawner>,
    /// Of what workers can be made.
    pub(crate) frameworks: Frameworks,
    /// The framework's, where a model says nothing of its own.
    pub(crate) threads: u32,
    pub(crate) plan: Plan,
    pub(crate) ends: Arc<Ends>,
    pub(crate) limits: Limits,
    /// How models are kept running.
    pub(crate) policy: Policy,
    /// Places for loads under way.
    pub(crate) loads: Semaphore,
}

/// A worker that serves.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) worker: Arc<Worker>,
    pub(crate) signature: Signature,
    pub(crate) runtime: String,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// It could not be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// It runs, but not as it must.
    #[error(transparent)]
    Attest(#[from] AttestError),
    /// It did not get as far as being given the model.
    #[error("the worker did not get as far as the model")]
    Boot(#[source] Box<StartError>),
    /// It ended, or could not be spoken to.
    #[error("the worker {0} while it loaded the model")]
    Died(Cause),
    /// It answered something else than it was asked.
    #[error("the worker broke the protocol: {0}")]
    Protocol(String),
    /// It did not get there in time.
    #[error("the worker was not ready in time")]
    Late,
    /// The model's bytes could not be read just now.
    #[error("{0}")]
    Unread(Fault),
    /// The framework refused the model, or its bytes are not what they were: trying again will not help.
    #[error("{0}")]
    Refused(Fault),
    /// It has loaded the model and did not run it as `model.toml` says that it is warmed up.
    #[error("{fault}")]
    WarmUp {
        /// Which run, and what went wrong, for clients.
        fault: Box<Fault>,
        #[source]
        error: Box<StartError>,
    },
}

/// Starts a worker, loads a model into it and warms it up; bounded by the model's own longest load and
/// `limits.load_ms_max` once there is a place among the loads under way, and by its longest compute for each run.
pub(crate) async fn launch(
    start: &Startup,
    first: bool,
    model: &Model,
) -> Result<Loaded, StartError> {
    let framework = model.framework().map_err(StartError::Refused)?;
    let frameworks = &start.frameworks;
    frameworks.has(framework).map_err(StartError::Refused)?;
    // A restart does not wait behind first loads: somebody may be waiting for it. The semaphore is never
    // closed.
    let _place = if first {
        start.loads.acquire().await.ok()
    } else {
        None
    };
    let bytes = bytes::of(start, model).await?;
    let started = spawn(start, Purpose::Model, needs(start, model, framework)).await?;
    let loading = handshake(start, started, (model, &bytes));
    let loaded = timeout(model.load_max(&start.limits), loading)
        .await
        .unwrap_or(Err(StartError::Late));
    let warmed = match loaded {
        Ok((mut booted, signature)) => warm_up::run(start, model, &mut booted, &signature)
            .await
            .map(|runs| serving(start, booted, signature, runs)),
        Err(error) => Err(error),
    };
    if let Err(error) = &warmed {
        error.count(&start.ends);
    }
    warmed
}

impl StartError {
    /// Why the model is not tried again, if it is not: the framework refused it, or the first of its workers was not
    /// warmed up and lives.
    pub(crate) fn refusal(&self, first: bool) -> Option<&Fault> {
        match self {
            Self::Refused(fault) => Some(fault),
            Self::WarmUp { fault, error } => {
                let lives = matches!(**error, Self::Refused(_) | Self::Late);
                (first && lives).then_some(&**fault)
            }
            Self::Spawn(_)
            | Self::Attest(_)
            | Self::Boot(_)
            | Self::Died(_)
            | Self::Protocol(_)
            | Self::Unread(_)
            | Self::Late => None,
        }
    }

    /// Counts the worker that did not make it.
    pub(super) fn count(&self, ends: &Ends) {
        match self {
            Self::Died(cause) => ends.count(cause),
            Self::Attest(_) | Self::Protocol(_) => ends.count(&Cause::Protocol),
            Self::Late => ends.count(&Cause::Timeout),
            Self::Boot(error) | Self::WarmUp { error, .. } => error.count(ends),
            Self::Spawn(_) | Self::Unread(_) | Self::Refused(_) => {}
        }
    }
}

/// A worker in its jail, its framework loaded, and no model yet.
#[derive(Debug)]
pub(super) struct Booted {
    pub(super) id: u32,
    pid: u32,
    pub(super) socket: PacketSocket,
    interrupts: Interrupts,
    pub(super) exit: Ending,
    runtime: String,
    group: Option<Arc<WorkerGroup>>,
    guard: KillOnDrop,
}

/// Has the worker jail itself and load its framework, as its spawner has told it, and looks whether it did.
/// What it writes is kept in `tail`, if it is to have a model.
pub(super) async fn boot(
    start: &Startup,
    started: Started,
    tail: Option<Arc<Tail>>,
) -> Result<Booted, StartError> {
    let Started {
        worker: id,
        pid,
        control,
        log,
        exit,
        group,
        guard,
    } = started;
    let mut exit = Ending::of(&start.spawner, id, exit);
    let socket = PacketSocket::new(control).map_err(SpawnError::System)?;
    log::follow(id, log, tail).map_err(SpawnError::System)?;
    let (interrupts, theirs) = Interrupts::pair().map_err(SpawnError::System)?;

    let boot = wire::ToWorker::Boot {
        build_id: wire::BUILD_ID.into(),
    };
    send(&socket, &boot, Some(theirs.as_fd())).await?;
    drop(theirs);
    let runtime = match recv(&socket, &mut exit).await? {
        wire::FromWorker::Ready { build_id, runtime } if build_id == wire::BUILD_ID => runtime,
        other => return Err(StartError::Protocol(format!("{other:?} in answer to Boot"))),
    };
    attest(&start.spawner, (id, pid), &start.plan.active()).await?;
    Ok(Booted {
        id,
        pid,
        socket,
        interrupts,
        exit,
        runtime,
        group,
        guard,
    })
}

/// A worker that has loaded the model, and what that takes and gives.
async fn handshake(
    start: &Startup,
    started: Started,
    (model, blob): (&Model, &Blob),
) -> Result<(Booted, Signature), StartError> {
    let artifact = &model.artifact;
    let format = artifact.format.as_str();
    let mut booted = boot(start, started, Some(Arc::clone(&model.log)))
        .await
        .map_err(|error| StartError::Boot(error.into()))?;
    let part = wire::Part {
        name: format!("model.{format}"),
        bytes: blob.bytes(),
    };
    let frame = wire::ToWorker::Model {
        format: format.into(),
        parts: vec![part],
    };
    send(&booted.socket, &frame, Some(blob.as_fd())).await?;
    let signature = match recv(&booted.socket, &mut booted.exit).await? {
        wire::FromWorker::Loaded {
            result: Ok(signature),
        } => Signature::try_from(signature)
            .map_err(|fault| StartError::Protocol(fault.to_string()))?,
        wire::FromWorker::Loaded {
            result: Err(failure),
        } => {
            start.ends.count_failure(&failure);
            return Err(StartError::Refused(answer::explain(failure, booted.id)));
        }
        other => {
            return Err(StartError::Protocol(format!(
                "{other:?} in answer to Model"
            )));
        }
    };

    // The framework and our own reading may not differ in what the model takes: one of them was deceived.
    let agreed = artifact
        .vetted()
        .map(|vetted| vetted.agrees_with(&signature));
    agreed.transpose().map_err(|lie| {
        StartError::Protocol(format!(
            "a signature {}, the model's is {}",
            lie.got, lie.expected
        ))
    })?;
    Ok((booted, signature))
}

/// From here on it gets jobs. It has had so many.
fn serving(start: &Startup, booted: Booted, signature: Signature, jobs: u64) -> Loaded {
    let Booted {
        id,
        pid,
        socket,
        interrupts,
        exit,
        runtime,
        group,
        guard,
    } = booted;
    let sockets = (socket, interrupts);
    let of = (id, pid, group);
    let worker = Worker {
        next_job: AtomicU64::new(jobs.saturating_add(1)),
        ..worker(start, of, sockets, signature.clone())
    };
    let worker = Arc::new(worker);
    guard.disarm();
    outbox::start(&worker);
    probe::start(&worker);
    tokio::spawn(reader::listen(Arc::clone(&worker), exit));
    Loaded {
        worker,
        signature,
        runtime,
    }
}

fn worker(
    start: &Startup,
    (id, pid, group): (u32, u32, Option<Arc<WorkerGroup>>),
    (socket, interrupts): (PacketSocket, Interrupts),
    signature: Signature,
) -> Worker {
    let window = usize::try_from(start.limits.worker_window).unwrap_or(1);
    Worker {
        id,
        pid,
        window: Arc::new(Semaphore::new(window)),
        signature,
        socket,
        interrupts,
        outbox: outbox::Outbox::default(),
        ordered: OnceLock::new(),
        group,
        spawner: Arc::clone(&start.spawner),
        ends: Arc::clone(&start.ends),
        limits: start.limits.clone(),
        next_job: AtomicU64::new(1),
        state: Mutex::new(State::default()),
        measured: super::memory::Measured::default(),
        gone: watch::channel(None).0,
    }
}

pub(super) async fn send(
    socket: &PacketSocket,
    frame: &wire::ToWorker,
    brings: Option<BorrowedFd<'_>>,
) -> Result<(), StartError> {
    let bytes = wire::encode(frame).map_err(|error| StartError::Protocol(error.to_string()))?;
    // A worker that is gone says why by its exit, which `recv` waits for.
    let _ = socket.send(&bytes, brings.as_slice()).await;
    Ok(())
}

pub(super) async fn recv(
    socket: &PacketSocket,
    exit: &mut Ending,
) -> Result<wire::FromWorker, StartError> {
    let mut buffer = vec![0; wire::FRAME_BYTES_MAX];
    let packet = socket.recv(&mut buffer, 0).await;
    match packet {
        Ok(packet) if packet.len > 0 => {
            let bytes = buffer.get(..packet.len).unwrap_or_default();
            wire::decode(bytes).map_err(|error| StartError::Protocol(error.to_string()))
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(StartError::Protocol(error.to_string()))
        }
        // The end; or an empty packet, or a closed socket, of a worker that lives on, and is killed.
        Ok(_) | Err(_) => Err(match exit.learn().await {
            Report::Lives => StartError::Protocol("it lives, and has no more to say".into()),
            report => StartError::Died(Cause::judge(None, report)),
        }),
    }
}
