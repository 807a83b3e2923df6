//! What a model says it takes and gives.

use nn_onnx_writer::{Dim, graph as of_graph, tensor};

use super::*;

fn outputs(name: &str, data_type: u64, dims: &[Dim<'_>]) -> Vec<u8> {
    graph(&of_graph::output(&value::of(name, data_type, Some(dims))))
}

#[test]
fn the_signature_is_what_the_graph_declares_without_its_initializers() {
    let negative = Dim::Fixed(u64::MAX);
    let dims = [Dim::Named("N"), Dim::Fixed(3), negative];
    let model = graph(
        &[
            of_graph::input(&value::of("x", 1, Some(&dims))),
            of_graph::input(&value::of("w", 1, Some(&[Dim::Fixed(3)]))),
            of_graph::output(&value::of("y", 7, Some(&[]))),
            of_graph::initializer(&tensor::floats("w", &[0.0; 3])),
        ]
        .concat(),
    );
    let vetted = judged(&model).unwrap();
    let signature = vetted.signature.clone().unwrap();
    let shown = |specs: &[nn_tensor::TensorSpec]| -> Vec<String> {
        specs
            .iter()
            .map(|spec| format!("{} {spec}", spec.name))
            .collect()
    };
    assert_eq!(shown(&signature.inputs), ["x fp32 [?, 3, ?]"]);
    assert_eq!(shown(&signature.outputs), ["y i64 []"]);
    assert_eq!(
        (vetted.about.parameter_bytes, vetted.about.ir_version),
        (12, 8)
    );
}

#[test]
fn a_signature_that_cannot_be_served_is_none() {
    let boolean = outputs("y", nn_onnx_writer::BOOL, &[]);
    let untyped = graph(&of_graph::output(&message(1, b"y")));
    assert_eq!(judged(&boolean).unwrap().signature, None);
    assert_eq!(judged(&untyped).unwrap().signature, None);
}

#[test]
fn a_worker_may_know_shapes_better_but_no_other_names_or_types() {
    let of = |name: &str, data_type: u64, dim: Dim<'_>| {
        judged(&outputs(name, data_type, &[dim])).unwrap()
    };
    let said = of("y", 1, Dim::Unknown);
    let agrees = |other: &Vetted| said.agrees_with(other.signature.as_ref().unwrap());
    assert_eq!(agrees(&of("y", 1, Dim::Fixed(5))), Ok(()));
    assert_eq!(
        agrees(&of("z", 1, Dim::Unknown)).unwrap_err().got,
        "() -> (\"z\" fp32)"
    );
    assert!(agrees(&of("y", 7, Dim::Unknown)).is_err());
}
