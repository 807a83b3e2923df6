//! An input arena: this client is its single writer and keeps its book. Slots are taken without asking
//! anybody; growing is the session's business, because it takes the daemon.
//!
//! Segments that have been idle for a while go back to the daemon, all but one.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use nn_shm::{AllocError, Allocator, Mapping};
use nn_tensor::{ArenaId, Fault, Reason, SegmentId, SlotRef};

use crate::stats::{Counted, Counters, Gauge};
use crate::sync::lock;

/// Room for one tensor in an input arena. Cheap to clone; the bytes are free for others once the last
/// clone is gone, and a job in flight holds one.
#[derive(Clone, Debug)]
pub struct InSlot(Arc<Taken>);

/// The writer's side of one arena.
#[derive(Debug)]
pub(crate) struct InArena {
    id: ArenaId,
    book: Mutex<Book>,
    counters: Arc<Counters>,
    /// Held by whoever asks the daemon for another segment, so that only one does.
    pub(crate) growing: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Book {
    slots: Allocator,
    mappings: HashMap<SegmentId, Arc<Mapping>>,
    /// Where slots have been taken since the last sweep.
    used: HashSet<SegmentId>,
    revoked: bool,
}

#[derive(Debug)]
struct Taken {
    arena: Arc<InArena>,
    mapping: Arc<Mapping>,
    slot: SlotRef,
    _counted: Counted,
}

/// Why no slot could be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoSlot {
    /// No free run is long enough.
    Full,
    /// The daemon took the arena away.
    Revoked,
}

/// A break of this process's own book-keeping: reported, never a panic.
fn internal(error: &nn_shm::ShmError) -> Fault {
    tracing::error!(%error, "an input slot is not where the book says");
    Fault::of(Reason::Defect).message("the tensor's bytes could not be placed")
}

// === impl InArena ===

impl InArena {
    pub(crate) fn new(id: ArenaId, counters: Arc<Counters>) -> Self {
        let book = Book {
            slots: Allocator::new(id),
            mappings: HashMap::new(),
            used: HashSet::new(),
            revoked: false,
        };
        Self {
            id,
            book: Mutex::new(book),
            counters,
            growing: tokio::sync::Mutex::new(()),
        }
    }

    pub(crate) fn id(&self) -> ArenaId {
        self.id
    }

    /// Adds a mapped segment; one that is known already changes nothing.
    pub(crate) fn add_segment(&self, segment: SegmentId, bytes: u64, mapping: Mapping) {
        let mut book = lock(&self.book);
        if let Entry::Vacant(vacant) = book.mappings.entry(segment) {
            vacant.insert(Arc::new(mapping));
            // Whoever asked for it has yet to take its slot.
            book.used.insert(segment);
            book.slots.add_segment(segment, bytes);
        }
    }

    pub(crate) fn has_segment(&self, segment: SegmentId) -> bool {
        lock(&self.book).mappings.contains_key(&segment)
    }

    pub(crate) fn has_any_segment(&self) -> bool {
        self.segments() > 0
    }

    pub(crate) fn segments(&self) -> usize {
        lock(&self.book).mappings.len()
    }

    /// No slot will be taken any more; those that are stay readable.
    pub(crate) fn revoke(&self) {
        lock(&self.book).revoked = true;
    }

    pub(crate) fn is_revoked(&self) -> bool {
        lock(&self.book).revoked
    }

    /// A slot of `len` bytes, if there is room now.
    pub(crate) fn take(self: &Arc<Self>, len: u64) -> Result<InSlot, NoSlot> {
        let mut book = lock(&self.book);
        if book.revoked {
            return Err(NoSlot::Revoked);
        }
        let slot = match book.slots.alloc(len) {
            Ok(slot) => slot,
            Err(AllocError::Full { .. } | AllocError::NotInUse { .. }) => return Err(NoSlot::Full),
        };
        let Some(mapping) = book.mappings.get(&slot.segment).map(Arc::clone) else {
            return Err(NoSlot::Full);
        };
        book.used.insert(slot.segment);
        Ok(InSlot(Arc::new(Taken {
            arena: Arc::clone(self),
            mapping,
            slot,
            _counted: self.counters.count(Gauge::InSlots),
        })))
    }

    /// Takes away the segments that have been idle since the last sweep, but for one; says which.
    pub(crate) fn sweep(&self) -> Vec<SegmentId> {
        let mut book = lock(&self.book);
        let used = std::mem::take(&mut book.used);
        let mut idle: Vec<SegmentId> = book
            .slots
            .idle_segments()
            .filter(|segment| !used.contains(segment))
            .collect();
        if idle.len() == book.mappings.len() {
            idle.remove(0);
        }
        idle.retain(|&segment| {
            book.mappings.remove(&segment);
            book.slots.remove_idle_segment(segment)
        });
        idle
    }

    fn free(&self, slot: SlotRef) {
        if let Err(error) = lock(&self.book).slots.free(slot) {
            tracing::error!(%error, "an input slot was freed twice");
        }
    }
}

// === impl InSlot ===

impl InSlot {
    /// Where the bytes are.
    #[must_use]
    pub fn slot(&self) -> SlotRef {
        self.0.slot
    }

    /// How many bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.slot.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether nobody else holds the bytes, neither a clone nor a job: then they may be written anew.
    pub fn is_unique(&mut self) -> bool {
        Arc::get_mut(&mut self.0).is_some()
    }

    /// Writes the tensor, once; fails unless `bytes` has the slot's length.
    pub fn copy_from(&self, bytes: &[u8]) -> Result<(), Fault> {
        let SlotRef { offset, len, .. } = self.0.slot;
        if u64::try_from(bytes.len()) != Ok(len) {
            return Err(Fault::of(Reason::TensorLength)
                .message("a tensor of the wrong length")
                .expected(format!("{len} bytes"))
                .got(format!("{} bytes", bytes.len())));
        }
        let room = self.0.mapping.slice(offset, len);
        room.and_then(|room| room.copy_from(bytes))
            .map_err(|error| internal(&error))?;
        self.0.arena.counters.copied_in(bytes.len());
        Ok(())
    }

    /// Reads the tensor back: for a guest that asks for its own input, or one that moves to another
    /// arena.
    pub fn to_vec(&self) -> Result<Vec<u8>, Fault> {
        let SlotRef { offset, len, .. } = self.0.slot;
        let bytes = self
            .0
            .mapping
            .slice(offset, len)
            .and_then(|room| room.to_vec())
            .map_err(|error| internal(&error))?;
        self.0.arena.counters.copied_out(bytes.len());
        Ok(bytes)
    }

    pub(crate) fn is_of(&self, arena: &Arc<InArena>) -> bool {
        Arc::ptr_eq(&self.0.arena, arena)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.arena.free(self.slot);
    }
}
