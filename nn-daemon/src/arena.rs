//! Arenas as the daemon sees them: memory it made, sealed and charged to a tenant, and gave to one
//! writer and its readers. It maps only what it writes and reads for clients that send their tensors in messages (ADR 32).

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use nn_shm::{Mapping, Segment, ShmError};
use nn_tensor::{ArenaId, Fault, Reason, SegmentId, SlotRef, Tenant};
use tokio::sync::watch;

const PAGE_BYTES: u64 = 4096;

/// The memory of every tenant that has a session.
#[derive(Debug)]
pub(crate) struct Budgets {
    bytes_max: u64,
    tenants: Mutex<HashMap<Tenant, Weak<Budget>>>,
}

/// One tenant's arena memory.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes_max: AtomicU64,
    used: AtomicU64,
}

/// Some bytes of a budget; dropped, they go back.
#[derive(Debug)]
struct Charge {
    budget: Arc<Budget>,
    bytes: u64,
}

/// An arena: segments that come as they are needed.
#[derive(Debug)]
pub(crate) struct Arena {
    id: ArenaId,
    budget: Arc<Budget>,
    pieces: Mutex<Pieces>,
}

#[derive(Debug, Default)]
struct Pieces {
    here: BTreeMap<SegmentId, Arc<Piece>>,
    /// How many there ever were: no segment's number is used again.
    made: u32,
}

/// One segment of an arena.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) arena: ArenaId,
    pub(crate) id: SegmentId,
    pub(crate) segment: Segment,
    sealed: watch::Sender<bool>,
    /// Where the daemon itself has it, if it does.
    mapped: OnceLock<Arc<Mapping>>,
    _charge: Charge,
}

// === impl Budgets ===

impl Budgets {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self {
            bytes_max,
            tenants: Mutex::default(),
        }
    }

    /// The tenant's budget; the same one for all its sessions.
    pub(crate) fn of(&self, tenant: &Tenant) -> Arc<Budget> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        tenants.retain(|_, budget| budget.strong_count() > 0);
        if let Some(budget) = tenants.get(tenant).and_then(Weak::upgrade) {
            return budget;
        }
        let budget = Arc::new(Budget {
            bytes_max: AtomicU64::new(self.bytes_max),
            used: AtomicU64::new(0),
        });
        tenants.insert(tenant.clone(), Arc::downgrade(&budget));
        budget
    }

    /// Bytes in use by each tenant.
    pub(crate) fn list(&self) -> Vec<(Tenant, u64)> {
        let tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let used = |(tenant, budget): (&Tenant, &Weak<Budget>)| {
            let used = budget.upgrade()?.used.load(Ordering::Relaxed);
            Some((tenant.clone(), used))
        };
        tenants.iter().filter_map(used).collect()
    }

    /// Bytes in use by all tenants.
    pub(crate) fn used(&self) -> u64 {
        let tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        tenants
            .values()
            .filter_map(Weak::upgrade)
            .map(|budget| budget.used())
            .sum()
    }
}

// === impl Budget, Charge ===

impl Budget {
    /// From now on it is so much; what is in use beyond it stays until it is given back.
    pub(crate) fn hold_to(&self, bytes_max: u64) {
        self.bytes_max.store(bytes_max, Ordering::Relaxed);
    }

    /// Bytes in use.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    fn charge(self: &Arc<Self>, bytes: u64) -> Result<Charge, Fault> {
        let bytes_max = self.bytes_max.load(Ordering::Relaxed);
        let add = |used: u64| used.checked_add(bytes).filter(|&sum| sum <= bytes_max);
        match self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add)
        {
            Ok(_) => Ok(Charge {
                budget: Arc::clone(self),
                bytes,
            }),
            Err(used) => Err(Fault::of(Reason::ArenaFull)
                .expected(format!("at most {bytes_max} bytes in use"))
                .got(format!("{used} in use and {bytes} more"))),
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

// === impl Arena ===

impl Arena {
    /// An arena without memory, with an id that no arena of this run has had.
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = ArenaId(NEXT.fetch_add(1, Ordering::Relaxed));
        Self {
            id,
            budget,
            pieces: Mutex::default(),
        }
    }

    pub(crate) fn id(&self) -> ArenaId {
        self.id
    }

    /// Adds a segment of at least `bytes_min` bytes; `busy` beyond the tenant's budget.
    pub(crate) fn grow(&self, bytes_min: u64) -> Result<Arc<Piece>, Fault> {
        let bytes = bytes_min
            .max(1)
            .checked_next_multiple_of(PAGE_BYTES)
            .ok_or_else(|| {
                Fault::of(Reason::TensorTooLarge).message("a segment of impossible size")
            })?;
        let charge = self.budget.charge(bytes)?;
        let segment = Segment::create(bytes).map_err(|error| {
            let log_id = crate::telemetry::log_id();
            tracing::error!(log_id, bytes, "no memory for an arena: {error}");
            Fault::of(Reason::SharedMemory).log_id(log_id)
        })?;
        let mut pieces = self.pieces();
        let id = SegmentId(pieces.made);
        pieces.made = pieces.made.saturating_add(1);
        let (sealed, _) = watch::channel(false);
        let piece = Arc::new(Piece {
            arena: self.id,
            id,
            segment,
            sealed,
            mapped: OnceLock::new(),
            _charge: charge,
        });
        pieces.here.insert(id, Arc::clone(&piece));
        Ok(piece)
    }

    pub(crate) fn piece(&self, id: SegmentId) -> Option<Arc<Piece>> {
        self.pieces().here.get(&id).cloned()
    }

    pub(crate) fn first_piece(&self) -> Option<Arc<Piece>> {
        self.pieces()
            .here
            .first_key_value()
            .map(|(_, piece)| Arc::clone(piece))
    }

    /// How many segments it has.
    pub(crate) fn segments(&self) -> usize {
        self.pieces().here.len()
    }

    /// Takes a segment away; its memory goes when nothing holds it any more.
    pub(crate) fn remove(&self, id: SegmentId) -> Option<Arc<Piece>> {
        self.pieces().here.remove(&id)
    }

    /// Takes a segment back from its writer; refused while a job, or anything else here, still holds it.
    pub(crate) fn give_back(&self, id: SegmentId) -> Result<Arc<Piece>, Fault> {
        let mut pieces = self.pieces();
        let last = pieces.here.len() == 1;
        let piece = pieces.here.get(&id).filter(|_| !last).ok_or_else(|| {
            Fault::of(Reason::Protocol)
                .message("a segment that cannot be given back")
                .expected("a segment of the arena that is not its last")
                .got(format!("segment {}", id.0))
        })?;
        if Arc::strong_count(piece) > 1 {
            return Err(
                Fault::busy("the segment is in use").hint("wait for the answers of its jobs")
            );
        }
        pieces
            .here
            .remove(&id)
            .ok_or_else(|| Fault::of(Reason::Defect).message("the segment is gone"))
    }

    /// Bytes of all its segments.
    pub(crate) fn bytes(&self) -> u64 {
        self.pieces()
            .here
            .values()
            .map(|piece| piece.segment.bytes())
            .sum()
    }

    /// The piece that a slot lies in.
    pub(crate) fn locate(&self, slot: SlotRef) -> Result<Arc<Piece>, Fault> {
        let wrong = |what: &str| {
            Fault::of(Reason::Protocol)
                .message(format!("a tensor's slot {what}"))
                .got(slot.to_string())
        };
        if slot.arena != self.id {
            return Err(wrong("is not in its graph's input arena"));
        }
        let piece = self
            .piece(slot.segment)
            .ok_or_else(|| wrong("names an unknown segment"))?;
        slot.within(piece.segment.bytes())
            .map_err(|_| wrong("ends behind its segment"))?;
        Ok(piece)
    }

    fn pieces(&self) -> std::sync::MutexGuard<'_, Pieces> {
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Piece ===

impl Piece {
    /// Which it is, and its size in bytes.
    pub(crate) fn sized(&self) -> ((ArenaId, SegmentId), u64) {
        ((self.arena, self.id), self.segment.bytes())
    }

    /// Its writer has mapped it: no further writer can.
    pub(crate) fn seal(&self) -> Result<(), ShmError> {
        if !*self.sealed.borrow() {
            self.segment.seal_writers()?;
            self.sealed.send_replace(true);
        }
        Ok(())
    }

    /// Maps it for the daemon to write, and seals it against others: an input that came in a message.
    pub(crate) fn map_writer(&self) -> Result<Arc<Mapping>, ShmError> {
        let mapping = self.map(Segment::map_writer)?;
        self.seal()?;
        Ok(mapping)
    }

    /// Maps it for the daemon to read: an output that goes out in a message.
    pub(crate) fn map_reader(&self) -> Result<Arc<Mapping>, ShmError> {
        self.map(Segment::map_reader)
    }

    /// Once; it stays mapped for as long as it is there.
    fn map(
        &self,
        how: impl FnOnce(&Segment) -> Result<Mapping, ShmError>,
    ) -> Result<Arc<Mapping>, ShmError> {
        if let Some(mapping) = self.mapped.get() {
            return Ok(Arc::clone(mapping));
        }
        let mapping = Arc::new(how(&self.segment)?);
        Ok(Arc::clone(self.mapped.get_or_init(|| mapping)))
    }

    /// Waits until it is sealed: only then may a reader have it.
    pub(crate) async fn sealed(&self, within: Duration) -> Result<(), Fault> {
        let mut sealed = self.sealed.subscribe();
        match nn_patience::timeout(within, sealed.wait_for(|sealed| *sealed)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Fault::of(Reason::Protocol)
                .message("a tensor lies in a segment that its client has not mapped")
                .expected(format!("FdMapped within {within:?}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_charged_when_it_comes_and_given_back_when_it_goes() {
        let budgets = Budgets::new(2 * PAGE_BYTES);
        let tenant = Tenant::default();
        let arena = Arena::new(budgets.of(&tenant));
        arena.grow(1).unwrap();
        arena.grow(PAGE_BYTES).unwrap();
        assert_eq!(arena.grow(1).unwrap_err().code, nn_tensor::Code::Busy);
        assert_eq!(budgets.used(), 2 * PAGE_BYTES);
        drop(arena);
        assert_eq!(budgets.used(), 0);
    }

    #[test]
    fn two_arenas_of_a_tenant_share_its_budget() {
        let budgets = Budgets::new(PAGE_BYTES);
        let tenant = Tenant::default();
        let (one, two) = (
            Arena::new(budgets.of(&tenant)),
            Arena::new(budgets.of(&tenant)),
        );
        one.grow(1).unwrap();
        assert!(two.grow(1).is_err());
        assert_ne!(one.id(), two.id());
    }

    #[test]
    fn a_segment_in_use_is_not_given_back_and_no_number_is_used_twice() {
        let arena = Arena::new(Budgets::new(1 << 20).of(&Tenant::default()));
        let first = arena.grow(1).unwrap();
        let second = arena.grow(1).unwrap().id;
        let job = arena.piece(second).unwrap();
        assert_eq!(
            arena.give_back(second).unwrap_err().code,
            nn_tensor::Code::Busy
        );
        drop(job);
        assert!(arena.give_back(second).is_ok());
        assert!(arena.give_back(first.id).is_err());
        assert_eq!(arena.grow(1).unwrap().id, SegmentId(2));
    }
}
