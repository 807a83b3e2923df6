//! What goes into a run. Bytes that another process may change are a [`Place`], never a `&[u8]`.

use nn_shm::{Place, ShmError};
use nn_tensor::{DType, Shape};

/// One input tensor.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The model's name for it.
    pub name: &'a str,
    /// Element type.
    pub dtype: DType,
    /// Dimensions.
    pub shape: Shape,
    /// As many bytes as both ask for, aligned to the element's size.
    pub bytes: Bytes<'a>,
}

/// Where an input's bytes lie.
#[derive(Clone, Copy, Debug)]
pub enum Bytes<'a> {
    /// In shared memory: to be read in place, by code that minds no change meanwhile.
    Shared(&'a Place),
    /// In this process alone.
    Private(&'a [u8]),
}

// === impl Bytes ===

impl Bytes<'_> {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Shared(place) => place.len(),
            Self::Private(bytes) => bytes.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first one: good for [`len`](Self::len) reads during the borrow.
    #[must_use]
    pub fn as_ptr(&self) -> *const u8 {
        match self {
            Self::Shared(place) => place.as_ptr().cast_const(),
            Self::Private(bytes) => bytes.as_ptr(),
        }
    }

    /// A copy.
    pub fn to_vec(&self) -> Result<Vec<u8>, ShmError> {
        match self {
            Self::Shared(place) => place.slice().to_vec(),
            Self::Private(bytes) => Ok(bytes.to_vec()),
        }
    }
}
