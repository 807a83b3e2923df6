//! A tensor as it travels in messages: everything but its bytes.

use std::fmt;

use crate::{DType, Fault, NAME_BYTES_MAX, Reason, Shape, SlotError, SlotRef};

/// The name of an input or output: 1 to [`NAME_BYTES_MAX`] bytes of UTF-8. What it means is the
/// model's business; a decimal index names an input by position.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorName(Box<str>);

/// Name, dtype, shape and place of one tensor; [`Descriptor::new`] has checked that they agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    name: TensorName,
    dtype: DType,
    shape: Shape,
    slot: SlotRef,
}

// === impl TensorName ===

impl TensorName {
    /// Takes a name that is neither empty nor longer than [`NAME_BYTES_MAX`] bytes.
    pub fn new(name: &str) -> Result<Self, Fault> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(Fault::of(Reason::InputName)
                .message("a tensor name of unusable length")
                .expected(format!("1 to {NAME_BYTES_MAX} bytes"))
                .got(format!("{} bytes", name.len())));
        }
        Ok(Self(name.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TensorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Descriptor ===

impl Descriptor {
    /// A descriptor whose slot is exactly as long as dtype and shape ask for.
    pub fn new(name: TensorName, dtype: DType, shape: Shape, slot: SlotRef) -> Result<Self, Fault> {
        let expected = shape
            .byte_len(dtype)
            .map_err(|e| Fault::of(Reason::TensorSize).message(e.to_string()))?;
        if slot.len != expected {
            let error = SlotError::Length {
                expected,
                got: slot.len,
            };
            return Err(Fault::of(Reason::TensorLength)
                .message(format!("tensor {name}: {error}"))
                .expected(format!("{expected} bytes for {dtype} {shape}"))
                .got(format!("{} bytes", slot.len)));
        }
        Ok(Self {
            name,
            dtype,
            shape,
            slot,
        })
    }

    /// Which input or output this is.
    #[must_use]
    pub fn name(&self) -> &TensorName {
        &self.name
    }

    /// Element type.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Dimensions.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Where the bytes are.
    #[must_use]
    pub fn slot(&self) -> SlotRef {
        self.slot
    }
}
