//! What waits in a queue, and what comes back.

use std::sync::Arc;

use nn_tensor::{Descriptor, Fault, Signature};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::Span;

use super::{Control, Turn};
use crate::arena::Piece;
use crate::infer::Times;
use crate::model::Model;
use crate::session::{Graph, Session};

/// One inference, checked and ready to run.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) session: Arc<Session>,
    pub(crate) graph: Arc<Graph>,
    /// The side of the graph's model that computes it.
    pub(crate) model: Arc<Model>,
    /// What its client was told of the model, where who computes it may know another: outputs are to fit that too.
    pub(crate) told: Option<Arc<Signature>>,
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

impl Reply {
    /// In the order of this signature: another side of the model may have another.
    pub(crate) fn in_order_of(&mut self, signature: &Signature) {
        let place = |output: &Descriptor| {
            let mut specs = signature.outputs.iter();
            specs.position(|spec| spec.name == *output.name())
        };
        if self.outputs.is_sorted_by_key(place) || self.outputs.len() != self.pieces.len() {
            return;
        }
        let outputs = std::mem::take(&mut self.outputs).into_iter();
        let mut both: Vec<_> = outputs.zip(std::mem::take(&mut self.pieces)).collect();
        both.sort_by_key(|(output, _)| place(output));
        (self.outputs, self.pieces) = both.into_iter().unzip();
    }
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
        let model = Arc::clone(&self.model);
        model.queue.call_again(self);
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
