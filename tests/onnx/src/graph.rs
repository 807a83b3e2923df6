//! GraphProto.

use crate::wire::{message, text};

/// Its name.
#[must_use]
pub fn name(name: &str) -> Vec<u8> {
    text(2, name)
}

/// A node.
#[must_use]
pub fn node(content: &[u8]) -> Vec<u8> {
    message(1, content)
}

/// A constant tensor.
#[must_use]
pub fn initializer(tensor: &[u8]) -> Vec<u8> {
    message(5, tensor)
}

/// A value that it takes.
#[must_use]
pub fn input(value: &[u8]) -> Vec<u8> {
    message(11, value)
}

/// A value that it gives.
#[must_use]
pub fn output(value: &[u8]) -> Vec<u8> {
    message(12, value)
}

/// A value inside it whose type is told.
#[must_use]
pub fn annotated(value: &[u8]) -> Vec<u8> {
    message(13, value)
}

/// A constant tensor that is mostly zeros.
#[must_use]
pub fn sparse_initializer(sparse: &[u8]) -> Vec<u8> {
    message(15, sparse)
}
