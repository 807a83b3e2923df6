//! The outputs of a compute, where the worker wrote them: held until their bytes are in the messages that take them to the
//! client, then the worker's again.

use std::sync::Arc;

use bytes::Bytes;
use nn_shm::Mapping;
use nn_tensor::{Descriptor, Fault, Reason, SlotRef};

use crate::queue::Reply;
use crate::session::Session;

/// All of one compute. Dropped, they go back to the worker.
#[derive(Debug)]
pub(crate) struct Outputs {
    session: Arc<Session>,
    reply: Reply,
    /// Where each of them is.
    mappings: Vec<Arc<Mapping>>,
}

impl Outputs {
    /// Of a compute that has been answered.
    pub(super) fn new(session: &Arc<Session>, reply: Reply) -> Self {
        Self {
            session: Arc::clone(session),
            reply,
            mappings: Vec::new(),
        }
    }

    /// Maps them, to be read.
    pub(super) fn map(&mut self) -> Result<(), Fault> {
        let mapped = self.reply.pieces.iter().map(|piece| piece.map_reader());
        let mapped: Result<Vec<_>, _> = mapped.collect();
        self.mappings = mapped.map_err(|error| {
            let log_id = crate::telemetry::log_id();
            tracing::error!(log_id, "an output could not be read by the daemon: {error}");
            Fault::of(Reason::SharedMemory).log_id(log_id)
        })?;
        Ok(())
    }

    /// What they are.
    pub(crate) fn list(&self) -> &[Descriptor] {
        &self.reply.outputs
    }

    /// Some bytes of one, copied out of its slot, once. The worker may be hostile: nothing is made of them.
    pub(crate) fn copy(&self, output: usize, at: u64, len: usize) -> Option<Bytes> {
        let slot = self.list().get(output)?.slot();
        let end = at.checked_add(u64::try_from(len).ok()?)?;
        if end > slot.len {
            return None;
        }
        let offset = slot.offset.checked_add(at)?;
        let room = self
            .mappings
            .get(output)?
            .slice(offset, u64::try_from(len).ok()?);
        room.and_then(|room| room.to_vec()).ok().map(Bytes::from)
    }
}

impl Drop for Outputs {
    fn drop(&mut self) {
        let slots: Vec<SlotRef> = self.list().iter().map(Descriptor::slot).collect();
        self.session.release(&slots);
    }
}
