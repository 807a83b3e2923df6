//! Models for these tests, as bytes: tiny ones that differ, and ones whose tensors point outside.

use std::fs;

use nn_onnx_writer::{BOOL, Dim, FLOAT, attribute, graph, model, node, tensor, value};
use nn_tests::{fake_model, tiny_model};

/// The operators of these models.
const OPSET: u64 = 17;

/// Gives its input back; every number gives other bytes.
pub(crate) fn echo(variant: usize) -> Vec<u8> {
    let bytes = fs::read(tiny_model("identity-fp32")).unwrap();
    [bytes, model::doc(&format!("variant {variant}"))].concat()
}

/// The same for the fake worker, padded to at least so many bytes.
pub(crate) fn fake_echo(variant: usize, padding: usize) -> Vec<u8> {
    let bytes = fs::read(fake_model("echo")).unwrap();
    let doc = format!("variant {variant} {}", "x".repeat(padding));
    [bytes, model::doc(&doc)].concat()
}

/// Like a model at first sight; the framework refuses it.
pub(crate) fn nonsense(variant: usize) -> Vec<u8> {
    let node = node::op(&format!("NoSuchOperator{variant}"));
    let content = [graph::node(&node), graph::name("g")];
    model::of(&content.concat(), OPSET)
}

/// Where a tensor with external data stands.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Initializer,
    Attribute,
    Subgraph,
}

/// A model one of whose tensors says that its 16 bytes lie in the file `location`.
pub(crate) fn external(place: Place, location: &str) -> Vec<u8> {
    let elsewhere = [
        tensor::external("location", location),
        tensor::external("offset", "0"),
        tensor::external("length", "16"),
        tensor::location(1),
    ];
    let tensor = tensor::of("weight", FLOAT, &[4], &elsewhere.concat());
    let constant = graph::node(&constant("weight", &tensor));
    let add = graph::node(&node::of(&["x", "weight"], &["y"], "Add"));
    let before = match place {
        Place::Initializer => graph::initializer(&tensor),
        Place::Attribute => constant,
        Place::Subgraph => [graph::node(&condition()), graph::node(&choice(&constant))].concat(),
    };
    let content = [
        before,
        add,
        graph::name("g"),
        graph::input(&vector("x")),
        graph::output(&vector("y")),
    ];
    model::of(&content.concat(), OPSET)
}

/// A node that gives that tensor.
fn constant(output: &str, tensor: &[u8]) -> Vec<u8> {
    let value = node::attribute(&attribute::tensor("value", tensor));
    [node::of(&[], &[output], "Constant"), value].concat()
}

/// The same for a truth: `true`.
fn condition() -> Vec<u8> {
    let yes = [tensor::unnamed(BOOL, &[]), tensor::raw(&[1])];
    constant("cond", &yes.concat())
}

/// weight = If(cond), both branches the same.
fn choice(constant: &[u8]) -> Vec<u8> {
    let weight = graph::output(&vector("weight"));
    let branch = [constant, &graph::name("b"), &weight].concat();
    let branch = |name: &str| node::attribute(&attribute::graph(name, &branch));
    let branches = [branch("then_branch"), branch("else_branch")].concat();
    [node::of(&["cond"], &["weight"], "If"), branches].concat()
}

/// Four floats.
fn vector(name: &str) -> Vec<u8> {
    value::of(name, FLOAT, Some(&[Dim::Fixed(4)]))
}
