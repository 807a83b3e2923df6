//! A worker that has its model, taken into service.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock};

use nn_tensor::Signature;
use tokio::sync::watch;

use super::super::stop::Interrupts;
use super::super::window::Window;
use super::super::{State, Worker, memory, outbox, probe, reader};
use super::{Booted, Loaded, Startup};
use crate::cgroup::WorkerGroup;
use crate::model::{Model, Signatures};
use crate::packet::PacketSocket;

/// From here on it gets jobs. It has had so many.
pub(in crate::worker) fn serving(
    start: &Startup,
    model: &Model,
    booted: Booted,
    (signatures, jobs): (Signatures, u64),
) -> Loaded {
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
        endpoints: model.is_remote().then(|| Arc::clone(&model.endpoints)),
        window: Arc::new(window(start, model)),
        ..worker(start, of, sockets, Signature::clone(&signatures.seen))
    };
    let worker = Arc::new(worker);
    guard.disarm();
    outbox::start(&worker);
    probe::start(&worker);
    tokio::spawn(reader::listen(Arc::clone(&worker), exit));
    Loaded {
        worker,
        signatures,
        runtime,
    }
}

/// A worker runs its jobs in order, a relay has many under way.
fn window(start: &Startup, model: &Model) -> Window {
    let said = model.manifest.kserve.as_ref();
    match said.filter(|_| model.is_remote()) {
        Some(kserve) => Window::side_by_side(kserve.in_flight_max),
        None => Window::new(start.limits.worker_window),
    }
}

fn worker(
    start: &Startup,
    (id, pid, group): (u32, u32, Option<Arc<WorkerGroup>>),
    (socket, interrupts): (PacketSocket, Interrupts),
    signature: Signature,
) -> Worker {
    Worker {
        id,
        pid,
        window: Arc::new(Window::new(start.limits.worker_window)),
        signature,
        socket,
        interrupts,
        endpoints: None,
        outbox: outbox::Outbox::default(),
        ordered: OnceLock::new(),
        group,
        spawner: Arc::clone(&start.spawner),
        ends: Arc::clone(&start.ends),
        limits: start.limits.clone(),
        next_job: AtomicU64::new(1),
        state: Mutex::new(State::default()),
        measured: memory::Measured::default(),
        gone: watch::channel(None).0,
    }
}
