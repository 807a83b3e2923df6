//! A bounded part of a mapping that another process may be writing. Copies in, copies out, smaller
//! parts; never a reference to the bytes.

use crate::{Mapping, ShmError};

/// A part of a [`Mapping`], inside its bounds by construction.
#[derive(Clone, Copy, Debug)]
pub struct VolatileSlice<'a> {
    mapping: &'a Mapping,
    offset: usize,
    len: usize,
}

impl<'a> VolatileSlice<'a> {
    /// The caller has checked that the range lies inside the mapping.
    pub(crate) fn new(mapping: &'a Mapping, offset: usize, len: usize) -> Self {
        Self {
            mapping,
            offset,
            len,
        }
    }

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

    /// Copies all its bytes to `to`, once; fails unless `to` has the same length.
    pub fn copy_to(&self, to: &mut [u8]) -> Result<(), ShmError> {
        self.same_len(to.len())?;
        self.mapping.copy_out(self.offset, to)
    }

    /// Copies `from` over all its bytes; fails unless `from` has the same length.
    pub fn copy_from(&self, from: &[u8]) -> Result<(), ShmError> {
        self.same_len(from.len())?;
        self.mapping.copy_in(self.offset, from)
    }

    /// Its bytes, copied to a vector.
    pub fn to_vec(&self) -> Result<Vec<u8>, ShmError> {
        let mut bytes = vec![0; self.len];
        self.copy_to(&mut bytes)?;
        Ok(bytes)
    }

    fn same_len(&self, other: usize) -> Result<(), ShmError> {
        if other == self.len {
            return Ok(());
        }
        let wide = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        Err(ShmError::Bounds {
            offset: wide(self.offset),
            len: wide(other),
            size: wide(self.len),
        })
    }
}
