//! ValueInfoProto: a name, and the type of what bears it.

use crate::wire::{message, number, text};

/// A dimension of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dim<'a> {
    /// It says nothing.
    Unknown,
    /// It has a name.
    Named(&'a str),
    /// It has a size; negative ones are written as two's complement.
    Fixed(u64),
}

/// A tensor; no dimensions at all mean that there is no shape, which is not a shape of none.
#[must_use]
pub fn of(name: &str, data_type: u64, dims: Option<&[Dim<'_>]>) -> Vec<u8> {
    typed(name, &tensor_type(data_type, dims))
}

/// A value of a type that is written already.
#[must_use]
pub fn typed(name: &str, type_content: &[u8]) -> Vec<u8> {
    [text(1, name), message(2, type_content)].concat()
}

/// The TypeProto of a tensor.
#[must_use]
pub fn tensor_type(data_type: u64, dims: Option<&[Dim<'_>]>) -> Vec<u8> {
    let shape = |dims: &[Dim<'_>]| -> Vec<u8> {
        let dims: Vec<u8> = dims.iter().flat_map(dimension).collect();
        message(2, &dims)
    };
    let shape = dims.map(shape).unwrap_or_default();
    message(1, &[number(1, data_type), shape].concat())
}

/// Dimensions that all have sizes.
#[must_use]
pub fn fixed(dims: &[u32]) -> Vec<Dim<'static>> {
    dims.iter().map(|&dim| Dim::Fixed(dim.into())).collect()
}

fn dimension(dim: &Dim<'_>) -> Vec<u8> {
    let content = match *dim {
        Dim::Unknown => Vec::new(),
        Dim::Named(name) => text(2, name),
        Dim::Fixed(size) => number(1, size),
    };
    message(1, &content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_of_no_dimensions_is_not_no_shape() {
        assert_eq!(tensor_type(1, None), [0x0a, 2, 0x08, 1]);
        assert_eq!(tensor_type(1, Some(&[])), [0x0a, 4, 0x08, 1, 0x12, 0]);
    }

    #[test]
    fn dimensions_are_unknown_named_or_fixed() {
        let dims = [Dim::Unknown, Dim::Named("N"), Dim::Fixed(3)];
        let shape = [0x0a, 0, 0x0a, 3, 0x12, 1, b'N', 0x0a, 2, 0x08, 3];
        assert!(tensor_type(1, Some(&dims)).ends_with(&shape));
    }
}
