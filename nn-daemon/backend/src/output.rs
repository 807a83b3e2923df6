//! Where the results of a run go.

use std::sync::Arc;

use nn_shm::{Place, Segment, ShmError};
use nn_tensor::{DType, Shape};

/// Gives outputs their places. The worker's is a session's out arena.
pub trait OutputSink {
    /// A writable place of exactly the bytes that dtype and shape ask for, aligned to 64, for the
    /// signature's output number `index`: before the run where the shape is known, else after it.
    /// Once for each output of a run. Its content is what was there before, not zeros.
    fn reserve(&mut self, index: usize, dtype: DType, shape: Shape) -> Result<Place, SinkError>;
}

/// Why an output has no place.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// There is no room, and will be none for this run.
    #[error("no room for an output of {bytes} bytes")]
    Full {
        /// Bytes of the output.
        bytes: u64,
    },
    /// The shape is beyond what can be described.
    #[error("an output of {dtype} {shape} is too large")]
    TooLarge {
        /// Element type.
        dtype: DType,
        /// Dimensions.
        shape: Shape,
    },
    /// Nobody waits for outputs any more: the run is to end.
    #[error("the run was given up")]
    GivenUp,
    /// Shared memory did not work.
    #[error("no memory for an output")]
    Memory(#[source] ShmError),
}

/// A sink that keeps every output in memory of its own: for warming up, and for tests.
#[derive(Debug, Default)]
pub struct Scratch {
    outputs: Vec<Option<(DType, Shape, Place)>>,
}

// === impl Scratch ===

impl Scratch {
    /// The output number `index`: element type, dimensions, bytes.
    pub fn output(&self, index: usize) -> Option<(DType, Shape, Vec<u8>)> {
        let (dtype, shape, place) = self.outputs.get(index)?.as_ref()?;
        Some((*dtype, *shape, place.slice().to_vec().ok()?))
    }

    /// Where the output number `index` lies.
    #[must_use]
    pub fn place(&self, index: usize) -> Option<&Place> {
        self.outputs.get(index)?.as_ref().map(|(_, _, place)| place)
    }
}

impl OutputSink for Scratch {
    fn reserve(&mut self, index: usize, dtype: DType, shape: Shape) -> Result<Place, SinkError> {
        let bytes = shape
            .byte_len(dtype)
            .map_err(|_| SinkError::TooLarge { dtype, shape })?;
        if let Some(Some((last, dims, place))) = self.outputs.get(index)
            && (*last, *dims) == (dtype, shape)
        {
            return Ok(place.clone());
        }
        let mapping = Segment::create(bytes.max(1))
            .and_then(|segment| segment.map_writer())
            .map_err(SinkError::Memory)?;
        let place = Arc::new(mapping)
            .place(0, bytes)
            .map_err(SinkError::Memory)?;
        if self.outputs.len() <= index {
            self.outputs.resize(index.saturating_add(1), None);
        }
        if let Some(output) = self.outputs.get_mut(index) {
            *output = Some((dtype, shape, place.clone()));
        }
        Ok(place)
    }
}
