//! ModelProto.

use crate::wire::{message, number, text};

/// The version of the format that models are written in, unless they say another.
pub const IR_VERSION: u64 = 8;

/// A model that frameworks take: version, a graph of that content, ONNX's operators of that version.
#[must_use]
pub fn of(graph_content: &[u8], opset_version: u64) -> Vec<u8> {
    let opset = opset("", opset_version);
    [ir_version(IR_VERSION), graph(graph_content), opset].concat()
}

/// The version of the format.
#[must_use]
pub fn ir_version(version: u64) -> Vec<u8> {
    number(1, version)
}

/// Who wrote it.
#[must_use]
pub fn producer(name: &str) -> Vec<u8> {
    text(2, name)
}

/// Words that frameworks skip: what makes files differ, and long.
#[must_use]
pub fn doc(words: &str) -> Vec<u8> {
    text(6, words)
}

/// The graph.
#[must_use]
pub fn graph(content: &[u8]) -> Vec<u8> {
    message(7, content)
}

/// A set of operators that the model uses.
#[must_use]
pub fn opset(domain: &str, version: u64) -> Vec<u8> {
    message(8, &opset_of(domain, version))
}

/// What such a set is inside, of a model or of a function.
#[must_use]
pub fn opset_of(domain: &str, version: u64) -> Vec<u8> {
    [text(1, domain), number(2, version)].concat()
}

/// An entry of the metadata.
#[must_use]
pub fn metadata(key: &str, value: &str) -> Vec<u8> {
    message(14, &[text(1, key), text(2, value)].concat())
}

/// A function of the model's own.
#[must_use]
pub fn function(content: &[u8]) -> Vec<u8> {
    message(25, content)
}
