//! The parts that bad models are made of, over those that any model is made of.

use nn_onnx_writer::wire::message;
use nn_onnx_writer::{
    Dim, FLOAT, attribute, graph, model as whole, node as nodes, tensor, value as values,
};

/// The operators of models that say nothing else.
const OPSET: u64 = 17;

/// A model of a graph's content.
pub(crate) fn model(content: &[u8]) -> Vec<u8> {
    whole::of(&[content, &graph::name("g")].concat(), OPSET)
}

/// A node: inputs, outputs, type, what else is in it.
pub(crate) fn node(inputs: &[&str], outputs: &[&str], op: &str, rest: &[u8]) -> Vec<u8> {
    graph::node(&bare_node(inputs, outputs, op, rest))
}

/// The same, for elsewhere than in the graph.
pub(crate) fn bare_node(inputs: &[&str], outputs: &[&str], op: &str, rest: &[u8]) -> Vec<u8> {
    [&nodes::of(inputs, outputs, op), rest].concat()
}

/// An initializer of 64-bit integers.
pub(crate) fn integers(name: &str, values: &[i64]) -> Vec<u8> {
    graph::initializer(&tensor::integers(name, values))
}

/// An initializer that is one float.
pub(crate) fn float(name: &str) -> Vec<u8> {
    graph::initializer(&tensor::floats(name, &[1.0]))
}

/// An input (11), output (12) or annotated value (13). A dimension of `None` is any.
pub(crate) fn value(field: u32, name: &str, data_type: u64, dims: &[Option<u64>]) -> Vec<u8> {
    let dims = dims.iter();
    let dims: Vec<Dim<'_>> = dims
        .map(|dim| dim.map_or(Dim::Named("N"), Dim::Fixed))
        .collect();
    message(field, &values::of(name, data_type, Some(&dims)))
}

/// Input x and output y, floats of one dimension.
pub(crate) fn ends() -> Vec<u8> {
    [
        value(11, "x", FLOAT, &[None]),
        value(12, "y", FLOAT, &[None]),
    ]
    .concat()
}

pub(crate) fn integer_attribute(name: &str, value: i64) -> Vec<u8> {
    nodes::attribute(&attribute::integer(name, value))
}

pub(crate) fn graph_attribute(name: &str, content: &[u8]) -> Vec<u8> {
    nodes::attribute(&attribute::graph(name, content))
}

pub(crate) fn tensor_attribute(name: &str, content: &[u8]) -> Vec<u8> {
    nodes::attribute(&attribute::tensor(name, content))
}
