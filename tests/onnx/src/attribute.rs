//! AttributeProto. Each function gives one attribute's content: name, value, type.

use crate::wire::{float as float_field, message, number, text};

/// AttributeProto.AttributeType of a float.
pub const FLOAT: u64 = 1;
/// Of an integer.
pub const INT: u64 = 2;
/// Of a string.
pub const STRING: u64 = 3;
/// Of a tensor.
pub const TENSOR: u64 = 4;
/// Of a graph.
pub const GRAPH: u64 = 5;

/// A value that is written already, of that type.
#[must_use]
pub fn of(name: &str, value: &[u8], kind: u64) -> Vec<u8> {
    [&text(1, name), value, &number(20, kind)].concat()
}

/// A float.
#[must_use]
pub fn float(name: &str, value: f32) -> Vec<u8> {
    of(name, &float_field(2, value), FLOAT)
}

/// An integer; negative ones are written as two's complement.
#[must_use]
pub fn integer(name: &str, value: i64) -> Vec<u8> {
    of(name, &number(3, value.cast_unsigned()), INT)
}

/// A string.
#[must_use]
pub fn string(name: &str, value: &str) -> Vec<u8> {
    of(name, &text(4, value), STRING)
}

/// A tensor.
#[must_use]
pub fn tensor(name: &str, tensor: &[u8]) -> Vec<u8> {
    of(name, &message(5, tensor), TENSOR)
}

/// A graph: the body of a loop, a branch.
#[must_use]
pub fn graph(name: &str, content: &[u8]) -> Vec<u8> {
    of(name, &message(6, content), GRAPH)
}

/// Inside a function: what its caller gives for one of the function's attributes, of that type.
#[must_use]
pub fn reference(name: &str, of_function: &str, kind: u64) -> Vec<u8> {
    [text(1, name), number(20, kind), text(21, of_function)].concat()
}
