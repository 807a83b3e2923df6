//! An output arena: a worker writes it, this client reads it. The worker is not trusted: a slot is
//! taken only after the ledger has found it inside a mapped segment and free of what is held, and its
//! bytes are copied once and never looked at.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use nn_shm::{Exposed, Ledger, LedgerError, Mapping};
use nn_tensor::{ArenaId, Fault, Reason, SegmentId, SlotRef};

use crate::stats::{Counted, Counters, Gauge};
use crate::sync::lock;

/// The bytes of one output, held until the last clone is gone; then the worker may use them again.
/// They stay readable whatever becomes of worker and daemon.
#[derive(Clone, Debug)]
pub struct OutSlot(Arc<Held>);

/// The bytes of an output as a slice, for whoever copies them by one memcpy and never looks at one
/// (ADR 3). Holds the slot.
#[derive(Debug)]
pub struct ExposedSlot {
    bytes: Exposed,
    _held: Arc<Held>,
}

/// The reader's side of one arena.
#[derive(Debug)]
pub(crate) struct OutArena {
    book: Mutex<Book>,
    releases: Arc<Releases>,
    counters: Arc<Counters>,
}

/// Slots that nobody reads any more, on their way to the daemon. There are never more than the ledgers
/// of the session held, and a closed queue takes none.
#[derive(Debug, Default)]
pub(crate) struct Releases(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    slots: Vec<SlotRef>,
    waker: Option<Waker>,
    is_closed: bool,
}

#[derive(Debug)]
struct Book {
    ledger: Ledger,
    mappings: HashMap<SegmentId, Arc<Mapping>>,
}

#[derive(Debug)]
struct Held {
    arena: Arc<OutArena>,
    mapping: Arc<Mapping>,
    slot: SlotRef,
    _counted: Counted,
}

fn internal(error: &nn_shm::ShmError) -> Fault {
    tracing::error!(%error, "an output slot is not where the ledger says");
    Fault::of(Reason::Defect).message("the tensor's bytes could not be read")
}

// === impl OutArena ===

impl OutArena {
    pub(crate) fn new(id: ArenaId, releases: Arc<Releases>, counters: Arc<Counters>) -> Self {
        let book = Book {
            ledger: Ledger::new(id),
            mappings: HashMap::new(),
        };
        Self {
            book: Mutex::new(book),
            releases,
            counters,
        }
    }

    /// Adds a mapped segment; one that is known already changes nothing.
    pub(crate) fn add_segment(&self, segment: SegmentId, bytes: u64, mapping: Mapping) {
        let mut book = lock(&self.book);
        if !book.ledger.has_segment(segment) {
            book.mappings.insert(segment, Arc::new(mapping));
            book.ledger.add_segment(segment, bytes);
        }
    }

    /// The worker has given a segment back; says whether it was here. Slots that are held stay readable.
    pub(crate) fn remove_segment(&self, segment: SegmentId) -> bool {
        let mut book = lock(&self.book);
        book.ledger.remove_segment(segment);
        book.mappings.remove(&segment).is_some()
    }

    pub(crate) fn has_segment(&self, segment: SegmentId) -> bool {
        lock(&self.book).ledger.has_segment(segment)
    }

    pub(crate) fn segments(&self) -> usize {
        lock(&self.book).mappings.len()
    }

    /// Takes a slot that the daemon says the worker has filled.
    pub(crate) fn accept(self: &Arc<Self>, slot: SlotRef) -> Result<OutSlot, LedgerError> {
        let mut book = lock(&self.book);
        let mapping = book.mappings.get(&slot.segment).map(Arc::clone);
        let mapping = mapping.ok_or(LedgerError::Segment(slot))?;
        book.ledger.accept(slot)?;
        Ok(OutSlot(Arc::new(Held {
            arena: Arc::clone(self),
            mapping,
            slot,
            _counted: self.counters.count(Gauge::OutSlots),
        })))
    }

    /// Out of the ledger first: the worker may use the bytes again as soon as it hears of it.
    fn give_back(&self, slot: SlotRef) {
        if lock(&self.book).ledger.release(slot) {
            self.releases.push(slot);
        }
    }
}

// === impl Releases ===

impl Releases {
    /// Queues a slot; never waits.
    pub(crate) fn push(&self, slot: SlotRef) {
        let waker = {
            let mut queue = lock(&self.0);
            if queue.is_closed {
                return;
            }
            queue.slots.push(slot);
            queue.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Up to `max` slots; pending while there are none, `None` once it is closed.
    pub(crate) fn poll_take(&self, cx: &mut Context<'_>, max: usize) -> Poll<Option<Vec<SlotRef>>> {
        let mut queue = lock(&self.0);
        if queue.is_closed {
            return Poll::Ready(None);
        }
        if queue.slots.is_empty() {
            queue.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let rest = queue.slots.len().saturating_sub(max);
        Poll::Ready(Some(queue.slots.split_off(rest)))
    }

    /// The session is over: the daemon has freed everything by itself.
    pub(crate) fn close(&self) {
        let waker = {
            let mut queue = lock(&self.0);
            queue.is_closed = true;
            queue.slots = Vec::new();
            queue.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

// === impl OutSlot ===

impl OutSlot {
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

    /// Copies the tensor out; fails unless `to` has the slot's length.
    pub fn copy_to(&self, to: &mut [u8]) -> Result<(), Fault> {
        let SlotRef { offset, len, .. } = self.0.slot;
        let room = self.0.mapping.slice(offset, len);
        room.and_then(|room| room.copy_to(to))
            .map_err(|error| internal(&error))?;
        self.0.arena.counters.copied_out(to.len());
        Ok(())
    }

    /// The tensor as a vector.
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

    /// The tensor as a slice to be copied by one memcpy and not to be looked at (ADR 3). Counts as
    /// one copy.
    pub fn exposed(&self) -> Result<ExposedSlot, Fault> {
        let SlotRef { offset, len, .. } = self.0.slot;
        let bytes = self
            .0
            .mapping
            .expose(offset, len)
            .map_err(|error| internal(&error))?;
        self.0.arena.counters.copied_out(bytes.as_ref().len());
        Ok(ExposedSlot {
            bytes,
            _held: Arc::clone(&self.0),
        })
    }
}

impl AsRef<[u8]> for ExposedSlot {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.arena.give_back(self.slot);
    }
}
