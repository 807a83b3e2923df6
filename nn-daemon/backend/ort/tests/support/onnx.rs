//! Models of one operator.

use nn_onnx_writer::value::fixed;
use nn_onnx_writer::{FLOAT, graph, model, node, tensor, value};

/// y = operator(x), or operator(x, w) where w is this many zeros that come with the model.
pub(crate) fn model(
    operator: &str,
    element: u64,
    dims: Option<&[u32]>,
    weights: Option<u32>,
) -> Vec<u8> {
    let inputs = if weights.is_some() {
        &["x", "w"][..]
    } else {
        &["x"]
    };
    let dims = dims.map(fixed);
    let end = |name: &str| value::of(name, element, dims.as_deref());
    let graph = [
        graph::node(&node::of(inputs, &["y"], operator)),
        graph::name("one"),
        weights.map(zeros).unwrap_or_default(),
        graph::input(&end("x")),
        graph::output(&end("y")),
    ];
    model::of(&graph.concat(), 17)
}

/// The initializer w: f32, of one dimension.
fn zeros(count: u32) -> Vec<u8> {
    let raw = tensor::raw(&vec![0; count as usize * 4]);
    graph::initializer(&tensor::of("w", FLOAT, &[count.into()], &raw))
}
