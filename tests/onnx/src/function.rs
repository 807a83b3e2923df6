//! FunctionProto.

use crate::model::opset_of;
use crate::wire::{message, text, texts};

/// A function: its domain and name, and what else is in it.
#[must_use]
pub fn of(domain_name: &str, name: &str, rest: &[u8]) -> Vec<u8> {
    [&text(1, name), rest, &domain(domain_name)].concat()
}

/// What it takes.
#[must_use]
pub fn inputs(names: &[&str]) -> Vec<u8> {
    texts(4, names)
}

/// What it gives.
#[must_use]
pub fn outputs(names: &[&str]) -> Vec<u8> {
    texts(5, names)
}

/// Attributes that its callers give.
#[must_use]
pub fn attributes(names: &[&str]) -> Vec<u8> {
    texts(6, names)
}

/// An attribute that its callers may give, and its value where they do not.
#[must_use]
pub fn attribute_with_default(attribute: &[u8]) -> Vec<u8> {
    message(11, attribute)
}

/// A node of its body.
#[must_use]
pub fn node(content: &[u8]) -> Vec<u8> {
    message(7, content)
}

/// A set of operators that its body uses.
#[must_use]
pub fn opset(domain: &str, version: u64) -> Vec<u8> {
    message(9, &opset_of(domain, version))
}

/// Its domain, alone.
#[must_use]
pub fn domain(domain: &str) -> Vec<u8> {
    text(10, domain)
}

/// Which of the functions of its name.
#[must_use]
pub fn overload(overload: &str) -> Vec<u8> {
    text(13, overload)
}
