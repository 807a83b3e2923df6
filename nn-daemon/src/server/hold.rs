//! A hold that an answer gives, until the answer is on its way: a client that has left before knows nothing of it, and would
//! not give it back. What has gone out to a client that leaves then goes with its session.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::context::Context;
use crate::session::Session;

/// One. Whoever sends the answer says so by [`Hold::taken`]; dropped without that, it is given back.
#[derive(Clone, Debug)]
pub(crate) struct Hold(Arc<Held>);

#[derive(Debug)]
struct Held {
    context: Arc<Context>,
    session: Arc<Session>,
    graph: u64,
    is_taken: AtomicBool,
}

// === impl Hold ===

impl Hold {
    pub(super) fn of(context: &Arc<Context>, session: &Arc<Session>, graph: u64) -> Self {
        Self(Arc::new(Held {
            context: Arc::clone(context),
            session: Arc::clone(session),
            graph,
            is_taken: AtomicBool::new(false),
        }))
    }

    /// The answer is on its way.
    pub(super) fn taken(&self) {
        self.0.is_taken.store(true, Ordering::Release);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !*self.is_taken.get_mut() {
            let (graph, limits) = (self.graph, &self.context.config.limits);
            tracing::debug!(graph, "nobody has taken the answer: its hold goes back");
            self.session.give_back(graph, limits);
        }
    }
}
