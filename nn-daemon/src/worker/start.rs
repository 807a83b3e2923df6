//! From nothing to a worker that serves: spawn → Boot → Ready → attest → Model → Loaded. The model's
//! descriptor is sent only after the kernel has confirmed the jail.

mod error;
mod serving;

pub(crate) use error::StartError;
pub(super) use serving::serving;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use nn_catalogue::{Precision, PreparedKey};
use nn_sandbox::Plan;
use nn_shm::Blob;
use nn_tensor::{Fault, Signature};
use nn_worker_wire as wire;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::attest::attest;
use super::ending::Ending;
use super::ends::Ends;
use super::exit::Report;
use super::needs::{Needs, needs, spawn};
use super::prepare::causes;
use super::spawn::{KillOnDrop, Purpose, SpawnError, Spawner, Started};
use super::stop::Interrupts;
use super::{Cause, Tail, Worker, answer, bytes, log, relay, warm_up};
use crate::cgroup::WorkerGroup;
use crate::framework::{Framework, Frameworks};
use crate::lifecycle::policy::Policy;
use crate::limits::Limits;
use crate::model::{Model, Signatures};
use crate::packet::PacketSocket;
use crate::remote::Remotes;
use error::too_long;

/// What a worker is started with.
#[derive(Debug)]
pub(crate) struct Startup {
    pub(crate) spawner: Arc<Spawner>,
    /// Of what workers can be made.
    pub(crate) frameworks: Frameworks,
    /// The way to remote engines, where there is one.
    pub(crate) remotes: Result<Arc<Remotes>, Fault>,
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
    pub(crate) signatures: Signatures,
    pub(crate) runtime: String,
}

/// Starts a worker, loads a model into it and warms it up; bounded by the model's own longest load and
/// `limits.load_ms_max` once there is a place among the loads under way, and by its longest compute for each run. A relay takes no
/// place: it computes nothing, it waits for engines, and no load that computes is to wait behind that.
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
    let _place = if first && framework != Framework::KServe {
        start.loads.acquire().await.ok()
    } else {
        None
    };
    let starting = start.ends.starts.begin();
    let launched = match framework {
        Framework::KServe => relay::attempt(start, model).await,
        Framework::OnnxRuntime | Framework::OpenVino => launched(start, (model, framework)).await,
    };
    if launched.is_ok() {
        starting.loaded();
    }
    launched
}

/// A worker with what was prepared of the model; where that is of no use, another with the model's own bytes.
async fn launched(
    start: &Startup,
    (model, framework): (&Model, Framework),
) -> Result<Loaded, StartError> {
    let prepared = &start.policy.prepared;
    let mut used = None;
    let loaded = attempt(start, (model, framework), &mut Given::Prepared(&mut used)).await;
    let (Err(error), Some(key)) = (&loaded, used) else {
        return loaded;
    };
    if !error.may_be_what_was_given() {
        return loaded;
    }
    // Whatever it was, the model's own bytes tell.
    prepared.drop_for(model, key, &causes(error)).await;
    attempt(start, (model, framework), &mut Given::Own).await
}

/// What a worker may be given.
enum Given<'a> {
    /// What was made of the model, where there is such; noted here.
    Prepared(&'a mut Option<PreparedKey>),
    /// The model's own bytes.
    Own,
}

/// One worker.
async fn attempt(
    start: &Startup,
    (model, framework): (&Model, Framework),
    given: &mut Given<'_>,
) -> Result<Loaded, StartError> {
    // What they say is to be known; beyond that they are read only if they are to be sent.
    let is_ready = matches!(given, Given::Prepared(_)) && model.artifact.ready().is_some();
    if !is_ready || model.artifact.vetted().is_none() {
        bytes::of(start, model).await?;
    }
    let needs = needs(start, model, framework);
    let started = spawn(start, Purpose::Model, needs).await?;
    let within = model.load_max(&start.limits);
    let of = (model, needs, given);
    let loaded = handshake(start, started, of, Instant::now() + within).await;
    let warmed = match loaded {
        Ok((mut booted, signatures)) => warm_up::run(start, model, &mut booted, &signatures.seen)
            .await
            .map(|runs| serving(start, model, booted, (signatures, runs))),
        Err(error) => Err(error),
    };
    if let Err(error) = &warmed {
        error.count(&start.ends);
    }
    warmed
}

/// A worker in its jail, its framework loaded, and no model yet.
#[derive(Debug)]
pub(super) struct Booted {
    pub(super) id: u32,
    pid: u32,
    pub(super) socket: PacketSocket,
    interrupts: Interrupts,
    pub(super) exit: Ending,
    pub(super) runtime: String,
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
    boot_with(start, started, tail, None).await
}

/// The same of one that is to write to a place.
pub(super) async fn boot_with(
    start: &Startup,
    started: Started,
    tail: Option<Arc<Tail>>,
    place: Option<BorrowedFd<'_>>,
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
    let brings: Vec<BorrowedFd<'_>> = [theirs.as_fd()].into_iter().chain(place).collect();
    send(&socket, &boot, brings).await?;
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

/// A worker that has loaded the model before `end`, and what that takes and gives. One that is late is killed.
async fn handshake(
    start: &Startup,
    started: Started,
    (model, needs, given): (&Model, Needs, &mut Given<'_>),
    end: Instant,
) -> Result<(Booted, Signatures), StartError> {
    let booting = boot(start, started, Some(Arc::clone(&model.log)));
    let mut booted = timeout_at(end, booting)
        .await
        .unwrap_or(Err(StartError::Late))
        .map_err(|error| StartError::Boot(error.into()))?;
    let given = timeout_at(end, give(start, &mut booted, (model, needs, given))).await;
    let signature =
        given.unwrap_or_else(|_| Err(StartError::TooLong(too_long(model, &start.limits))))?;
    // As the worker did: it converts, and what that comes to is not its word.
    let signatures = model.signatures_of(signature);
    Ok((booted, signatures.map_err(StartError::Refused)?))
}

/// Sends a worker the model, and hears what that takes and gives.
async fn give(
    start: &Startup,
    booted: &mut Booted,
    (model, needs, given): (&Model, Needs, &mut Given<'_>),
) -> Result<Signature, StartError> {
    let artifact = &model.artifact;
    let prepared = &start.policy.prepared;
    let key = prepared.key(model, needs.framework, &booted.runtime, needs.threads);
    let ready = match given {
        Given::Prepared(_) => prepared.find(model, key).await,
        Given::Own => None,
    };
    for conversion in wire::Conversion::all(&model.manifest.conversions()) {
        let frame = wire::ToWorker::Convert { conversion };
        send(&booted.socket, &frame, None).await?;
    }
    if let (Some(ready), Given::Prepared(used)) = (&ready, given) {
        **used = Some(ready.key);
        send_model(booted, model, (wire::PREPARED, &ready.blob)).await?;
    } else {
        let blob = bytes::of(start, model).await?;
        send_model(booted, model, (&artifact.format, &blob)).await?;
    }
    let signature = loaded(start, booted).await?;

    // The framework and our own reading may not differ in what the model takes: one of them was deceived.
    let agreed = artifact
        .vetted()
        .map(|vetted| vetted.agrees_with(&signature));
    let other = |lie| error::disagreed(needs.framework, &lie);
    agreed.transpose().map_err(other)?;
    if ready.is_some() {
        tracing::info!(model = %model.id(), worker = booted.id, "loaded from what was prepared");
        // The next worker is given the same.
        artifact.release_bytes();
    }
    Ok(signature)
}

/// Hears what a model takes and gives, that a worker was given.
pub(super) async fn loaded(start: &Startup, booted: &mut Booted) -> Result<Signature, StartError> {
    match recv(&booted.socket, &mut booted.exit).await? {
        wire::FromWorker::Loaded {
            result: Ok(signature),
        } => {
            Signature::try_from(signature).map_err(|fault| StartError::Protocol(fault.to_string()))
        }
        wire::FromWorker::Loaded {
            result: Err(failure),
        } => {
            start.ends.count_failure(&failure);
            let fault = answer::explain_load(failure, booted, &start.limits);
            Err(StartError::Refused(fault))
        }
        other => Err(StartError::Protocol(format!(
            "{other:?} in answer to Model"
        ))),
    }
}

async fn send_model(
    booted: &Booted,
    model: &Model,
    (format, blob): (&str, &Blob),
) -> Result<(), StartError> {
    let frame = wire::ToWorker::Model {
        format: format.into(),
        parts: vec![wire::Part {
            name: format!("model.{format}"),
            bytes: blob.bytes(),
        }],
        precision: precision(model),
    };
    send(&booted.socket, &frame, Some(blob.as_fd())).await
}

/// What a model is computed in, as workers are told.
pub(super) fn precision(model: &Model) -> wire::Precision {
    match model.manifest.precision {
        Precision::F32 => wire::Precision::F32,
        Precision::Native => wire::Precision::Native,
    }
}

pub(super) async fn send(
    socket: &PacketSocket,
    frame: &wire::ToWorker,
    brings: impl IntoIterator<Item = BorrowedFd<'_>>,
) -> Result<(), StartError> {
    let bytes = wire::encode(frame).map_err(|error| StartError::Protocol(error.to_string()))?;
    // A worker that is gone says why by its exit, which `recv` waits for.
    let brings: Vec<BorrowedFd<'_>> = brings.into_iter().collect();
    let _ = socket.send(&bytes, &brings).await;
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
