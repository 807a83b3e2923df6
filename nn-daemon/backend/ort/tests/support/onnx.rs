//! Just enough of ONNX's protobuf to write a model of one operator.

/// f32, by ONNX's number.
pub(crate) const FLOAT: u64 = 1;

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 0x7f {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
    out
}

fn integer(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

fn message(field: u64, content: &[u8]) -> Vec<u8> {
    let length = varint(content.len() as u64);
    [&varint(field << 3 | 2), &length, content].concat()
}

fn value_info(name: &str, element: u64, dims: Option<&[u32]>) -> Vec<u8> {
    let shape = dims.map(|dims| {
        let dims: Vec<u8> = dims
            .iter()
            .flat_map(|&dim| message(1, &integer(1, u64::from(dim))))
            .collect();
        message(2, &dims)
    });
    let tensor = [integer(1, element), shape.unwrap_or_default()].concat();
    [
        message(1, name.as_bytes()),
        message(2, &message(1, &tensor)),
    ]
    .concat()
}

/// The initializer w: f32, of one dimension.
fn zeros(count: u32) -> Vec<u8> {
    let raw = vec![0; count as usize * 4];
    let head = [integer(1, u64::from(count)), integer(2, FLOAT)].concat();
    message(5, &[head, message(8, b"w"), message(9, &raw)].concat())
}

/// y = operator(x), or operator(x, w) where w is this many zeros that come with the model.
pub(crate) fn model(
    operator: &str,
    element: u64,
    dims: Option<&[u32]>,
    weights: Option<u32>,
) -> Vec<u8> {
    let w = weights.map(|_| message(1, b"w")).unwrap_or_default();
    let node = [
        message(1, b"x"),
        w,
        message(2, b"y"),
        message(4, operator.as_bytes()),
    ]
    .concat();
    let graph = [
        message(1, &node),
        message(2, b"one"),
        weights.map(zeros).unwrap_or_default(),
        message(11, &value_info("x", element, dims)),
        message(12, &value_info("y", element, dims)),
    ]
    .concat();
    let opset = [message(1, b""), integer(2, 17)].concat();
    [integer(1, 8), message(7, &graph), message(8, &opset)].concat()
}
