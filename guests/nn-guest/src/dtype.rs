//! Names and sizes of the seven element types. The names are the ones a person types: `fp32`, `u8`.

use crate::TensorType;

/// Every element type, in the order of the interface.
pub const ALL_TYPES: [TensorType; 7] = [
    TensorType::Fp16,
    TensorType::Fp32,
    TensorType::Fp64,
    TensorType::Bf16,
    TensorType::U8,
    TensorType::I32,
    TensorType::I64,
];

/// The name of a type, in lower case.
#[must_use]
pub const fn type_name(ty: TensorType) -> &'static str {
    match ty {
        TensorType::Fp16 => "fp16",
        TensorType::Fp32 => "fp32",
        TensorType::Fp64 => "fp64",
        TensorType::Bf16 => "bf16",
        TensorType::U8 => "u8",
        TensorType::I32 => "i32",
        TensorType::I64 => "i64",
    }
}

/// The type that [`type_name`] calls `name`, if there is one.
#[must_use]
pub fn parse_type(name: &str) -> Option<TensorType> {
    ALL_TYPES.into_iter().find(|&ty| type_name(ty) == name)
}

/// How many bytes one element takes.
#[must_use]
pub const fn type_size(ty: TensorType) -> usize {
    match ty {
        TensorType::U8 => 1,
        TensorType::Fp16 | TensorType::Bf16 => 2,
        TensorType::Fp32 | TensorType::I32 => 4,
        TensorType::Fp64 | TensorType::I64 => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_back_to_its_type() {
        assert_eq!(
            ALL_TYPES.map(|ty| parse_type(type_name(ty))),
            ALL_TYPES.map(Some)
        );
    }

    #[test]
    fn unknown_name_is_none() {
        assert_eq!(parse_type("float"), None);
    }
}
