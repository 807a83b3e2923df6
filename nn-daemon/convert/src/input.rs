//! One input on its way to the model.

use std::fmt;

use nn_tensor::{DType, Fault, Reason, Shape};

use crate::cast::cast;
use crate::declare::short;
use crate::picture::PictureStep;
use crate::resize::Resizing;

/// What is done to one input.
#[derive(Clone, Debug)]
pub struct InputStep {
    pub(crate) name: String,
    pub(crate) dtype: DType,
    pub(crate) kind: Kind,
}

/// How.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// From this element type.
    Cast(DType),
    Picture(PictureStep),
}

/// Memory that conversions use again and again.
#[derive(Default)]
pub struct Scratch {
    pub(crate) resizing: Resizing,
    /// Outputs between two steps.
    pub(crate) between: Vec<u8>,
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch").finish_non_exhaustive()
    }
}

/// A tensor's length as a number of bytes in memory.
pub(crate) fn bytes_of(dtype: DType, shape: Shape) -> Result<usize, Fault> {
    let bytes = shape.byte_len(dtype);
    let bytes = bytes.map_err(|error| Fault::too_large(error.to_string()))?;
    usize::try_from(bytes).map_err(|_| Fault::too_large("a tensor beyond what memory can hold"))
}

/// Our own caller's buffers do not fit: no guest can bring that about.
pub(crate) fn misplaced() -> Fault {
    Fault::runtime("a conversion was given the wrong amount of memory")
}

// === impl Scratch ===

impl Scratch {
    /// Gives back what is larger than that, in bytes.
    pub fn rest(&mut self, kept_bytes_max: usize) {
        if self.between.capacity() > kept_bytes_max {
            self.between = Vec::new();
        }
    }
}

// === impl InputStep ===

impl InputStep {
    /// What the model takes of what a client gives: element type, dimensions, and how many bytes it has. Fails where a
    /// picture has sides that none can have.
    pub fn makes(&self, given: Shape) -> Result<(DType, Shape, usize), Fault> {
        let shape = match &self.kind {
            Kind::Cast(_) => given,
            Kind::Picture(picture) => picture.makes(&self.name, given)?,
        };
        Ok((self.dtype, shape, bytes_of(self.dtype, shape)?))
    }

    /// The memory that it takes besides, in bytes.
    #[must_use]
    pub fn scratch_bytes(&self, given: Shape) -> usize {
        match &self.kind {
            Kind::Cast(_) => 0,
            Kind::Picture(picture) => picture.scratch_bytes(given),
        }
    }

    /// Converts. `to` has as many bytes as [`InputStep::makes`] says; all of them are written.
    ///
    /// Fails where a number has no place in the model's type, told with which and where.
    pub fn convert(
        &self,
        (given, bytes): (Shape, &[u8]),
        to: &mut [u8],
        scratch: &mut Scratch,
    ) -> Result<(), Fault> {
        let (_, _, len) = self.makes(given)?;
        if to.len() != len {
            return Err(misplaced());
        }
        match &self.kind {
            Kind::Cast(from) => {
                if bytes.len() != bytes_of(*from, given)? {
                    return Err(misplaced());
                }
                cast((*from, bytes), (self.dtype, to)).map_err(|misfit| {
                    let name = short(&self.name);
                    Fault::of(Reason::InputUnconverted).message(format!(
                        "input {name} has a number that {} does not have",
                        self.dtype
                    ))
                    .expected(format!("numbers within the range of {}", self.dtype))
                    .got(format!("{} as element {}", misfit.value, misfit.index))
                    .hint("the model takes another element type than its model.toml lets clients send; `nnctl describe` shows both")
                })
            }
            Kind::Picture(picture) => {
                if bytes.len() != bytes_of(DType::U8, given)? {
                    return Err(misplaced());
                }
                picture.convert(given, bytes, to, &mut scratch.resizing)
            }
        }
    }
}
