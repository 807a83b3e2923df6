//! Models by hand: protobuf's wire format, and the parts of onnx.proto that bad models are made of.

pub(crate) const FLOAT: u64 = 1;
pub(crate) const INT64: u64 = 7;
pub(crate) const BOOL: u64 = 9;

pub(crate) fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
    bytes
}

pub(crate) fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

pub(crate) fn message(field: u64, content: &[u8]) -> Vec<u8> {
    let len = varint(u64::try_from(content.len()).unwrap());
    [varint(field << 3 | 2), len, content.to_vec()].concat()
}

pub(crate) fn text(field: u64, value: &str) -> Vec<u8> {
    message(field, value.as_bytes())
}

/// `content` wrapped in messages by their field numbers, the innermost first.
pub(crate) fn wrapped(content: &[u8], fields: &[u64]) -> Vec<u8> {
    let wrap = |inner: Vec<u8>, &field: &u64| message(field, &inner);
    fields.iter().fold(content.to_vec(), wrap)
}

/// A model of a graph's content.
pub(crate) fn model(graph: &[u8]) -> Vec<u8> {
    with_graph(&[graph, &text(2, "g")].concat(), 17)
}

/// The same with another opset, and no name of its own.
pub(crate) fn with_graph(graph: &[u8], opset: u64) -> Vec<u8> {
    let opset = [text(1, ""), number(2, opset)].concat();
    [number(1, 8), message(7, graph), message(8, &opset)].concat()
}

/// A node: inputs, outputs, type, what else is in it.
pub(crate) fn node(inputs: &[&str], outputs: &[&str], op: &str, rest: &[u8]) -> Vec<u8> {
    message(1, &bare_node(inputs, outputs, op, rest))
}

pub(crate) fn bare_node(inputs: &[&str], outputs: &[&str], op: &str, rest: &[u8]) -> Vec<u8> {
    let inputs: Vec<u8> = inputs.iter().flat_map(|name| text(1, name)).collect();
    let outputs: Vec<u8> = outputs.iter().flat_map(|name| text(2, name)).collect();
    [inputs, outputs, text(4, op), rest.to_vec()].concat()
}

/// A tensor: name, type, dimensions, data.
pub(crate) fn tensor(name: &str, data_type: u64, dims: &[u64], data: &[u8]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|&dim| number(1, dim)).collect();
    [dims, number(2, data_type), text(8, name), data.to_vec()].concat()
}

pub(crate) fn raw(bytes: &[u8]) -> Vec<u8> {
    message(9, bytes)
}

/// An initializer of 64-bit integers.
pub(crate) fn integers(name: &str, values: &[i64]) -> Vec<u8> {
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let len = u64::try_from(values.len()).unwrap();
    message(5, &tensor(name, INT64, &[len], &raw(&bytes)))
}

/// An initializer that is one float.
pub(crate) fn float(name: &str) -> Vec<u8> {
    message(5, &tensor(name, FLOAT, &[1], &raw(&1_f32.to_le_bytes())))
}

/// An input (11), output (12) or annotated value (13). A dimension of `None` is any.
pub(crate) fn value(field: u64, name: &str, data_type: u64, dims: &[Option<u64>]) -> Vec<u8> {
    let dim =
        |dim: &Option<u64>| message(1, &dim.map_or_else(|| text(2, "N"), |dim| number(1, dim)));
    let shape: Vec<u8> = dims.iter().flat_map(dim).collect();
    let tensor = [number(1, data_type), message(2, &shape)].concat();
    message(
        field,
        &[text(1, name), message(2, &message(1, &tensor))].concat(),
    )
}

/// Input x and output y, floats of one dimension.
pub(crate) fn ends() -> Vec<u8> {
    [
        value(11, "x", FLOAT, &[None]),
        value(12, "y", FLOAT, &[None]),
    ]
    .concat()
}

pub(crate) fn integer_attribute(name: &str, value: u64) -> Vec<u8> {
    message(
        5,
        &[text(1, name), number(3, value), number(20, 2)].concat(),
    )
}

pub(crate) fn graph_attribute(name: &str, graph: &[u8]) -> Vec<u8> {
    message(
        5,
        &[text(1, name), message(6, graph), number(20, 5)].concat(),
    )
}

pub(crate) fn tensor_attribute(name: &str, tensor: &[u8]) -> Vec<u8> {
    message(
        5,
        &[text(1, name), message(5, tensor), number(20, 4)].concat(),
    )
}
