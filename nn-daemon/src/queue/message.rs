//! What waits in a queue, and what comes back.

use std::sync::Arc;

use nn_tensor::{Descriptor, Fault};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::Span;

use super::{Control, Turn};
use crate::arena::Piece;
use crate::infer::Times;
use crate::session::{Graph, Session};

/// One inference, checked and ready to run.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) session: Arc<Session>,
    pub(crate) graph: Arc<Graph>,
    /// Every input, by the model's own names.
    pub(crate) inputs: Vec<Descriptor>,
    /// The sealed segments that the inputs lie in; held as long as the framework may read there.
    pub(crate) pieces: Vec<Arc<Piece>>,
    pub(crate) deadline: Instant,
    pub(crate) control: Arc<Control>,
    pub(crate) reply: oneshot::Sender<Result<Reply, Fault>>,
    pub(crate) enqueued: Instant,
    /// Its number in the queue, from there: later ones have higher ones.
    pub(crate) number: u64,
    /// Its turn, from there, once it has come.
    pub(crate) turn: Option<Turn>,
    pub(crate) span: Span,
}

/// What a job gave.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) outputs: Vec<Descriptor>,
    /// The segment that each of them lies in.
    pub(crate) pieces: Vec<Arc<Piece>>,
    pub(crate) queue_us: u64,
    pub(crate) run_us: u64,
}

impl Job {
    /// Puts a job back into its model's queue whose worker is gone and had not begun it. Its deadline stays what it was, so
    /// that this ends; one that is past it, or that nobody wants any more, is answered.
    pub(crate) fn again(mut self) {
        self.turn = None;
        if self.deadline <= Instant::now() || !self.control.again() {
            let fault = self.times().waited();
            return self.refuse(fault);
        }
        let graph = Arc::clone(&self.graph);
        graph.model.queue.call_again(self);
    }

    /// When it came, and by when it must be done.
    pub(crate) fn times(&self) -> Times {
        Times {
            enqueued: self.enqueued,
            deadline: self.deadline,
        }
    }

    /// Answers the job without running it. Nobody listening any more is no error.
    pub(crate) fn refuse(self, fault: Fault) {
        let _ = self.reply.send(Err(fault));
    }
}
