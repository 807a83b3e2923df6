//! Graphs that a session had, as far back as it matters: who names one of them is late, who names another guesses.

use std::collections::VecDeque;
use std::sync::Arc;

use nn_tensor::{ArenaId, Descriptor};

use super::{Graph, Session, State};

/// How many are known. One that is named later is taken for a guess, which costs an event.
const GONE_MAX: usize = 256;

/// Why a graph has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The client gave its last hold back.
    GivenBack,
    /// The model was unloaded.
    Unloaded,
    /// The tenant may no longer use the model.
    Denied,
}

/// The last ones.
#[derive(Debug, Default)]
pub(super) struct GoneGraphs(VecDeque<Gone>);

#[derive(Clone, Debug)]
pub(super) struct Gone {
    id: u64,
    arena: ArenaId,
    model: String,
    why: Why,
}

impl GoneGraphs {
    fn add(&mut self, graph: &Graph, why: Why) {
        if self.0.len() >= GONE_MAX {
            self.0.pop_front();
        }
        self.0.push_back(Gone {
            id: graph.id,
            arena: graph.arena.id(),
            model: graph.model.id(),
            why,
        });
    }

    pub(super) fn graph(&self, id: u64) -> Option<Gone> {
        self.0.iter().find(|gone| gone.id == id).cloned()
    }

    pub(super) fn arena(&self, id: ArenaId) -> Option<Gone> {
        self.0.iter().find(|gone| gone.arena == id).cloned()
    }
}

impl State {
    /// Takes a graph out.
    pub(super) fn take_graph(&mut self, id: u64, why: Why) -> Option<Arc<Graph>> {
        let graph = self.graphs.remove(&id)?;
        self.gone.add(&graph, why);
        Some(graph)
    }
}

impl Session {
    /// Tells that inputs lie in arenas that are not this session's, if they do.
    pub(crate) fn deny_foreign(&self, inputs: &[Descriptor]) {
        for arena in inputs.iter().map(|input| input.slot().arena) {
            if !self.has_arena(arena) {
                return self.deny(None, &format!("arena {}", arena.0));
            }
        }
    }

    /// Whether an arena is one of its own, or was.
    fn has_arena(&self, arena: ArenaId) -> bool {
        let state = self.state();
        let mut graphs = state.graphs.values();
        graphs.any(|graph| graph.arena.id() == arena)
            || state.out_arenas.contains_key(&arena)
            || state.gone.arena(arena).is_some()
    }

    /// Tells that something was named which is not this session's. What was, and went in the usual way, is no denial.
    pub(super) fn deny(&self, was: Option<Gone>, what: &str) {
        let denials = self.tenancy.denials();
        let (peer, tenant) = (self.peer, Some(&self.tenant));
        match was {
            None => denials.tell(peer, tenant, format!("{what} is not of its session")),
            Some(gone) if gone.why == Why::Denied => {
                let why = format!("{what} was of a model that is no longer for this tenant");
                denials.tell_of(peer, tenant, &gone.model, why);
            }
            Some(_) => {}
        }
    }
}
