//! Which bytes of an arena are in use: the writer's own book, kept outside shared memory. Pure; it
//! never touches a byte.
//!
//! First fit by address, smallest segments first: what was freed last tends to be used next, so the
//! same warm pages serve call after call, and a large segment stays whole for the tensor it was made for.

use std::collections::{BTreeMap, HashMap};

use nn_tensor::{ArenaId, SegmentId, SlotRef};

/// Slots begin at multiples of this many bytes: a cache line, which is also the widest vector load.
pub const SLOT_ALIGN: u64 = 64;

/// Why there is no slot, or none to free.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllocError {
    /// No free run is long enough; another segment would help.
    #[error("no room for {bytes} bytes in the arena")]
    Full {
        /// What was asked for, after alignment.
        bytes: u64,
    },
    /// The slot is not one that is in use.
    #[error("slot {slot} is not in use")]
    NotInUse {
        /// The slot as it came.
        slot: SlotRef,
    },
}

/// The slots of one arena, kept by its single writer.
#[derive(Debug)]
pub struct Allocator {
    arena: ArenaId,
    generation: u64,
    segments: BTreeMap<SegmentId, Free>,
    in_use: HashMap<(SegmentId, u64), InUse>,
    bytes_in_use: u64,
}

/// A segment's free runs: offset → length; neighbours are always merged.
#[derive(Debug)]
struct Free {
    bytes: u64,
    runs: BTreeMap<u64, u64>,
}

#[derive(Debug)]
struct InUse {
    generation: u64,
    /// Length after alignment.
    run: u64,
}

fn aligned(bytes: u64) -> Option<u64> {
    bytes.max(1).checked_next_multiple_of(SLOT_ALIGN)
}

// === impl Allocator ===

impl Allocator {
    /// An arena without segments.
    #[must_use]
    pub fn new(arena: ArenaId) -> Self {
        Self {
            arena,
            generation: 0,
            segments: BTreeMap::new(),
            in_use: HashMap::new(),
            bytes_in_use: 0,
        }
    }

    /// Adds a segment of `bytes` bytes, all free.
    pub fn add_segment(&mut self, segment: SegmentId, bytes: u64) {
        let usable = bytes
            .checked_div(SLOT_ALIGN)
            .unwrap_or(0)
            .saturating_mul(SLOT_ALIGN);
        self.segments.insert(
            segment,
            Free {
                bytes: usable,
                runs: BTreeMap::from([(0, usable)]),
            },
        );
    }

    /// Takes a segment away if nothing in it is in use; says whether it did.
    pub fn remove_idle_segment(&mut self, segment: SegmentId) -> bool {
        let idle = self.segments.get(&segment).is_some_and(Free::is_idle);
        if idle {
            self.segments.remove(&segment);
        }
        idle
    }

    /// Segments in which nothing is in use.
    pub fn idle_segments(&self) -> impl Iterator<Item = SegmentId> + '_ {
        self.segments
            .iter()
            .filter(|(_, free)| free.is_idle())
            .map(|(&id, _)| id)
    }

    /// How many segments there are.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// Slots in use, and their bytes after alignment.
    #[must_use]
    pub fn in_use(&self) -> (usize, u64) {
        (self.in_use.len(), self.bytes_in_use)
    }

    /// A slot of `len` bytes; also a tensor without bytes gets one, so that every slot is told apart.
    pub fn alloc(&mut self, len: u64) -> Result<SlotRef, AllocError> {
        let run = aligned(len).ok_or(AllocError::Full { bytes: len })?;
        let full = AllocError::Full { bytes: run };
        let mut by_size: Vec<(u64, SegmentId)> = self
            .segments
            .iter()
            .map(|(&id, free)| (free.bytes, id))
            .collect();
        by_size.sort_unstable();
        let (segment, offset) = by_size
            .iter()
            .find_map(|&(_, id)| Some((id, self.segments.get_mut(&id)?.take(run)?)))
            .ok_or(full)?;
        self.generation = self.generation.saturating_add(1);
        self.bytes_in_use = self.bytes_in_use.saturating_add(run);
        self.in_use.insert(
            (segment, offset),
            InUse {
                generation: self.generation,
                run,
            },
        );
        Ok(SlotRef {
            arena: self.arena,
            segment,
            offset,
            len,
            generation: self.generation,
        })
    }

    /// Gives a slot back. Fails, and changes nothing, for a slot that is not in use: a peer may say
    /// anything.
    pub fn free(&mut self, slot: SlotRef) -> Result<(), AllocError> {
        let key = (slot.segment, slot.offset);
        let known = self
            .in_use
            .get(&key)
            .is_some_and(|used| used.generation == slot.generation);
        if slot.arena != self.arena || !known {
            return Err(AllocError::NotInUse { slot });
        }
        let Some(used) = self.in_use.remove(&key) else {
            return Err(AllocError::NotInUse { slot });
        };
        self.bytes_in_use = self.bytes_in_use.saturating_sub(used.run);
        if let Some(free) = self.segments.get_mut(&slot.segment) {
            free.give(slot.offset, used.run);
        }
        Ok(())
    }
}

// === impl Free ===

impl Free {
    fn is_idle(&self) -> bool {
        self.runs.get(&0) == Some(&self.bytes)
    }

    fn take(&mut self, run: u64) -> Option<u64> {
        let (&offset, &length) = self.runs.iter().find(|&(_, &length)| length >= run)?;
        self.runs.remove(&offset);
        if length > run {
            self.runs
                .insert(offset.saturating_add(run), length.saturating_sub(run));
        }
        Some(offset)
    }

    fn give(&mut self, mut offset: u64, mut run: u64) {
        if let Some(after) = self.runs.remove(&offset.saturating_add(run)) {
            run = run.saturating_add(after);
        }
        if let Some((&before, &length)) = self.runs.range(..offset).next_back()
            && before.saturating_add(length) == offset
        {
            offset = before;
            run = run.saturating_add(length);
        }
        self.runs.insert(offset, run);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn allocator(segments: &[u64]) -> Allocator {
        let mut allocator = Allocator::new(ArenaId(7));
        for (id, &bytes) in (0..).zip(segments) {
            allocator.add_segment(SegmentId(id), bytes);
        }
        allocator
    }

    #[test]
    fn a_freed_slot_is_used_again_under_a_new_generation() {
        let mut allocator = allocator(&[4096]);
        let first = allocator.alloc(1000).unwrap();
        allocator.free(first).unwrap();
        let second = allocator.alloc(1000).unwrap();
        assert_eq!(
            (second.segment, second.offset),
            (first.segment, first.offset)
        );
        assert_ne!(second.generation, first.generation);
    }

    #[test]
    fn a_slot_is_freed_once() {
        let mut allocator = allocator(&[4096]);
        let slot = allocator.alloc(1).unwrap();
        allocator.free(slot).unwrap();
        assert_eq!(allocator.free(slot), Err(AllocError::NotInUse { slot }));
    }

    #[test]
    fn an_old_generation_does_not_free_its_successor() {
        let mut allocator = allocator(&[4096]);
        let old = allocator.alloc(64).unwrap();
        allocator.free(old).unwrap();
        let new = allocator.alloc(64).unwrap();
        assert!(allocator.free(old).is_err());
        assert!(allocator.free(new).is_ok());
    }

    #[test]
    fn small_slots_leave_the_large_segment_whole() {
        let mut allocator = allocator(&[1 << 20, 4096]);
        assert_eq!(allocator.alloc(64).unwrap().segment, SegmentId(1));
    }

    #[test]
    fn lengths_near_the_end_of_the_number_range_are_full_not_overflow() {
        assert!(matches!(
            allocator(&[4096]).alloc(u64::MAX),
            Err(AllocError::Full { .. })
        ));
    }

    proptest! {
        #[test]
        fn slots_never_overlap_and_all_freed_is_all_free(
            steps in prop::collection::vec((any::<bool>(), 0_u64..3000, any::<prop::sample::Index>()), 1..200)
        ) {
            let mut allocator = allocator(&[8192, 4096, 16384]);
            let mut held: Vec<SlotRef> = Vec::new();
            for (free, len, pick) in steps {
                if free && !held.is_empty() {
                    let slot = held.swap_remove(pick.index(held.len()));
                    prop_assert!(allocator.free(slot).is_ok());
                } else if let Ok(slot) = allocator.alloc(len) {
                    let end = slot.offset + slot.len.max(1);
                    let clash = held.iter().any(|h| h.segment == slot.segment
                        && slot.offset < h.offset + h.len.max(1) && h.offset < end);
                    prop_assert!(!clash, "{} among {:?}", slot, held);
                    prop_assert_eq!(slot.offset % SLOT_ALIGN, 0);
                    held.push(slot);
                }
            }
            for slot in held {
                prop_assert!(allocator.free(slot).is_ok());
            }
            prop_assert_eq!(allocator.idle_segments().count(), 3);
            prop_assert_eq!(allocator.in_use(), (0, 0));
        }
    }
}
