//! What a session holds of models. Each answer to ResolveGraph or LoadGraph is one hold of the graph; each
//! ReleaseGraph gives one back. With the last, the graph goes, and with it this session's lease of a guest-loaded
//! model, or its claim that the version of a named one be kept loaded.

use std::sync::Arc;
use std::time::Duration;

use nn_tensor::{Fault, ModelName, Tenant};
use tokio::time::{Instant, sleep, timeout};

use super::{Graph, Session, Why};
use crate::arena::Piece;
use crate::guests::Lease;
use crate::limits::Limits;
use crate::model::Model;

/// How often a graph that was given back is looked at while jobs still use it.
const TICK: Duration = Duration::from_millis(20);

/// How long a load waits for what its client has given back before, on another stream.
const RELEASES_TIMEOUT: Duration = Duration::from_secs(1);

/// Of one graph.
#[derive(Debug)]
pub(super) struct Held {
    holds: u64,
    /// Of a guest-loaded model.
    _lease: Option<Lease>,
}

impl Session {
    /// Whether it has resolved a model, and not seen it go.
    pub(crate) fn uses(&self, model: &Arc<Model>) -> bool {
        let graphs = &self.state().graphs;
        graphs
            .values()
            .any(|graph| Arc::ptr_eq(&graph.model, model))
    }

    /// The models of its graphs, to be compared only.
    pub(crate) fn held(&self) -> Vec<*const Model> {
        let state = self.state();
        let graphs = state.graphs.values();
        graphs.map(|graph| Arc::as_ptr(&graph.model)).collect()
    }

    /// Forgets the graph of a model that is being unloaded, or that its tenant may no longer use, and tells the client that
    /// its input arena is gone. What is in flight in it goes on to its end.
    pub(crate) fn forget(&self, model: &Arc<Model>, why: Why) -> Option<Arc<Graph>> {
        let (graph, held) = {
            let mut state = self.state();
            let mut graphs = state.graphs.values();
            let id = graphs.find(|graph| Arc::ptr_eq(&graph.model, model))?.id;
            (state.take_graph(id, why), state.held.remove(&id))
        };
        // Not under the lock: a lease may be the last one.
        drop(held);
        let graph = graph?;
        // A client that does not hear of it is told at its next compute.
        self.say_revoked(graph.arena.id(), None);
        Some(graph)
    }

    /// Ends its graphs of operators' models that are no longer for its tenant; gives the names of these.
    pub(crate) fn end_denied(
        &self,
        is_for: impl Fn(&Tenant, &Model) -> bool,
        limits: &Limits,
    ) -> Vec<ModelName> {
        let held: Vec<Arc<Model>> = {
            let state = self.state();
            let graphs = state.graphs.values();
            graphs.map(|graph| Arc::clone(&graph.model)).collect()
        };
        let denied = held
            .iter()
            .filter(|model| !model.is_guests() && !is_for(&self.tenant, model));
        let ended = denied.filter_map(|model| {
            self.let_go(self.forget(model, Why::Denied)?, limits);
            Some(model.name.clone())
        });
        ended.collect()
    }

    /// One more hold of the session's graph of a guest-loaded model, which is made if there is none.
    pub(crate) fn hold(
        &self,
        lease: &Lease,
        bytes_min: u64,
        limits: &Limits,
    ) -> Result<(Arc<Graph>, Arc<Piece>), Fault> {
        let (model, lease) = (lease.model(), Some(lease.clone()));
        self.hold_graph(model, lease, bytes_min, limits)
    }

    /// The same of a model that has a name.
    pub(crate) fn hold_named(
        &self,
        model: &Arc<Model>,
        bytes_min: u64,
        limits: &Limits,
    ) -> Result<(Arc<Graph>, Arc<Piece>), Fault> {
        self.hold_graph(model, None, bytes_min, limits)
    }

    fn hold_graph(
        &self,
        model: &Arc<Model>,
        lease: Option<Lease>,
        bytes_min: u64,
        limits: &Limits,
    ) -> Result<(Arc<Graph>, Arc<Piece>), Fault> {
        let mut state = self.state();
        let (graph, first) = self.graph_of(&mut state, model, bytes_min, limits)?;
        let held = state.held.entry(graph.id).or_insert_with(|| Held {
            holds: 0,
            _lease: lease,
        });
        held.holds = held.holds.saturating_add(1);
        Ok((graph, first))
    }

    /// Counts a ReleaseGraph that has been taken.
    pub(crate) fn count_release(&self) {
        self.graphs_released
            .send_modify(|taken| *taken = taken.saturating_add(1));
    }

    /// Waits until so many have been taken, or for as long as one may be on its way.
    pub(crate) async fn released(&self, count: u64) {
        let mut taken = self.graphs_released.subscribe();
        // The sender lives in `self`. A client that says too much waits, and has what it has.
        let _ = timeout(RELEASES_TIMEOUT, taken.wait_for(|taken| *taken >= count)).await;
    }

    /// Gives one hold back. What this session does not hold is ignored.
    pub(crate) fn give_back(self: &Arc<Self>, graph: u64, limits: &Limits) {
        let (held, graph) = {
            let mut state = self.state();
            let Some(held) = state.held.get_mut(&graph) else {
                return;
            };
            held.holds = held.holds.saturating_sub(1);
            if held.holds > 0 {
                return;
            }
            let held = state.held.remove(&graph);
            (held, state.take_graph(graph, Why::GivenBack))
        };
        let Some(graph) = graph else { return };
        // A client that does not hear of it keeps the arena mapped, to no harm but its own.
        self.say_revoked(graph.arena.id(), None);
        drop(held);
        self.let_go(graph, limits);
    }

    /// Has workers unmap the inputs of a graph that the session no longer has, once nothing computes in it.
    fn let_go(&self, graph: Arc<Graph>, limits: &Limits) {
        // A model that others still hold keeps its workers, and these have this graph's inputs.
        if *graph.model.unload.borrow() {
            return;
        }
        let session = self.id;
        let patience = limits.compute_max() + limits.compute_grace();
        tokio::spawn(async move {
            let end = Instant::now() + patience;
            while Arc::strong_count(&graph) > 1 && Instant::now() < end {
                sleep(TICK).await;
            }
            // Those of this moment: a job of its may have begun in one that has come since.
            for worker in graph.model.own_workers() {
                worker.forget_input(session, graph.arena.id());
            }
        });
    }
}
