//! TensorProto.

use crate::wire::{message, number, text};
use crate::{FLOAT, INT64};

/// Where in a model a tensor may stand: the fields around it, the innermost first, as [`wrapped`] takes them.
///
/// [`wrapped`]: crate::wire::wrapped
pub const PLACES: [&[u32]; 14] = [
    // An initializer; sparse ones, values and indices.
    &[5, 7],
    &[1, 15, 7],
    &[2, 15, 7],
    // Attributes t, tensors, sparse_tensor, sparse_tensors of a node.
    &[5, 5, 1, 7],
    &[10, 5, 1, 7],
    &[1, 22, 5, 1, 7],
    &[2, 23, 5, 1, 7],
    // An initializer of a subgraph: attribute g, attribute graphs, and one in the other.
    &[5, 6, 5, 1, 7],
    &[5, 11, 5, 1, 7],
    &[5, 11, 5, 1, 6, 5, 1, 7],
    // A function: a node's attribute, an attribute's default.
    &[5, 5, 7, 25],
    &[5, 11, 25],
    // Training: initialization and algorithm.
    &[5, 1, 20],
    &[5, 2, 20],
];

/// A tensor: name, element type, dimensions, and its data, which [`raw`] and the fields of the values write.
#[must_use]
pub fn of(name: &str, data_type: u64, dims: &[u64], data: &[u8]) -> Vec<u8> {
    [&unnamed(data_type, dims), &text(8, name)[..], data].concat()
}

/// The same without a name and data: a value of an attribute's, to begin with.
#[must_use]
pub fn unnamed(data_type: u64, dims: &[u64]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|&dim| number(1, dim)).collect();
    [dims, number(2, data_type)].concat()
}

/// Its elements as bytes.
#[must_use]
pub fn raw(bytes: &[u8]) -> Vec<u8> {
    message(9, bytes)
}

/// A vector of 32-bit floats.
#[must_use]
pub fn floats(name: &str, values: &[f32]) -> Vec<u8> {
    vector(name, FLOAT, values.iter().map(|value| value.to_le_bytes()))
}

/// A vector of 64-bit integers.
#[must_use]
pub fn integers(name: &str, values: &[i64]) -> Vec<u8> {
    vector(name, INT64, values.iter().map(|value| value.to_le_bytes()))
}

fn vector<const LEN: usize>(
    name: &str,
    data_type: u64,
    elements: impl ExactSizeIterator<Item = [u8; LEN]>,
) -> Vec<u8> {
    // No slice is longer than 64 bits tell.
    let len = u64::try_from(elements.len()).unwrap_or(u64::MAX);
    let bytes: Vec<u8> = elements.flatten().collect();
    of(name, data_type, &[len], &raw(&bytes))
}

/// Where its elements are: 0 inside the file, 1 in another.
#[must_use]
pub fn location(location: u64) -> Vec<u8> {
    number(14, location)
}

/// What is said of the other file: `location`, `offset`, `length`.
#[must_use]
pub fn external(key: &str, value: &str) -> Vec<u8> {
    message(13, &[text(1, key), text(2, value)].concat())
}
