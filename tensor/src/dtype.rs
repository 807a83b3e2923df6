//! Element types and their sizes. It knows nothing of any framework's or protocol's numbering.

use std::fmt;

/// The element type of a tensor: the seven of `wasi:nn@0.2.0-rc-2024-10-28`, little-endian in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// IEEE 754 half precision, 2 bytes.
    Fp16,
    /// IEEE 754 single precision, 4 bytes.
    Fp32,
    /// IEEE 754 double precision, 8 bytes.
    Fp64,
    /// bfloat16, 2 bytes.
    Bf16,
    /// Unsigned 8-bit integer.
    U8,
    /// Signed 32-bit integer.
    I32,
    /// Signed 64-bit integer.
    I64,
}

impl DType {
    /// Every element type, in wasi-nn's order.
    pub const ALL: [Self; 7] = [
        Self::Fp16,
        Self::Fp32,
        Self::Fp64,
        Self::Bf16,
        Self::U8,
        Self::I32,
        Self::I64,
    ];

    /// Bytes of one element.
    #[must_use]
    pub const fn size(self) -> u64 {
        match self {
            Self::U8 => 1,
            Self::Fp16 | Self::Bf16 => 2,
            Self::Fp32 | Self::I32 => 4,
            Self::Fp64 | Self::I64 => 8,
        }
    }

    /// Whether elements are integers: their values may index memory inside a framework.
    #[must_use]
    pub const fn is_integer(self) -> bool {
        match self {
            Self::U8 | Self::I32 | Self::I64 => true,
            Self::Fp16 | Self::Fp32 | Self::Fp64 | Self::Bf16 => false,
        }
    }

    /// The lower-case name that people read: `fp32`, `i64`, …
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
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
