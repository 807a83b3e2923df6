//! Outputs that a session's client has got and not given back. A worker knows them by their bytes; here they are counted,
//! against what the tenant may hold.

use std::collections::HashMap;

use nn_tensor::{ArenaId, Descriptor, SlotRef};

use super::Session;
use crate::tenancy::Tensors;

/// Those of one session: as many as its tenant may hold, at most.
#[derive(Debug, Default)]
pub(super) struct Outputs(HashMap<SlotRef, Tensors>);

impl Outputs {
    /// What a client names that it was never given is ignored.
    pub(super) fn give_back(&mut self, slot: SlotRef) {
        self.0.remove(&slot);
    }

    /// An arena has gone, and all that lay in it.
    pub(super) fn forget(&mut self, arena: ArenaId) {
        self.0.retain(|slot, _| slot.arena != arena);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Session {
    /// Notes outputs that are on their way to the client, of the tensors that its compute was given room for.
    pub(crate) fn keep(&self, outputs: &[Descriptor], mut room: Tensors) {
        let mut state = self.state();
        if self.is_closed() {
            return;
        }
        for output in outputs {
            if let Some(one) = room.split(1) {
                state.outputs.0.insert(output.slot(), one);
            }
        }
    }
}
