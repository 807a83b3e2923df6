//! Slots as a framework's inputs: the single place that decides to copy.
//!
//! Where clients of more than one uid share a worker, a client could change an index while the
//! framework uses it and have it read memory of others: integers, and whatever is so small that a copy
//! costs nothing, are copied first. So is a slot that lies where no element may begin.

use nn_backend::Bytes;
use nn_shm::{Place, ShmError};
use nn_tensor::DType;

/// Inputs of up to so many bytes are always copied in a shared worker.
const SMALL_BYTES_MAX: usize = 64 * 1024;

/// What private copies are aligned to.
const ALIGN: usize = 64;

/// The most copies kept for reuse, and the largest.
const SPARES_MAX: usize = 8;
const SPARE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How many bytes this worker has copied in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Copies {
    /// Inputs, to private memory.
    pub(crate) in_private_bytes: u64,
    /// Outputs, to their slots.
    pub(crate) out_copied_bytes: u64,
}

/// An input's bytes, held for a run.
#[derive(Debug)]
pub(crate) enum Source {
    /// To be read where they are.
    Slot(Place),
    /// Copied.
    Copy(Private),
}

/// Private memory, aligned.
#[derive(Debug, Default)]
pub(crate) struct Private {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

/// Private memory that is used again.
#[derive(Debug, Default)]
pub(crate) struct Spares(Vec<Private>);

/// Makes inputs of slots.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    spares: Spares,
    pub(crate) copies: Copies,
}

fn must_copy(shared: bool, dtype: DType, place: &Place) -> bool {
    let aligned =
        usize::try_from(dtype.size()).is_ok_and(|size| place.as_ptr().addr().is_multiple_of(size));
    !aligned || (shared && (dtype.is_integer() || place.len() <= SMALL_BYTES_MAX))
}

// === impl Source ===

impl Source {
    pub(crate) fn bytes(&self) -> Bytes<'_> {
        match self {
            Self::Slot(place) => Bytes::Shared(place),
            Self::Copy(private) => Bytes::Private(private.as_slice()),
        }
    }
}

// === impl Private ===

impl Private {
    pub(crate) fn as_slice(&self) -> &[u8] {
        let end = self.start.saturating_add(self.len);
        self.bytes.get(self.start..end).unwrap_or_default()
    }

    /// Room for so many bytes; what is in it is what was there before.
    pub(crate) fn room(&mut self, len: usize) -> &mut [u8] {
        let room = len.saturating_add(ALIGN);
        if self.bytes.len() < room {
            self.bytes = vec![0; room];
        }
        self.start = self.bytes.as_ptr().align_offset(ALIGN).min(ALIGN);
        self.len = len;
        let end = self.start.saturating_add(self.len);
        self.bytes.get_mut(self.start..end).unwrap_or_default()
    }

    /// Copies a slot: each of its bytes is read once.
    pub(crate) fn fill(&mut self, place: &Place) -> Result<(), ShmError> {
        place.slice().copy_to(self.room(place.len()))
    }
}

// === impl Spares ===

impl Spares {
    pub(crate) fn take(&mut self) -> Private {
        self.0.pop().unwrap_or_default()
    }

    pub(crate) fn give_back(&mut self, private: Private) {
        if private.bytes.len() <= SPARE_BYTES_MAX && self.0.len() < SPARES_MAX {
            self.0.push(private);
        }
    }
}

// === impl Inputs ===

impl Inputs {
    /// The bytes of an input, copied if they must be. `shared`: whether clients of more than one uid
    /// have used this worker.
    pub(crate) fn take(
        &mut self,
        place: Place,
        dtype: DType,
        shared: bool,
    ) -> Result<Source, ShmError> {
        if !must_copy(shared, dtype, &place) {
            return Ok(Source::Slot(place));
        }
        let mut private = self.spares.take();
        private.fill(&place)?;
        let bytes = u64::try_from(place.len()).unwrap_or(u64::MAX);
        self.copies.in_private_bytes = self.copies.in_private_bytes.saturating_add(bytes);
        Ok(Source::Copy(private))
    }

    /// The run is over.
    pub(crate) fn give_back(&mut self, sources: Vec<Source>) {
        for source in sources {
            if let Source::Copy(private) = source {
                self.spares.give_back(private);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use nn_shm::Segment;

    use super::*;

    /// One picture of 3 × 224 × 224, as f32.
    const PICTURE_BYTES: u64 = 588 * 1024;

    fn place(offset: u64, len: u64) -> Place {
        let mapping = Segment::create(1 << 20).unwrap().map_writer().unwrap();
        Arc::new(mapping).place(offset, len).unwrap()
    }

    #[test]
    fn a_picture_is_read_where_it_is() {
        let slot = place(0, PICTURE_BYTES);
        for shared in [false, true] {
            let mut inputs = Inputs::default();
            let source = inputs.take(slot.clone(), DType::Fp32, shared).unwrap();
            assert_eq!(source.bytes().as_ptr(), slot.as_ptr().cast_const());
            assert_eq!(inputs.copies, Copies::default());
        }
    }

    #[test]
    fn integers_and_small_inputs_of_a_shared_worker_are_copied() {
        assert!(must_copy(true, DType::I64, &place(0, PICTURE_BYTES)));
        assert!(must_copy(true, DType::U8, &place(0, PICTURE_BYTES)));
        assert!(must_copy(true, DType::Fp32, &place(0, 65_536)));
        assert!(!must_copy(true, DType::Fp32, &place(0, 65_540)));
        assert!(!must_copy(false, DType::I64, &place(0, 8)));
    }

    #[test]
    fn an_element_that_begins_nowhere_is_copied() {
        let slot = place(2, 8);
        slot.slice().copy_from(b"abcdefgh").unwrap();
        let mut inputs = Inputs::default();
        let source = inputs.take(slot, DType::Fp32, false).unwrap();
        assert!(source.bytes().as_ptr().addr().is_multiple_of(ALIGN));
        assert_eq!(source.bytes().to_vec().unwrap(), b"abcdefgh");
        assert_eq!(inputs.copies.in_private_bytes, 8);
    }

    #[test]
    fn a_copy_is_not_changed_by_its_client() {
        let slot = place(0, 8);
        slot.slice().copy_from(b"at first").unwrap();
        let source = Inputs::default()
            .take(slot.clone(), DType::I64, true)
            .unwrap();
        slot.slice().copy_from(b"and then").unwrap();
        assert_eq!(source.bytes().to_vec().unwrap(), b"at first");
    }

    #[test]
    fn memory_of_copies_is_used_again() {
        let mut inputs = Inputs::default();
        let first = inputs.take(place(0, 4096), DType::I64, true).unwrap();
        let before = first.bytes().as_ptr();
        inputs.give_back(vec![first]);
        let second = inputs.take(place(0, 4096), DType::I64, true).unwrap();
        assert_eq!(second.bytes().as_ptr(), before);
    }
}
