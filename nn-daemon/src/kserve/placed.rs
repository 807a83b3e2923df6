//! The daemon's own book of an input arena: it is the arena's writer, in the place of a guest's host.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nn_proto::kserve::Contents;
use nn_shm::{Allocator, Mapping, ShmError};
use nn_tensor::{Fault, Reason, SegmentId, SlotRef};
use tokio::task::yield_now;
use tokio::time::Instant;

use crate::arena::Piece;
use crate::limits::Limits;
use crate::model::Model;
use crate::session::Graph;

/// A graph of a client, and what is in use of its input arena.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) graph: Arc<Graph>,
    book: Mutex<Book>,
    used: Mutex<Instant>,
}

#[derive(Debug)]
struct Book {
    slots: Allocator,
    /// Where slots have been taken since the last sweep.
    taken: HashSet<SegmentId>,
}

/// Room for one input, free for others once it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    placed: Arc<Placed>,
    slot: SlotRef,
    mapping: Arc<Mapping>,
}

/// A break of our own book-keeping, or a system without memory: told, never a panic.
fn unmapped(error: &ShmError) -> Fault {
    let log_id = crate::telemetry::log_id();
    tracing::error!(log_id, "an arena could not be used by the daemon: {error}");
    Fault::of(Reason::SharedMemory).log_id(log_id)
}

// === impl Placed ===

impl Placed {
    pub(super) fn new(graph: Arc<Graph>, first: &Piece) -> Result<Self, Fault> {
        let mut book = Book {
            slots: Allocator::new(graph.arena.id()),
            taken: HashSet::new(),
        };
        book.add(first)?;
        Ok(Self {
            graph,
            book: Mutex::new(book),
            used: Mutex::new(Instant::now()),
        })
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_of(&self, model: &Arc<Model>) -> bool {
        Arc::ptr_eq(&self.graph.model, model)
    }

    pub(super) fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    pub(super) fn unused(&self) -> Duration {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.elapsed()
    }

    /// Room for an input of so many bytes; the arena grows within the tenant's budget.
    pub(super) fn take(self: &Arc<Self>, bytes: u64, limits: &Limits) -> Result<Slot, Fault> {
        let mut book = self.book();
        let slot = match book.slots.alloc(bytes) {
            Ok(slot) => slot,
            Err(_) => {
                let piece = self.graph.arena.grow(bytes.max(limits.segment_bytes))?;
                book.add(&piece)?;
                let slot = book.slots.alloc(bytes);
                slot.map_err(|error| Fault::of(Reason::Defect).message(error.to_string()))?
            }
        };
        book.taken.insert(slot.segment);
        let piece = self.graph.arena.piece(slot.segment);
        let mapping = piece.map(|piece| piece.map_writer());
        match mapping {
            Some(Ok(mapping)) => Ok(Slot {
                placed: Arc::clone(self),
                slot,
                mapping,
            }),
            Some(Err(error)) => {
                book.free(slot);
                Err(unmapped(&error))
            }
            None => Err(Fault::of(Reason::Defect).message("a segment that the book has is gone")),
        }
    }

    /// Gives segments back that have been idle since the last time, all but one; says which.
    pub(super) fn sweep(&self) -> Vec<Arc<Piece>> {
        let mut book = self.book();
        let taken = std::mem::take(&mut book.taken);
        let mut idle: Vec<SegmentId> = book.slots.idle_segments().collect();
        idle.retain(|segment| !taken.contains(segment));
        let mut gone = Vec::new();
        for segment in idle {
            // The arena keeps its last, and what a job still holds.
            if let Ok(piece) = self.graph.arena.give_back(segment) {
                book.slots.remove_idle_segment(segment);
                gone.push(piece);
            }
        }
        gone
    }
}

// === impl Book ===

impl Book {
    fn add(&mut self, piece: &Piece) -> Result<(), Fault> {
        piece.map_writer().map_err(|error| unmapped(&error))?;
        self.slots.add_segment(piece.id, piece.segment.bytes());
        Ok(())
    }

    fn free(&mut self, slot: SlotRef) {
        if let Err(error) = self.slots.free(slot) {
            tracing::error!("a slot of the daemon's own was freed twice: {error}");
        }
    }
}

// === impl Slot ===

impl Slot {
    pub(super) fn slot(&self) -> SlotRef {
        self.slot
    }

    /// Copies an input into it, once, in pieces: others have their turn in between.
    pub(super) async fn fill(&self, contents: &Contents) -> Result<(), Fault> {
        let mut at = 0_usize;
        while at < contents.bytes() {
            let next = {
                let piece = contents.piece(at);
                self.copy(at, &piece)?;
                at.saturating_add(piece.len().max(1))
            };
            at = next;
            if at < contents.bytes() {
                yield_now().await;
            }
        }
        Ok(())
    }

    fn copy(&self, at: usize, bytes: &[u8]) -> Result<(), Fault> {
        let wide = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let offset = self.slot.offset.saturating_add(wide(at));
        let room = self.mapping.slice(offset, wide(bytes.len()));
        let copied = room.and_then(|room| room.copy_from(bytes));
        copied.map_err(|error| unmapped(&error))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.placed.book().free(self.slot);
    }
}
