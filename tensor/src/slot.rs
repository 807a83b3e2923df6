//! Where a tensor's bytes lie in shared memory. Plain numbers, checked by whoever maps the memory;
//! nothing here can reach a byte.

use std::fmt;

/// One arena of one daemon run. Assigned by the daemon, never reused, no secret: it is looked up
/// under the session that owns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ArenaId(pub u64);

/// One sealed piece of an arena's memory, counted from 0 within the arena, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentId(pub u32);

/// A run of bytes in an arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SlotRef {
    /// Arena that holds the bytes.
    pub arena: ArenaId,
    /// Segment of that arena.
    pub segment: SegmentId,
    /// First byte within the segment.
    pub offset: u64,
    /// Number of bytes; 0 for a tensor without elements.
    pub len: u64,
    /// Counts the writer's allocations in this arena: it tells two lives of the same bytes apart.
    pub generation: u64,
}

/// Why a slot does not lie where it says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// The slot ends behind the segment.
    #[error("slot {slot} ends behind its segment of {segment_bytes} bytes")]
    Bounds {
        /// The slot as it came.
        slot: SlotRef,
        /// Size of the segment it names.
        segment_bytes: u64,
    },
    /// The slot's length is not that of the tensor it is said to hold.
    #[error("a slot of {got} bytes for a tensor of {expected} bytes")]
    Length {
        /// Bytes that dtype and shape ask for.
        expected: u64,
        /// Bytes of the slot.
        got: u64,
    },
}

impl SlotRef {
    /// Checks that the slot lies inside a segment of `segment_bytes` bytes.
    pub fn within(&self, segment_bytes: u64) -> Result<(), SlotError> {
        match self.offset.checked_add(self.len) {
            Some(end) if end <= segment_bytes => Ok(()),
            _ => Err(SlotError::Bounds {
                slot: *self,
                segment_bytes,
            }),
        }
    }
}

impl fmt::Display for SlotRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            arena,
            segment,
            offset,
            len,
            generation,
        } = self;
        write!(f, "{}.{}+{offset}:{len}#{generation}", arena.0, segment.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slot(offset: u64, len: u64) -> SlotRef {
        SlotRef {
            arena: ArenaId(1),
            segment: SegmentId(0),
            offset,
            len,
            generation: 1,
        }
    }

    proptest! {
        #[test]
        fn a_slot_is_within_exactly_when_its_end_is(offset: u64, len: u64, segment: u64) {
            let fits = u128::from(offset) + u128::from(len) <= u128::from(segment);
            prop_assert_eq!(slot(offset, len).within(segment).is_ok(), fits);
        }
    }
}
