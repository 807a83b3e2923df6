//! What is mapped: input arenas to read, output arenas to write and allocate in. The daemon is the
//! only peer; what it names and is not there is a broken protocol.

use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use nn_shm::{AllocError, Allocator, Mapping, Place, Segment, ShmError};
use nn_tensor::{ArenaId, SegmentId, SlotError, SlotRef};
use nn_worker_wire::Role;

/// The most segments mapped at a time, of all arenas.
const SEGMENTS_MAX: usize = 4096;

/// The most segments given back at a time.
const TRIMMED_MAX: usize = 1024;

/// Every arena of this process.
#[derive(Debug, Default)]
pub struct Arenas {
    inputs: HashMap<ArenaId, Segments>,
    outputs: HashMap<ArenaId, Output>,
    segments: usize,
}

/// A segment to map.
#[derive(Debug)]
pub struct Grant {
    /// Whose it is.
    pub arena: ArenaId,
    /// Which of it.
    pub segment: SegmentId,
    /// Its size.
    pub bytes: u64,
    /// Who writes it.
    pub role: Role,
    /// Its memory.
    pub fd: OwnedFd,
}

/// Why a segment was not mapped, or a slot not found.
#[derive(Debug, thiserror::Error)]
pub enum ArenaError {
    /// Beyond the bound.
    #[error("more than {SEGMENTS_MAX} segments")]
    TooMany,
    /// It, or its arena, is there already.
    #[error("segment {}.{} was granted before, or its arena in another role", .0.0, .1.0)]
    Twice(ArenaId, SegmentId),
    /// Its memory cannot be mapped so.
    #[error("segment {}.{}: {error}", .0.0, .1.0, error = .2)]
    Unfit(ArenaId, SegmentId, #[source] ShmError),
    /// Nothing is mapped there.
    #[error("slot {0} is of no segment that was granted")]
    Unknown(SlotRef),
    /// It goes beyond its segment.
    #[error(transparent)]
    Bounds(#[from] SlotError),
    /// It cannot be looked at.
    #[error("slot {0}: {1}")]
    Mapping(SlotRef, #[source] ShmError),
}

type Segments = HashMap<SegmentId, Arc<Mapping>>;

#[derive(Debug)]
struct Output {
    segments: Segments,
    /// Where slots have been taken since the last trim.
    used: HashSet<SegmentId>,
    slots: Allocator,
}

// === impl Arenas ===

impl Arenas {
    /// Maps a segment.
    pub fn attach(&mut self, grant: Grant) -> Result<(), ArenaError> {
        let Grant {
            arena,
            segment,
            bytes,
            role,
            fd,
        } = grant;
        if self.segments >= SEGMENTS_MAX {
            return Err(ArenaError::TooMany);
        }
        let taken = match role {
            Role::Input => {
                self.outputs.contains_key(&arena) || has(self.inputs.get(&arena), segment)
            }
            Role::Output => {
                let segments = self.outputs.get(&arena).map(|output| &output.segments);
                self.inputs.contains_key(&arena) || has(segments, segment)
            }
        };
        if taken {
            return Err(ArenaError::Twice(arena, segment));
        }
        let mapping = match role {
            Role::Input => Segment::for_reader(fd, bytes).and_then(|s| s.map_reader()),
            Role::Output => Segment::for_writer(fd, bytes).and_then(|s| s.map_writer()),
        };
        let mapping = Arc::new(mapping.map_err(|e| ArenaError::Unfit(arena, segment, e))?);
        match role {
            Role::Input => {
                let segments = self.inputs.entry(arena).or_default();
                segments.insert(segment, mapping);
            }
            Role::Output => {
                let output = self
                    .outputs
                    .entry(arena)
                    .or_insert_with(|| Output::new(arena));
                output.segments.insert(segment, mapping);
                output.slots.add_segment(segment, bytes);
                // The job that asked for it has yet to take its slot.
                output.used.insert(segment);
            }
        }
        self.segments = self.segments.saturating_add(1);
        Ok(())
    }

    /// Unmaps an arena. A run that still holds a place of it keeps that mapped.
    pub fn detach(&mut self, arena: ArenaId) {
        let inputs = self.inputs.remove(&arena).map_or(0, |input| input.len());
        let outputs = self
            .outputs
            .remove(&arena)
            .map_or(0, |output| output.segments.len());
        self.segments = self.segments.saturating_sub(inputs.saturating_add(outputs));
    }

    /// Unmaps an input segment.
    pub fn unmap(&mut self, arena: ArenaId, segment: SegmentId) {
        let gone = self
            .inputs
            .get_mut(&arena)
            .and_then(|segments| segments.remove(&segment));
        self.segments = self.segments.saturating_sub(usize::from(gone.is_some()));
    }

    /// Unmaps output segments that have been idle since the last time, but for one of each arena, and at
    /// most [`TRIMMED_MAX`]; says which.
    pub fn trim(&mut self) -> Vec<(ArenaId, SegmentId)> {
        let mut trimmed = Vec::new();
        for (&arena, output) in &mut self.outputs {
            for segment in output.idle() {
                if trimmed.len() < TRIMMED_MAX && output.slots.remove_idle_segment(segment) {
                    output.segments.remove(&segment);
                    trimmed.push((arena, segment));
                }
            }
        }
        self.segments = self.segments.saturating_sub(trimmed.len());
        trimmed
    }

    /// Where an input's bytes lie.
    pub fn input(&self, slot: SlotRef) -> Result<Place, ArenaError> {
        let mapping = self
            .inputs
            .get(&slot.arena)
            .and_then(|segments| segments.get(&slot.segment))
            .ok_or(ArenaError::Unknown(slot))?;
        slot.within(u64::try_from(mapping.len()).unwrap_or(0))?;
        mapping
            .place(slot.offset, slot.len)
            .map_err(|error| ArenaError::Mapping(slot, error))
    }

    /// A slot for an output of `bytes` bytes.
    pub fn alloc(&mut self, arena: ArenaId, bytes: u64) -> Result<Reserved, AllocError> {
        let output = self
            .outputs
            .entry(arena)
            .or_insert_with(|| Output::new(arena));
        let slot = output.slots.alloc(bytes)?;
        output.used.insert(slot.segment);
        let place = output
            .segments
            .get(&slot.segment)
            .and_then(|mapping| mapping.place(slot.offset, slot.len).ok());
        // The allocator was told of mapped segments only, with their true sizes.
        let place = place.ok_or(AllocError::NotInUse { slot })?;
        Ok(Reserved { slot, place })
    }

    /// Frees a slot; says whether it was in use. It may not be: a client releases what it likes, and
    /// an arena may have gone meanwhile.
    pub fn free(&mut self, slot: SlotRef) -> bool {
        self.outputs
            .get_mut(&slot.arena)
            .is_some_and(|output| output.slots.free(slot).is_ok())
    }
}

/// A slot for an output, and its memory.
#[derive(Debug)]
pub struct Reserved {
    /// The slot.
    pub slot: SlotRef,
    /// Where it is mapped.
    pub place: Place,
}

fn has(segments: Option<&Segments>, segment: SegmentId) -> bool {
    segments.is_some_and(|segments| segments.contains_key(&segment))
}

// === impl Output ===

impl Output {
    fn new(arena: ArenaId) -> Self {
        Self {
            segments: Segments::new(),
            used: HashSet::new(),
            slots: Allocator::new(arena),
        }
    }

    /// Segments that can go: idle now and not used since the last time, all but one kept in any case.
    fn idle(&mut self) -> Vec<SegmentId> {
        let used = std::mem::take(&mut self.used);
        let mut idle: Vec<SegmentId> = self
            .slots
            .idle_segments()
            .filter(|segment| !used.contains(segment))
            .collect();
        if idle.len() == self.segments.len() {
            idle.remove(0);
        }
        idle
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    const PAGE: u64 = 4096;

    fn grant(role: Role, arena: u64, segment: u32) -> Grant {
        let memory = Segment::create(PAGE).unwrap();
        if role == Role::Input {
            memory.seal_writers().unwrap();
        }
        Grant {
            arena: ArenaId(arena),
            segment: SegmentId(segment),
            bytes: PAGE,
            role,
            fd: memory.as_fd().try_clone_to_owned().unwrap(),
        }
    }

    fn slot(arena: u64, offset: u64, len: u64) -> SlotRef {
        SlotRef {
            arena: ArenaId(arena),
            segment: SegmentId(0),
            offset,
            len,
            generation: 1,
        }
    }

    #[test]
    fn a_slot_behind_its_segment_is_refused() {
        let mut arenas = Arenas::default();
        arenas.attach(grant(Role::Input, 1, 0)).unwrap();
        assert!(arenas.input(slot(1, PAGE - 8, 8)).is_ok());
        assert!(matches!(
            arenas.input(slot(1, PAGE - 8, 9)),
            Err(ArenaError::Bounds(_))
        ));
        assert!(matches!(
            arenas.input(slot(2, 0, 1)),
            Err(ArenaError::Unknown(_))
        ));
    }

    #[test]
    fn an_output_arena_is_no_input() {
        let mut arenas = Arenas::default();
        arenas.attach(grant(Role::Output, 1, 0)).unwrap();
        assert!(matches!(
            arenas.input(slot(1, 0, 1)),
            Err(ArenaError::Unknown(_))
        ));
        assert!(matches!(
            arenas.attach(grant(Role::Input, 1, 1)),
            Err(ArenaError::Twice(..))
        ));
    }

    #[test]
    fn an_input_segment_that_can_still_be_written_by_new_mappings_is_refused() {
        let unsealed = Grant {
            role: Role::Input,
            ..grant(Role::Output, 1, 0)
        };
        assert!(matches!(
            Arenas::default().attach(unsealed),
            Err(ArenaError::Unfit(..))
        ));
    }

    #[test]
    fn outputs_are_allocated_until_the_arena_is_full() {
        let mut arenas = Arenas::default();
        assert!(matches!(
            arenas.alloc(ArenaId(1), PAGE),
            Err(AllocError::Full { .. })
        ));
        arenas.attach(grant(Role::Output, 1, 0)).unwrap();
        let held = arenas.alloc(ArenaId(1), PAGE).unwrap();
        assert!(held.place.is_writable());
        assert!(matches!(
            arenas.alloc(ArenaId(1), 1),
            Err(AllocError::Full { bytes: 64 })
        ));
        assert!(arenas.free(held.slot));
        assert!(!arenas.free(held.slot));
        assert!(arenas.alloc(ArenaId(1), 1).is_ok());
    }

    #[test]
    fn a_detached_arena_is_forgotten_but_a_held_place_stays() {
        let mut arenas = Arenas::default();
        arenas.attach(grant(Role::Output, 1, 0)).unwrap();
        let held = arenas.alloc(ArenaId(1), 8).unwrap();
        arenas.detach(ArenaId(1));
        assert!(!arenas.free(held.slot));
        held.place.slice().copy_from(b"still ok").unwrap();
        assert!(arenas.attach(grant(Role::Output, 1, 0)).is_ok());
    }

    #[test]
    fn output_segments_idle_for_a_whole_turn_are_given_back_but_for_one() {
        let mut arenas = Arenas::default();
        for segment in 0..3 {
            arenas.attach(grant(Role::Output, 1, segment)).unwrap();
        }
        let held = arenas.alloc(ArenaId(1), PAGE).unwrap().slot;
        assert_eq!(arenas.trim(), []);
        assert_eq!(
            arenas.trim(),
            [1, 2].map(|segment| (ArenaId(1), SegmentId(segment)))
        );
        arenas.free(held);
        assert_eq!(arenas.trim(), []);
        assert!(arenas.alloc(ArenaId(1), PAGE).is_ok());
    }

    #[test]
    fn an_unmapped_input_segment_is_unknown() {
        let mut arenas = Arenas::default();
        arenas.attach(grant(Role::Input, 1, 0)).unwrap();
        arenas.unmap(ArenaId(1), SegmentId(0));
        let slot = SlotRef {
            arena: ArenaId(1),
            segment: SegmentId(0),
            offset: 0,
            len: 1,
            generation: 1,
        };
        assert!(matches!(arenas.input(slot), Err(ArenaError::Unknown(_))));
        assert!(arenas.attach(grant(Role::Input, 1, 0)).is_ok());
    }
}
