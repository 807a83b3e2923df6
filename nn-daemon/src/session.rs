//! A client's session: what it has resolved, what it holds, what it is waiting for. It lives as long
//! as its connection on the descriptor socket; when that ends, everything here goes.

mod counted;
pub(crate) mod fd;
mod gone;
mod holds;
mod outputs;
mod table;

pub(crate) use gone::Why;
pub(crate) use table::Sessions;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use nn_proto::v1;
use nn_tensor::{ArenaId, Fault, Id128, Reason, SegmentId, SlotRef, Tenant};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::arena::{Arena, Piece};
use crate::limits::Limits;
use crate::metrics::{Metrics, OfTenant};
use crate::model::Model;
use crate::peer::Peer;
use crate::queue::Control;
use crate::tenancy::{Meter, Tenancy, Underway};
use crate::worker::Worker;

/// One client process acting for one tenant.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: Id128,
    pub(crate) tenant: Tenant,
    pub(crate) peer: Peer,
    pub(crate) opened: Instant,
    /// What tenants may have.
    pub(crate) tenancy: Tenancy,
    /// What its own has, in this session and others.
    pub(crate) meter: Arc<Meter>,
    /// What is counted of its tenant.
    counts: Arc<OfTenant>,
    metrics: Arc<Metrics>,
    /// To the descriptor socket; `None` where the daemon itself is the client (`kserve.rs`).
    fd_out: Option<mpsc::Sender<FdOut>>,
    closed: watch::Sender<bool>,
    /// How many ReleaseGraph have been taken.
    graphs_released: watch::Sender<u64>,
    state: Mutex<State>,
}

/// The way to a client on its Infer stream.
pub(crate) type Events = mpsc::Sender<Result<v1::InferResponse, tonic::Status>>;

/// What goes out on the descriptor socket.
#[derive(Debug)]
pub(crate) enum FdOut {
    Grant { piece: Arc<Piece>, role: v1::Role },
    Revoked(ArenaId, Option<SegmentId>),
}

/// A resolved model version, and the arena in which this session places its inputs.
#[derive(Debug)]
pub(crate) struct Graph {
    pub(crate) id: u64,
    pub(crate) model: Arc<Model>,
    pub(crate) arena: Arena,
}

#[derive(Debug, Default)]
struct State {
    graphs: HashMap<u64, Arc<Graph>>,
    /// How often each of those is held.
    held: HashMap<u64, holds::Held>,
    /// Whose output slots this session may release.
    out_arenas: HashMap<ArenaId, Weak<Worker>>,
    /// Computes in flight, by the client's request id.
    requests: HashMap<u64, Request>,
    /// Outputs that the client has not given back.
    outputs: outputs::Outputs,
    /// Graphs that there were.
    gone: gone::GoneGraphs,
    /// To the Infer stream, while there is one.
    events: Option<Events>,
}

/// One compute in flight, and its place among those of its tenant.
#[derive(Debug)]
struct Request {
    control: Arc<Control>,
    _underway: Underway,
}

// === impl Session ===

impl Session {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who acts here, and for whom.
    pub(crate) fn who(&self) -> (Peer, &Tenant) {
        (self.peer, &self.tenant)
    }

    // --- graphs ---

    /// The session's graph of a model: the one it has, or a new one with a first segment of at least
    /// `bytes_min` bytes.
    fn graph_of(
        &self,
        state: &mut State,
        model: &Arc<Model>,
        bytes_min: u64,
        limits: &Limits,
    ) -> Result<(Arc<Graph>, Arc<Piece>), Fault> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        if self.is_closed() {
            return Err(Fault::of(Reason::SessionEnded));
        }
        if *model.unload.borrow() {
            return Err(Fault::of(Reason::ModelUnloaded));
        }
        if let Some(graph) = state
            .graphs
            .values()
            .find(|graph| Arc::ptr_eq(&graph.model, model))
        {
            let first = graph.arena.first_piece();
            let first = first.ok_or_else(|| {
                Fault::of(Reason::Defect).message("an input arena without memory")
            })?;
            return Ok((Arc::clone(graph), first));
        }
        if state.graphs.len()
            >= usize::try_from(limits.graphs_per_session_max).unwrap_or(usize::MAX)
        {
            return Err(Fault::of(Reason::GraphsFull)
                .expected(format!("at most {}", limits.graphs_per_session_max)));
        }
        let arena = Arena::new(Arc::clone(self.meter.budget()));
        let first = arena.grow(bytes_min.max(limits.segment_bytes))?;
        self.grant(&first, v1::Role::Input)?;
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let graph = Arc::new(Graph {
            id,
            model: Arc::clone(model),
            arena,
        });
        state.graphs.insert(id, Arc::clone(&graph));
        Ok((graph, first))
    }

    pub(crate) fn graph(&self, id: u64) -> Result<Arc<Graph>, Fault> {
        let state = self.state();
        if let Some(graph) = state.graphs.get(&id) {
            return Ok(Arc::clone(graph));
        }
        let was = state.gone.graph(id);
        drop(state);
        self.deny(was, &format!("graph {id}"));
        Err(Fault::of(Reason::GraphUnknown).got(id.to_string()))
    }

    /// The graph whose input arena this is.
    pub(crate) fn graph_with_arena(&self, arena: ArenaId) -> Result<Arc<Graph>, Fault> {
        let state = self.state();
        let mut graphs = state.graphs.values();
        if let Some(graph) = graphs.find(|graph| graph.arena.id() == arena) {
            return Ok(Arc::clone(graph));
        }
        let was = state.gone.arena(arena);
        drop(state);
        self.deny(was, &format!("arena {}", arena.0));
        Err(Fault::of(Reason::ArenaUnknown).got(arena.0.to_string()))
    }

    // --- memory ---

    /// Sends a segment to the client. A client that does not take its descriptors is refused more.
    pub(crate) fn grant(&self, piece: &Arc<Piece>, role: v1::Role) -> Result<(), Fault> {
        let Some(fd_out) = &self.fd_out else {
            return Ok(());
        };
        fd_out
            .try_send(FdOut::Grant {
                piece: Arc::clone(piece),
                role,
            })
            .map_err(|_| {
                Fault::of(Reason::Congested)
                    .message("the session's descriptor socket is full or closed")
                    .hint("the client must read its descriptor socket")
            })
    }

    /// Notes that a worker writes this session's outputs in an arena.
    pub(crate) fn add_out_arena(&self, arena: ArenaId, worker: &Arc<Worker>) {
        self.state()
            .out_arenas
            .insert(arena, Arc::downgrade(worker));
    }

    /// A worker's death is its output arena's death.
    pub(crate) fn revoke(&self, arena: ArenaId) {
        let mut state = self.state();
        state.outputs.forget(arena);
        if state.out_arenas.remove(&arena).is_some() {
            // The client learns it from the computes that fail, too: a full socket loses nothing.
            self.say_revoked(arena, None);
        }
    }

    /// A worker has given an output segment back. A client that does not hear of it keeps it mapped, to
    /// no harm but its own.
    pub(crate) fn revoke_segment(&self, arena: ArenaId, segment: SegmentId) {
        self.say_revoked(arena, Some(segment));
    }

    fn say_revoked(&self, arena: ArenaId, segment: Option<SegmentId>) {
        if let Some(fd_out) = &self.fd_out {
            let _ = fd_out.try_send(FdOut::Revoked(arena, segment));
        }
    }

    /// Hands slots back to the workers that wrote them. What names no arena of this session is ignored.
    pub(crate) fn release(&self, slots: &[SlotRef]) {
        let mut by_worker: Vec<(Arc<Worker>, Vec<SlotRef>)> = Vec::new();
        {
            let mut state = self.state();
            for &slot in slots {
                state.outputs.give_back(slot);
                let worker = state.out_arenas.get(&slot.arena).and_then(Weak::upgrade);
                let Some(worker) = worker else { continue };
                match by_worker
                    .iter_mut()
                    .find(|(other, _)| Arc::ptr_eq(other, &worker))
                {
                    Some((_, slots)) => slots.push(slot),
                    None => by_worker.push((worker, vec![slot])),
                }
            }
        }
        for (worker, slots) in by_worker {
            worker.release(self.id, &slots);
        }
    }

    // --- computes in flight ---

    /// Refuses an id that is in flight.
    pub(crate) fn is_new(&self, request: u64) -> Result<(), Fault> {
        if !self.state().requests.contains_key(&request) {
            return Ok(());
        }
        Err(Fault::of(Reason::Protocol)
            .message("a request id that is in flight already")
            .got(request.to_string()))
    }

    /// Takes up a compute whose id is new; refused beyond the session's bound, or its tenant's.
    pub(crate) fn begin(&self, request: u64, limits: &Limits) -> Result<Arc<Control>, Fault> {
        let mut state = self.state();
        let max = usize::try_from(limits.in_flight_per_session_max).unwrap_or(usize::MAX);
        if state.requests.len() >= max {
            let fault = Fault::of(Reason::InFlightFull).expected(format!("at most {max}"));
            self.refused(&fault);
            return Err(fault);
        }
        let taken = Request {
            control: Arc::new(Control::default()),
            _underway: self
                .meter
                .begin()
                .inspect_err(|fault| self.refused(fault))?,
        };
        let control = Arc::clone(&taken.control);
        state.requests.insert(request, taken);
        Ok(control)
    }

    pub(crate) fn end(&self, request: u64) {
        self.state().requests.remove(&request);
    }

    pub(crate) fn cancel(&self, request: u64) {
        if let Some(request) = self.state().requests.get(&request) {
            request.control.cancel();
        }
    }

    /// Stops everything in flight, which its client still waits for: the daemon is ending.
    pub(crate) fn cut_off(&self) {
        for request in self.state().requests.values() {
            request.control.cut_off();
        }
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.state().requests.len()
    }

    // --- the Infer stream ---

    /// Makes `events` the way to the client; the stream before it, if any, gets nothing more.
    pub(crate) fn set_events(&self, events: Events) {
        self.state().events = Some(events);
    }

    /// This stream has ended; one that has taken its place stays.
    pub(crate) fn end_events(&self, ended: &Events) {
        let mut state = self.state();
        if state
            .events
            .as_ref()
            .is_some_and(|events| events.same_channel(ended))
        {
            state.events = None;
        }
    }

    /// Whether there is a stream: its client hears what it is told.
    pub(crate) fn has_stream(&self) -> bool {
        self.state().events.is_some()
    }

    /// Tells the client that a name resolves anew.
    pub(crate) fn models_changed(&self, name: &str) {
        let changed = v1::ModelsChanged { name: name.into() };
        self.tell(v1::infer_response::Body::ModelsChanged(changed));
    }

    /// Tells the client that the daemon is ending, and that its next session is elsewhere.
    pub(crate) fn say_leaving(&self) {
        self.tell(v1::infer_response::Body::Leaving(v1::Leaving {}));
    }

    fn tell(&self, body: v1::infer_response::Body) {
        let events = self.state().events.clone();
        let message = v1::InferResponse {
            request_id: 0,
            body: Some(body),
        };
        // A client that does not read its stream has worse troubles than stale news.
        if let Some(events) = events {
            let _ = events.try_send(Ok(message));
        }
    }

    // --- the end ---

    /// Ends the session: computes are cancelled, arenas given up.
    pub(crate) fn close(&self) {
        if self.closed.send_replace(true) {
            return;
        }
        let mut state = self.state();
        for request in state.requests.values() {
            request.control.cancel();
        }
        state.graphs.clear();
        state.held.clear();
        state.out_arenas.clear();
        state.outputs.clear();
        state.events = None;
    }

    pub(crate) fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Returns when the session has ended.
    pub(crate) async fn closed(&self) {
        // The sender lives in `self`, so this cannot fail before it is true.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// Bytes of input arenas, and how many graphs there are.
    pub(crate) fn holdings(&self) -> (u64, usize) {
        let state = self.state();
        (
            state.graphs.values().map(|graph| graph.arena.bytes()).sum(),
            state.graphs.len(),
        )
    }
}
