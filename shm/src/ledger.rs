//! The reader's book of one arena: which segments it has mapped, which slots it holds. It checks what
//! the writer names before anybody reads there. Pure.

use std::collections::{BTreeMap, HashMap};

use nn_tensor::{ArenaId, SegmentId, SlotError, SlotRef};

/// Why a slot that a writer named is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// It names an arena that this ledger is not of.
    #[error("slot {0} names another arena")]
    Arena(SlotRef),
    /// It names a segment that was never granted.
    #[error("slot {0} names an unknown segment")]
    Segment(SlotRef),
    /// It ends behind the segment.
    #[error(transparent)]
    Bounds(#[from] SlotError),
    /// Its bytes are held already: the writer would be changing what is being read.
    #[error("slot {0} overlaps one that is still held")]
    Held(SlotRef),
}

/// What a reader knows of one arena.
#[derive(Debug)]
pub struct Ledger {
    arena: ArenaId,
    segments: HashMap<SegmentId, u64>,
    held: BTreeMap<(SegmentId, u64), SlotRef>,
}

impl Ledger {
    /// A ledger without segments.
    #[must_use]
    pub fn new(arena: ArenaId) -> Self {
        Self {
            arena,
            segments: HashMap::new(),
            held: BTreeMap::new(),
        }
    }

    /// Notes a segment that has been mapped.
    pub fn add_segment(&mut self, segment: SegmentId, bytes: u64) {
        self.segments.insert(segment, bytes);
    }

    /// Forgets a segment: no slot in it is taken any more. Those that are held stay so.
    pub fn remove_segment(&mut self, segment: SegmentId) {
        self.segments.remove(&segment);
    }

    /// Whether a segment has been mapped.
    #[must_use]
    pub fn has_segment(&self, segment: SegmentId) -> bool {
        self.segments.contains_key(&segment)
    }

    /// How many slots are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Takes a slot that the writer handed over: it lies in a known segment, and none of its bytes is
    /// held already.
    pub fn accept(&mut self, slot: SlotRef) -> Result<(), LedgerError> {
        if slot.arena != self.arena {
            return Err(LedgerError::Arena(slot));
        }
        let bytes = *self
            .segments
            .get(&slot.segment)
            .ok_or(LedgerError::Segment(slot))?;
        slot.within(bytes)?;
        let end = slot.offset.saturating_add(slot.len);
        let before = self.held.range(..=(slot.segment, slot.offset)).next_back();
        let after = self.held.range((slot.segment, slot.offset)..).next();
        let clashes = before
            .into_iter()
            .chain(after)
            .any(|(&(segment, offset), held)| {
                let same_start = offset == slot.offset;
                let overlaps = offset < end && slot.offset < offset.saturating_add(held.len);
                segment == slot.segment && (same_start || overlaps)
            });
        if clashes {
            return Err(LedgerError::Held(slot));
        }
        self.held.insert((slot.segment, slot.offset), slot);
        Ok(())
    }

    /// Forgets a slot; says whether it was held.
    pub fn release(&mut self, slot: SlotRef) -> bool {
        let key = (slot.segment, slot.offset);
        let known = self.held.get(&key) == Some(&slot);
        if known {
            self.held.remove(&key);
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARENA: ArenaId = ArenaId(3);

    fn slot(offset: u64, len: u64, generation: u64) -> SlotRef {
        SlotRef {
            arena: ARENA,
            segment: SegmentId(0),
            offset,
            len,
            generation,
        }
    }

    fn ledger() -> Ledger {
        let mut ledger = Ledger::new(ARENA);
        ledger.add_segment(SegmentId(0), 4096);
        ledger
    }

    #[test]
    fn a_slot_that_overlaps_a_held_one_is_refused() {
        let mut ledger = ledger();
        ledger.accept(slot(64, 64, 1)).unwrap();
        assert_eq!(
            ledger.accept(slot(0, 65, 2)),
            Err(LedgerError::Held(slot(0, 65, 2)))
        );
        assert_eq!(
            ledger.accept(slot(127, 1, 3)),
            Err(LedgerError::Held(slot(127, 1, 3)))
        );
        assert_eq!(ledger.accept(slot(0, 64, 4)), Ok(()));
        assert_eq!(ledger.accept(slot(128, 64, 5)), Ok(()));
    }

    #[test]
    fn a_released_slot_may_come_again() {
        let mut ledger = ledger();
        ledger.accept(slot(0, 64, 1)).unwrap();
        assert!(ledger.release(slot(0, 64, 1)));
        assert_eq!(ledger.accept(slot(0, 64, 2)), Ok(()));
    }

    #[test]
    fn a_slot_behind_its_segment_is_refused() {
        assert!(matches!(
            ledger().accept(slot(4000, 97, 1)),
            Err(LedgerError::Bounds(_))
        ));
        assert!(matches!(
            ledger().accept(slot(u64::MAX, 2, 1)),
            Err(LedgerError::Bounds(_))
        ));
    }

    #[test]
    fn releasing_what_is_not_held_changes_nothing() {
        let mut ledger = ledger();
        ledger.accept(slot(0, 64, 1)).unwrap();
        assert!(!ledger.release(slot(0, 64, 2)));
        assert_eq!(ledger.held(), 1);
    }
}
