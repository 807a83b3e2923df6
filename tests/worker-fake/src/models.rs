//! Makes the files of `models/`, which are real ONNX models with a graph's name that the fake knows.
//! `NN_BLESS=1 cargo test -p nn-worker-fake` writes them.

use std::fs;
use std::path::Path;

use nn_onnx_writer::{Dim, FLOAT, INT64, graph, model, node, value};

/// What a tensor is here: its elements, and a vector of any length or a single one.
type Kind = (u64, &'static [Dim<'static>]);

const VECTOR: Kind = (FLOAT, &[Dim::Named("N")]);
const SCALAR: Kind = (INT64, &[]);

fn model(name: &str, operator: &str, kind: Kind, inputs: &[&str], output: &str) -> Vec<u8> {
    let value = |name: &str| value::of(name, kind.0, Some(kind.1));
    let inner = |name: &&str| graph::input(&value(name));
    let graph = [
        graph::node(&node::of(inputs, &[output], operator)),
        graph::name(name),
        inputs.iter().flat_map(inner).collect(),
        graph::output(&value(output)),
    ];
    [
        model::ir_version(model::IR_VERSION),
        model::producer("nn-worker-fake"),
        model::graph(&graph.concat()),
        model::opset("", 17),
    ]
    .concat()
}

fn all() -> [(&'static str, Vec<u8>); 8] {
    [
        ("echo", model("fake-echo", "Identity", VECTOR, &["x"], "y")),
        ("add", model("fake-add", "Add", VECTOR, &["a", "b"], "c")),
        (
            "sleep",
            model("fake-sleep", "Identity", SCALAR, &["ms"], "slept"),
        ),
        (
            "count",
            model("fake-count", "Identity", SCALAR, &["ms"], "run"),
        ),
        (
            "deaf",
            model("fake-deaf", "Identity", SCALAR, &["ms"], "slept"),
        ),
        (
            "stuck",
            model("fake-stuck", "Identity", SCALAR, &["ms"], "never"),
        ),
        (
            "broken",
            model("fake-broken", "Identity", SCALAR, &["how"], "never"),
        ),
        (
            "crash",
            model("fake-crash", "Identity", SCALAR, &["how"], "never"),
        ),
    ]
}

#[test]
fn the_checked_in_models_are_fresh() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let bless = std::env::var_os("NN_BLESS").is_some();
    for (name, bytes) in all() {
        let path = folder.join(format!("{name}.onnx"));
        if bless {
            fs::write(&path, &bytes).unwrap();
        }
        assert_eq!(
            fs::read(&path).unwrap_or_default(),
            bytes,
            "{name}: run with NN_BLESS=1"
        );
    }
}

#[test]
fn every_model_names_itself() {
    let names =
        all().map(|(name, bytes)| crate::graph::name(&bytes) == Some(&format!("fake-{name}")));
    assert_eq!(names, [true; 8]);
}
