//! The handle to one worker: jobs out, answers back, a small window in flight. The worker is assumed
//! hostile: an answer that breaks the protocol is the worker's end, never ours.

mod answer;
mod attest;
mod bytes;
mod canary;
mod ending;
mod ends;
mod exit;
mod load;
mod log;
mod memory;
mod needs;
mod outbox;
pub(crate) mod outfit;
mod prepare;
mod probe;
mod reader;
mod relay;
pub(crate) mod spawn;
mod start;
mod starts;
mod stop;
mod tail;
pub(crate) mod verify;
mod warm_up;
mod window;

pub(crate) use canary::Canary;
pub(crate) use ends::Ends;
pub(crate) use exit::{Cause, Order};
pub(crate) use load::Load;
pub(crate) use memory::Memory;
pub(crate) use prepare::{causes, prepare};
pub(crate) use start::{Loaded, StartError, Startup, launch};
pub(crate) use stop::Stops;
pub(crate) use tail::Tail;
pub(crate) use window::Place;

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use nn_proto::v1::Role as GrantRole;
use nn_shm::fds::Packet;
use nn_tensor::{ArenaId, Fault, Id128, Reason, SegmentId, Signature, SlotRef};
use nn_worker_wire as wire;
use std::os::fd::AsFd;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::arena::{Arena, Piece};
use crate::cgroup::WorkerGroup;
use crate::limits::Limits;
use crate::packet::PacketSocket;
use crate::queue::Job;
use crate::remote::Endpoints;
use crate::session::Session;
use outbox::Outbox;
use spawn::Spawner;
use stop::Interrupts;
use window::Window;

/// Segments that one worker may have mapped; it takes 4096 itself.
const ATTACHED_MAX: usize = 4000;

/// A worker with its model loaded.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) id: u32,
    pub(crate) pid: u32,
    /// Places for jobs handed over and not yet answered.
    pub(crate) window: Arc<Window>,
    signature: Signature,
    socket: PacketSocket,
    interrupts: Interrupts,
    /// Of a relay: what it says of its endpoints.
    endpoints: Option<Arc<Endpoints>>,
    outbox: Outbox,
    /// What the daemon has ordered of it, first.
    ordered: OnceLock<Order>,
    /// Its control group, where there is one.
    group: Option<Arc<WorkerGroup>>,
    spawner: Arc<Spawner>,
    ends: Arc<Ends>,
    limits: Limits,
    next_job: AtomicU64,
    state: Mutex<State>,
    measured: memory::Measured,
    gone: watch::Sender<Option<Cause>>,
}

#[derive(Debug, Default)]
struct State {
    jobs: HashMap<u64, InFlight>,
    /// Segments that the worker has been told to map, and their bytes.
    attached: HashMap<(ArenaId, SegmentId), u64>,
    sessions: HashMap<Id128, Use>,
    /// Segments that it has been sent and not said to have mapped.
    attaching: HashSet<(ArenaId, SegmentId)>,
    /// It was asked whether it is there, and how often an answer was missed since.
    probed: Option<u32>,
    /// Since when the oldest job has been that: the worker runs them in order. Of a relay it means nothing.
    head_since: Option<Instant>,
    /// Whose clients have used this worker, ever.
    uids: HashSet<u32>,
    dead: bool,
}

/// A job that the worker has.
#[derive(Debug)]
struct InFlight {
    job: Job,
    out: Arc<Arena>,
    started: Instant,
    /// When the worker has been told to stop it.
    interrupted: Option<Instant>,
    _place: Place,
}

/// What one session has in this worker.
#[derive(Debug)]
struct Use {
    session: Arc<Session>,
    out: Arc<Arena>,
    /// Input arenas that the worker has mapped.
    inputs: HashSet<ArenaId>,
    jobs: usize,
    /// Output slots that were answered and not released since.
    delivered: HashSet<SlotRef>,
    closing: bool,
}

/// A segment that the worker has yet to map.
type ToMap = (Arc<Piece>, wire::Role);

impl Worker {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a job over. It is answered by the reader, or when the worker dies; if it cannot even be
    /// sent, it is answered here.
    pub(crate) async fn start(self: &Arc<Self>, job: Job, place: Place) {
        let number = self.next_job.fetch_add(1, Ordering::Relaxed);
        if !job.control.begin(self, number) {
            return;
        }
        let (out, attach) = match self.prepare(&job) {
            Ok(prepared) => prepared,
            Err(fault) => return job.refuse(fault),
        };
        let timeout = job.deadline.saturating_duration_since(Instant::now());
        let run = wire::ToWorker::Run(wire::Run {
            job: number,
            inputs: job.inputs.iter().map(Into::into).collect(),
            out_arena: out.id().0,
            timeout_us: micros(timeout),
        });
        tracing::trace!(parent: &job.span, worker = self.id, job = number, "to the worker");
        {
            let mut state = self.state();
            if state.dead {
                drop(state);
                return job.again();
            }
            if let Some(used) = state.sessions.get_mut(&job.session.id) {
                used.jobs = used.jobs.saturating_add(1);
            }
            let in_flight = InFlight {
                job,
                out,
                started: Instant::now(),
                interrupted: None,
                _place: place,
            };
            if state.jobs.is_empty() {
                state.head_since = Some(Instant::now());
            }
            state.jobs.insert(number, in_flight);
        }
        for (piece, role) in &attach {
            self.attach(piece, *role).await;
        }
        self.send(&run).await;
    }

    /// The job's output arena, and the segments that the worker has yet to map for it.
    fn prepare(self: &Arc<Self>, job: &Job) -> Result<(Arc<Arena>, Vec<ToMap>), Fault> {
        let mut attach = Vec::new();
        let mut state = self.state();
        let state = &mut *state;
        if job.session.is_closed() {
            return Err(Fault::of(Reason::SessionEnded));
        }
        if state.attached.len() >= ATTACHED_MAX {
            return Err(Fault::of(Reason::SegmentsFull).expected(format!("at most {ATTACHED_MAX}")));
        }
        state.uids.insert(job.session.peer.uid);
        let used = match state.sessions.entry(job.session.id) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(new) => {
                let out = Arc::new(Arena::new(Arc::clone(job.session.meter.budget())));
                let fixed = self.signature.outputs.iter().filter_map(|spec| {
                    spec.fixed_shape()?
                        .byte_len(spec.dtype)
                        .ok()?
                        .checked_next_multiple_of(nn_shm::SLOT_ALIGN)
                });
                let bytes = fixed
                    .fold(0, u64::saturating_add)
                    .max(self.limits.segment_bytes);
                attach.push((out.grow(bytes)?, wire::Role::Output));
                job.session.add_out_arena(out.id(), self);
                let session = Arc::clone(&job.session);
                new.insert(Use {
                    session,
                    out,
                    inputs: HashSet::new(),
                    jobs: 0,
                    delivered: HashSet::new(),
                    closing: false,
                })
            }
        };
        used.inputs.insert(job.graph.arena.id());
        for piece in &job.pieces {
            if !state.attached.contains_key(&(piece.arena, piece.id)) {
                attach.push((Arc::clone(piece), wire::Role::Input));
            }
        }
        state
            .attached
            .extend(attach.iter().map(|(piece, _)| piece.sized()));
        Ok((Arc::clone(&used.out), attach))
    }

    async fn attach(&self, piece: &Piece, role: wire::Role) {
        let (shared, bytes) = {
            let mut state = self.state();
            state.attaching.insert((piece.arena, piece.id));
            (state.uids.len() > 1, state.attached.values().sum())
        };
        if let Some(group) = &self.group {
            group.allow_arenas(bytes);
        }
        let frame = wire::ToWorker::Attach {
            arena: piece.arena.0,
            segment: piece.id.0,
            bytes: piece.segment.bytes(),
            role,
            shared,
        };
        self.send_with(&frame, Some(piece)).await;
    }

    async fn send(&self, frame: &wire::ToWorker) {
        self.send_with(frame, None).await;
    }

    /// Sends a frame. That it has ended needs no answer here: the socket's other direction ends as well, and the reader,
    /// which learns how, then answers every job.
    async fn send_with(&self, frame: &wire::ToWorker, piece: Option<&Piece>) {
        let fd = piece.map(|piece| piece.segment.as_fd());
        let sent = match wire::encode(frame) {
            Ok(bytes) => self.socket.send(&bytes, fd.as_slice()).await,
            Err(error) => Err(io::Error::other(error)),
        };
        let Err(error) = sent else { return };
        tracing::debug!(worker = self.id, "cannot send to a worker: {error}");
        if !matches!(
            error.kind(),
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
        ) {
            self.kill(Order::Unreachable);
        }
    }

    async fn recv(&self, buffer: &mut [u8]) -> io::Result<Packet> {
        self.socket.recv(buffer, 0).await
    }

    /// Gives output slots back to the worker: those that were delivered to this session, once.
    pub(crate) fn release(&self, session: Id128, slots: &[SlotRef]) {
        let mut state = self.state();
        let Some(used) = state.sessions.get_mut(&session) else {
            return;
        };
        let known: Vec<SlotRef> = slots
            .iter()
            .copied()
            .filter(|slot| used.delivered.remove(slot))
            .collect();
        self.outbox.release(&known);
    }

    /// An input segment is gone: no job here uses it.
    pub(crate) fn unmap(&self, arena: ArenaId, segment: SegmentId) {
        if self.state().attached.remove(&(arena, segment)).is_some() {
            self.outbox.unmap(arena, segment);
        }
    }

    /// An input arena of a session is gone: no job here uses it.
    pub(crate) fn forget_input(&self, session: Id128, arena: ArenaId) {
        let mut state = self.state();
        let used = state.sessions.get_mut(&session);
        if used.is_some_and(|used| used.inputs.remove(&arena)) {
            state.attached.retain(|(attached, _), _| *attached != arena);
            self.outbox.detach(arena);
        }
    }

    /// Asks for output segments that have been idle since the last time.
    pub(crate) fn trim(&self) {
        if self
            .state()
            .sessions
            .values()
            .any(|used| used.out.segments() > 1)
        {
            self.outbox.trim();
        }
    }

    /// Gives a session's arenas up: at once, or when its last job here has ended.
    pub(crate) fn close_session(&self, session: Id128) {
        let mut state = self.state();
        if let Some(used) = state.sessions.get_mut(&session) {
            used.closing = true;
        }
        self.detach_if_done(&mut state, session);
    }

    fn detach_if_done(&self, state: &mut State, session: Id128) {
        if !state
            .sessions
            .get(&session)
            .is_some_and(|used| used.closing && used.jobs == 0)
        {
            return;
        }
        let Some(used) = state.sessions.remove(&session) else {
            return;
        };
        for arena in used.inputs.into_iter().chain([used.out.id()]) {
            state.attached.retain(|(attached, _), _| *attached != arena);
            self.outbox.detach(arena);
        }
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.state().jobs.len()
    }

    /// Sends an output segment to its client. One that does not take its descriptors could never read
    /// an output: its session ends.
    fn grant(session: &Session, piece: &Arc<Piece>) {
        if let Err(fault) = session.grant(piece, GrantRole::Output) {
            tracing::debug!("an output segment could not be granted: {fault}");
            session.close();
        }
    }
}

/// Whole microseconds, saturating.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
