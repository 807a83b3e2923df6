//! Answers to computes. A job leaves the table when its answer comes, or with the session; until then
//! its input slots are its own, whoever still waits for it.

use std::sync::Arc;

use nn_proto::{tensor_from_wire, v1};
use nn_tensor::{DType, Descriptor, Fault, Shape, TENSORS_MAX, TensorName};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::Session;
use crate::arena::{InSlot, OutSlot};
use crate::fault;
use crate::stats::{Counted, Gauge};
use crate::sync::lock;

/// One output of a compute.
#[derive(Clone, Debug)]
pub struct OutTensor {
    /// The model's name for it.
    pub name: TensorName,
    /// Element type.
    pub dtype: DType,
    /// Dimensions.
    pub shape: Shape,
    /// The bytes; their number is what dtype and shape ask for.
    pub slot: OutSlot,
}

pub(super) type Answer = Result<Vec<OutTensor>, Fault>;

/// A job whose answer has not come.
#[derive(Debug)]
pub(super) struct InFlight {
    answer: oneshot::Sender<Answer>,
    inputs: Vec<InSlot>,
    /// Whether its message has left the queue: from then on the daemon may have begun it.
    pub(super) is_sent: bool,
    _permit: OwnedSemaphorePermit,
    _counted: Counted,
}

// === impl InFlight ===

impl InFlight {
    pub(super) fn new(
        answer: oneshot::Sender<Answer>,
        inputs: Vec<InSlot>,
        permit: OwnedSemaphorePermit,
        session: &Session,
    ) -> Self {
        Self {
            answer,
            inputs,
            is_sent: false,
            _permit: permit,
            _counted: session.counters.count(Gauge::InFlight),
        }
    }

    /// Frees the inputs, then answers; where nobody waits any more, the outputs go back at once.
    pub(super) fn finish(self, answer: Answer) {
        drop(self.inputs);
        drop((self._permit, self._counted));
        drop(self.answer.send(answer));
    }
}

impl Session {
    /// One message of the stream. Never waits.
    pub(super) fn on_response(self: &Arc<Self>, response: v1::InferResponse) {
        let id = response.request_id;
        match response.body {
            Some(v1::infer_response::Body::ModelsChanged(changed)) => self.forget(&changed.name),
            Some(v1::infer_response::Body::Outputs(outputs)) => self.on_outputs(id, &outputs),
            Some(v1::infer_response::Body::Error(error)) => self.finish(id, Err(error.into())),
            Some(v1::infer_response::Body::Leaving(v1::Leaving {})) => self.leave(),
            None => self.finish(id, Err(fault::protocol("an empty answer"))),
        }
    }

    fn take_job(&self, id: u64) -> Option<InFlight> {
        let job = lock(&self.in_flight).remove(&id);
        if job.is_none() {
            tracing::debug!(id, "an answer to no request");
        }
        job
    }

    fn finish(&self, id: u64, answer: Answer) {
        if let Some(job) = self.take_job(id) {
            job.finish(answer);
        }
    }

    fn on_outputs(self: &Arc<Self>, id: u64, outputs: &v1::Outputs) {
        let Some(job) = self.take_job(id) else { return };
        let descriptors = match descriptors(outputs) {
            Ok(descriptors) => descriptors,
            Err(fault) => return job.finish(Err(fault)),
        };
        if self.all_granted(&descriptors) {
            return job.finish(self.accept(descriptors));
        }
        // The message overtook the descriptor. The wait is bounded, and so are the tasks: each holds
        // one of the session's permits.
        let session = Arc::clone(self);
        tokio::spawn(async move {
            let granted = session.wait_for_grant(|| session.all_granted(&descriptors));
            match granted.await {
                Ok(()) => job.finish(session.accept(descriptors)),
                Err(fault) => {
                    descriptors
                        .iter()
                        .for_each(|output| session.releases.push(output.slot()));
                    job.finish(Err(fault));
                }
            }
        });
    }

    fn all_granted(&self, descriptors: &[Descriptor]) -> bool {
        descriptors.iter().all(|descriptor| {
            let slot = descriptor.slot();
            self.granted_output(slot.arena)
                .is_some_and(|arena| arena.has_segment(slot.segment))
        })
    }

    /// Takes the outputs' slots, all or none: those taken before one is refused go back by their drop.
    fn accept(&self, descriptors: Vec<Descriptor>) -> Answer {
        let mut taken = Vec::with_capacity(descriptors.len());
        let mut refused = None;
        for descriptor in descriptors {
            match self.accept_one(&descriptor) {
                Ok(output) => taken.push(output),
                Err(fault) => refused = Some(fault),
            }
        }
        refused.map_or(Ok(taken), Err)
    }

    fn accept_one(&self, descriptor: &Descriptor) -> Result<OutTensor, Fault> {
        let slot = descriptor.slot();
        let Some(arena) = self.granted_output(slot.arena) else {
            // Not held here, so the worker may use it again. (One that the ledger refuses may overlap one
            // that is held, and stays.)
            self.releases.push(slot);
            return Err(fault::protocol("an output without its memory"));
        };
        let slot = arena.accept(slot).map_err(|error| {
            tracing::warn!(%error, "an answer named memory that it may not");
            fault::protocol("an output lies where none can be")
        })?;
        Ok(OutTensor {
            name: descriptor.name().clone(),
            dtype: descriptor.dtype(),
            shape: descriptor.shape(),
            slot,
        })
    }
}

fn descriptors(outputs: &v1::Outputs) -> Result<Vec<Descriptor>, Fault> {
    if outputs.outputs.len() > TENSORS_MAX {
        return Err(fault::protocol("too many outputs"));
    }
    outputs
        .outputs
        .iter()
        .map(tensor_from_wire)
        .collect::<Result<_, _>>()
        .map_err(|error| {
            tracing::warn!(%error, "an answer with an impossible output");
            fault::protocol("an impossible output")
        })
}
