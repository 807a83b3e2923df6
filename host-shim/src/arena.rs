//! Where a tensor's bytes lie, and the copies between guest and shared memory: one on the way in, one on
//! the way out. The way out lowers a list straight from the slot, by `Bytes::from_owner` over
//! [`ExposedSlot`](nn_client::ExposedSlot): the one place where memory that a worker could still write is
//! seen as a slice. wasmtime copies it by one memcpy and looks at no byte; ADR 3 says why that is enough.

use std::time::Duration;

use bytes::Bytes;
use nn_client::{Graph, InSlot, OutSlot};
use nn_tensor::{Fault, Reason};

use crate::limits::{OutHeld, Quota};

/// Longest time that making a tensor waits for room; then it waits on the host's heap for its compute.
const ROOM_WAIT: Duration = Duration::from_secs(1);

/// Where a tensor's bytes lie.
#[derive(Debug)]
pub(crate) enum Body {
    /// On the host's heap.
    Heap(Bytes),
    /// In an input arena.
    Input(InSlot),
    /// In an output arena, counted against the guest's share of it.
    Output { slot: OutSlot, _held: OutHeld },
    /// Nowhere: making it was refused, which its use will say.
    Refused(Fault),
}

/// Room in a graph's arena; `None` where there is none for now.
pub(crate) async fn room(graph: &Graph, len: u64) -> Option<InSlot> {
    if let Ok(slot) = graph.try_reserve(len) {
        return Some(slot);
    }
    let growing = tokio::time::timeout(ROOM_WAIT, graph.reserve(len));
    growing.await.ok()?.ok()
}

/// An output as it came: it stays where it is while the guest's share allows, else it is copied out and
/// its slot released.
pub(crate) fn settle(slot: OutSlot, quota: &Quota) -> Result<Body, Fault> {
    match quota.output(slot.len()) {
        Some(held) => Ok(Body::Output { slot, _held: held }),
        None => Ok(Body::Heap(slot.to_vec()?.into())),
    }
}

// === impl Body ===

impl Body {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Heap(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Self::Input(slot) => slot.len(),
            Self::Output { slot, .. } => slot.len(),
            Self::Refused(_) => 0,
        }
    }

    /// The bytes in an arena that a compute of `graph` can name. The client moves those that lie in
    /// another graph's.
    pub(crate) async fn into_input(self, graph: &Graph) -> Result<InSlot, Fault> {
        let bytes = match self {
            Self::Input(slot) => return Ok(slot),
            Self::Heap(bytes) => bytes,
            // Two copies, for the one user of exposed memory is `lower`.
            Self::Output { slot, .. } => slot.to_vec()?.into(),
            Self::Refused(fault) => return Err(fault),
        };
        let slot = graph
            .reserve(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
            .await?;
        slot.copy_from(&bytes)?;
        Ok(slot)
    }

    /// Copies the bytes into the guest; fails unless `to` is as long.
    pub(crate) fn copy_to(&self, to: &mut [u8]) -> Result<(), Fault> {
        let bytes = match self {
            Self::Output { slot, .. } => return slot.copy_to(to),
            Self::Heap(bytes) => bytes.clone(),
            Self::Input(slot) => slot.to_vec()?.into(),
            Self::Refused(fault) => return Err(fault.clone()),
        };
        if bytes.len() != to.len() {
            return Err(
                Fault::of(Reason::Defect).message("a tensor of another length than its own")
            );
        }
        to.copy_from_slice(&bytes);
        Ok(())
    }

    /// The bytes, to be copied into the guest.
    pub(crate) fn lower(&self) -> Result<Bytes, Fault> {
        match self {
            Self::Heap(bytes) => Ok(bytes.clone()),
            Self::Input(slot) => Ok(slot.to_vec()?.into()),
            Self::Output { slot, .. } => Ok(Bytes::from_owner(slot.exposed()?)),
            Self::Refused(_) => Ok(Bytes::new()),
        }
    }
}
