//! Makes the files of `models/`, which are real ONNX models with a graph's name that the fake knows.
//! `NN_BLESS=1 cargo test -p nn-worker-fake` writes them.

use std::fs;
use std::path::Path;

const FLOAT: u64 = 1;
const INT64: u64 = 7;

/// What a dimension may be here: a vector of any length, or nothing.
#[derive(Clone, Copy)]
enum Rank {
    Scalar,
    Vector,
}

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
    let len = varint(u64::try_from(content.len()).expect("a small model"));
    [varint(field << 3 | 2), len, content.to_vec()].concat()
}

fn text(field: u64, value: &str) -> Vec<u8> {
    message(field, value.as_bytes())
}

fn value_info(name: &str, element: u64, rank: Rank) -> Vec<u8> {
    let dims = match rank {
        Rank::Scalar => Vec::new(),
        Rank::Vector => message(1, &text(2, "N")),
    };
    let tensor = [integer(1, element), message(2, &dims)].concat();
    [text(1, name), message(2, &message(1, &tensor))].concat()
}

fn model(name: &str, operator: &str, kind: (u64, Rank), inputs: &[&str], output: &str) -> Vec<u8> {
    let (element, rank) = kind;
    let mut node: Vec<u8> = inputs.iter().flat_map(|input| text(1, input)).collect();
    node.extend(text(2, output));
    node.extend(text(4, operator));
    let mut graph = message(1, &node);
    graph.extend(text(2, name));
    for input in inputs {
        graph.extend(message(11, &value_info(input, element, rank)));
    }
    graph.extend(message(12, &value_info(output, element, rank)));
    let opset = [text(1, ""), integer(2, 17)].concat();
    let producer = text(2, "nn-worker-fake");
    [
        integer(1, 8),
        producer,
        message(7, &graph),
        message(8, &opset),
    ]
    .concat()
}

fn all() -> [(&'static str, Vec<u8>); 7] {
    let vector = (FLOAT, Rank::Vector);
    let scalar = (INT64, Rank::Scalar);
    [
        ("echo", model("fake-echo", "Identity", vector, &["x"], "y")),
        ("add", model("fake-add", "Add", vector, &["a", "b"], "c")),
        (
            "sleep",
            model("fake-sleep", "Identity", scalar, &["ms"], "slept"),
        ),
        (
            "deaf",
            model("fake-deaf", "Identity", scalar, &["ms"], "slept"),
        ),
        (
            "stuck",
            model("fake-stuck", "Identity", scalar, &["ms"], "never"),
        ),
        (
            "broken",
            model("fake-broken", "Identity", scalar, &["how"], "never"),
        ),
        (
            "crash",
            model("fake-crash", "Identity", scalar, &["how"], "never"),
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
    assert_eq!(names, [true; 7]);
}
