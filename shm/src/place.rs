//! A part of a mapping that keeps the mapping alive: what a job holds of an arena, for a framework
//! that reads or writes there by itself. Safe code; whoever uses [`Place::as_ptr`] needs unsafe.

use std::sync::Arc;

use crate::{Mapping, ShmError, VolatileSlice};

/// A run of bytes of a [`Mapping`], inside its bounds by construction, which stay mapped as long as
/// this value lives.
#[derive(Clone, Debug)]
pub struct Place {
    mapping: Arc<Mapping>,
    offset: usize,
    len: usize,
}

// === impl Mapping ===

impl Mapping {
    /// A part of it that keeps it alive; fails when it does not lie inside.
    pub fn place(self: &Arc<Self>, offset: u64, len: u64) -> Result<Place, ShmError> {
        let (offset, len) = self.range(offset, len)?;
        Ok(Place {
            mapping: Arc::clone(self),
            offset,
            len,
        })
    }
}

// === impl Place ===

impl Place {
    /// Number of bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the bytes may be written.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.mapping.is_writable()
    }

    /// The first byte: valid for [`len`](Self::len) reads as long as this value lives, and for as
    /// many writes if it [`is_writable`](Self::is_writable). Another process may write there too.
    #[must_use]
    pub fn as_ptr(&self) -> *mut u8 {
        self.mapping.base().wrapping_add(self.offset)
    }

    /// The same bytes, to copy in or out.
    #[must_use]
    pub fn slice(&self) -> VolatileSlice<'_> {
        VolatileSlice::new(&self.mapping, self.offset, self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Segment;

    #[test]
    fn a_place_outlives_the_owner_of_its_mapping() {
        let mapping = Arc::new(Segment::create(4096).unwrap().map_writer().unwrap());
        let place = mapping.place(64, 3).unwrap();
        drop(mapping);
        place.slice().copy_from(b"abc").unwrap();
        assert_eq!(place.slice().to_vec().unwrap(), b"abc");
    }

    #[test]
    fn a_place_outside_the_mapping_is_refused() {
        let mapping = Arc::new(Segment::create(4096).unwrap().map_writer().unwrap());
        assert!(mapping.place(4096, 0).is_ok());
        assert!(mapping.place(4096, 1).is_err());
        assert!(mapping.place(u64::MAX, 2).is_err());
    }
}
