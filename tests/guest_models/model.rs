//! Models for these tests, as bytes: tiny ones that differ, and ones whose tensors point outside.

use std::fs;

use nn_tests::{fake_model, tiny_model};

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
    bytes
}

fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

fn message(field: u64, content: &[u8]) -> Vec<u8> {
    let len = varint(u64::try_from(content.len()).unwrap());
    [varint(field << 3 | 2), len, content.to_vec()].concat()
}

fn text(field: u64, value: &str) -> Vec<u8> {
    message(field, value.as_bytes())
}

/// Gives its input back; every number gives other bytes.
pub(crate) fn echo(variant: usize) -> Vec<u8> {
    let bytes = fs::read(tiny_model("identity-fp32")).unwrap();
    [bytes, text(6, &format!("variant {variant}"))].concat()
}

/// The same for the fake worker, padded to at least so many bytes.
pub(crate) fn fake_echo(variant: usize, padding: usize) -> Vec<u8> {
    let bytes = fs::read(fake_model("echo")).unwrap();
    let doc = format!("variant {variant} {}", "x".repeat(padding));
    [bytes, text(6, &doc)].concat()
}

/// Like a model at first sight; the framework refuses it.
pub(crate) fn nonsense(variant: usize) -> Vec<u8> {
    let node = message(1, &text(4, &format!("NoSuchOperator{variant}")));
    let graph = [node, text(2, "g")].concat();
    [ir_version(), message(7, &graph), opset()].concat()
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
    let entry = |key: &str, value: &str| message(13, &[text(1, key), text(2, value)].concat());
    let tensor = [
        number(1, 4),
        number(2, 1),
        text(8, "weight"),
        entry("location", location),
        entry("offset", "0"),
        entry("length", "16"),
        number(14, 1),
    ]
    .concat();
    let constant = constant(&tensor);
    let (initializer, nodes) = match place {
        Place::Initializer => (message(5, &tensor), add()),
        Place::Attribute => (Vec::new(), [constant, add()].concat()),
        Place::Subgraph => (Vec::new(), [condition(), choice(&constant), add()].concat()),
    };
    let graph = [
        nodes,
        text(2, "g"),
        initializer,
        message(11, &vector("x")),
        message(12, &vector("y")),
    ]
    .concat();
    [ir_version(), message(7, &graph), opset()].concat()
}

fn ir_version() -> Vec<u8> {
    number(1, 8)
}

fn opset() -> Vec<u8> {
    message(8, &[text(1, ""), number(2, 17)].concat())
}

/// y = x + weight
fn add() -> Vec<u8> {
    let node = [
        text(1, "x"),
        text(1, "weight"),
        text(2, "y"),
        text(4, "Add"),
    ];
    message(1, &node.concat())
}

/// weight = Constant(value)
fn constant(tensor: &[u8]) -> Vec<u8> {
    let value = [text(1, "value"), message(5, tensor), number(20, 4)].concat();
    let node = [text(2, "weight"), text(4, "Constant"), message(5, &value)];
    message(1, &node.concat())
}

/// A constant `true`.
fn condition() -> Vec<u8> {
    let tensor = [number(2, 9), message(9, &[1])].concat();
    let value = [text(1, "value"), message(5, &tensor), number(20, 4)].concat();
    let node = [text(2, "cond"), text(4, "Constant"), message(5, &value)];
    message(1, &node.concat())
}

/// weight = If(cond), both branches the same.
fn choice(constant: &[u8]) -> Vec<u8> {
    let branch = [
        constant.to_vec(),
        text(2, "b"),
        message(12, &vector("weight")),
    ]
    .concat();
    let branch = |name: &str| {
        let attribute = [text(1, name), message(6, &branch), number(20, 5)].concat();
        message(5, &attribute)
    };
    let node = [
        text(1, "cond"),
        text(2, "weight"),
        text(4, "If"),
        branch("then_branch"),
        branch("else_branch"),
    ];
    message(1, &node.concat())
}

/// A ValueInfoProto: four floats.
fn vector(name: &str) -> Vec<u8> {
    let shape = message(2, &message(1, &number(1, 4)));
    let tensor = [number(1, 1), shape].concat();
    [text(1, name), message(2, &message(1, &tensor))].concat()
}
