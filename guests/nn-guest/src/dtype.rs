//! The seven element types: their names as a person types them (`fp32`, `u8`), and their sizes.

use std::fmt;
use std::str::FromStr;

use crate::{Code, Failure};

/// The type of a tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DType {
    /// IEEE half precision, 2 bytes.
    Fp16,
    /// IEEE single precision, 4 bytes: Rust's `f32`.
    Fp32,
    /// IEEE double precision, 8 bytes: Rust's `f64`.
    Fp64,
    /// The upper half of a single, 2 bytes. No core module can pass it to a model.
    Bf16,
    /// Unsigned, 1 byte.
    U8,
    /// Signed, 4 bytes.
    I32,
    /// Signed, 8 bytes.
    I64,
}

// === impl DType ===

impl DType {
    /// Every type, in the order of the component's interface.
    pub const ALL: [Self; 7] = [
        Self::Fp16,
        Self::Fp32,
        Self::Fp64,
        Self::Bf16,
        Self::U8,
        Self::I32,
        Self::I64,
    ];

    /// The name, in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fp16 => "fp16",
            Self::Fp32 => "fp32",
            Self::Fp64 => "fp64",
            Self::Bf16 => "bf16",
            Self::U8 => "u8",
            Self::I32 => "i32",
            Self::I64 => "i64",
        }
    }

    /// How many bytes one element takes.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::Fp16 | Self::Bf16 => 2,
            Self::Fp32 | Self::I32 => 4,
            Self::Fp64 | Self::I64 => 8,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for DType {
    type Err = Failure;

    fn from_str(name: &str) -> Result<Self, Failure> {
        let found = Self::ALL.into_iter().find(|dtype| dtype.name() == name);
        found.ok_or_else(|| {
            Failure::of(Code::InvalidArgument, "there is no such element type")
                .expected("fp16, fp32, fp64, bf16, u8, i32 or i64")
                .got(name)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_back_to_its_type() {
        let parsed = DType::ALL.map(|dtype| dtype.name().parse());
        assert_eq!(parsed, DType::ALL.map(Ok));
    }

    #[test]
    fn unknown_name_is_refused_with_those_that_are_known() {
        let failure = "float".parse::<DType>().unwrap_err();
        assert_eq!(failure.code, Code::InvalidArgument);
        assert!(failure.text.ends_with("got: float"), "{failure}");
    }
}
