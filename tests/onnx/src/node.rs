//! NodeProto.

use crate::wire::{message, text, texts};

/// A node: what it takes, what it gives, its operator.
#[must_use]
pub fn of(inputs: &[&str], outputs: &[&str], operator: &str) -> Vec<u8> {
    [texts(1, inputs), texts(2, outputs), op(operator)].concat()
}

/// Its name.
#[must_use]
pub fn name(name: &str) -> Vec<u8> {
    text(3, name)
}

/// Its operator, alone.
#[must_use]
pub fn op(operator: &str) -> Vec<u8> {
    text(4, operator)
}

/// An attribute.
#[must_use]
pub fn attribute(content: &[u8]) -> Vec<u8> {
    message(5, content)
}

/// The domain of its operator.
#[must_use]
pub fn domain(domain: &str) -> Vec<u8> {
    text(7, domain)
}

/// Which of the functions of its operator's name.
#[must_use]
pub fn overload(overload: &str) -> Vec<u8> {
    text(8, overload)
}
