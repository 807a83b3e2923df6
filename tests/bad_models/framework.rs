//! Bad models that are for the framework to refuse, or to choke on: what stands in their way is the jail, the budget and
//! the deadline. Whether each is refused, fails or computes is the framework's affair; that it ends is ours.

use nn_onnx_writer::model::of as with_graph;
use nn_onnx_writer::tensor::{of as tensor, raw};
use nn_onnx_writer::wire::{message, number, text};
use nn_onnx_writer::{BOOL, FLOAT, INT64};

use crate::parts::{ends, float, graph_attribute, integer_attribute, integers, model, node, value};
use crate::{Bad, bad};

/// All of them.
pub(crate) fn all() -> Vec<Bad> {
    [
        wrong(),
        unversioned(),
        odd(),
        endless(),
        bombs(),
        more_bombs(),
    ]
    .concat()
}

fn of(name: &str, nodes: &[Vec<u8>]) -> Bad {
    bad(name, model(&[nodes.concat(), ends()].concat()), None)
}

fn wrong() -> Vec<Bad> {
    let relu = |from: &str, to: &str| node(&[from], &[to], "Relu", b"");
    let ints = value(11, "n", INT64, &[None]);
    vec![
        of(
            "a-circle",
            &[relu("b", "a"), relu("a", "b"), relu("b", "y")],
        ),
        of(
            "an-input-from-nowhere",
            &[node(&["x", "nowhere"], &["y"], "Add", b"")],
        ),
        of(
            "an-unknown-operator",
            &[node(&["x"], &["y"], "NoSuchOperator", b"")],
        ),
        of("no-operator", &[node(&["x"], &["y"], "", b"")]),
        of(
            "an-attribute-of-another-type",
            &[node(
                &["x"],
                &["y"],
                "Softmax",
                &message(5, &[text(1, "axis"), text(4, "x"), number(20, 3)].concat()),
            )],
        ),
        of(
            "an-attribute-of-no-type",
            &[node(
                &["x"],
                &["y"],
                "Softmax",
                &message(5, &[text(1, "axis"), number(20, 99)].concat()),
            )],
        ),
        of(
            "an-axis-far-away",
            &[node(
                &["x"],
                &["y"],
                "Softmax",
                &integer_attribute("axis", 1 << 40),
            )],
        ),
        of("one-output-twice", &[relu("x", "y"), relu("x", "y")]),
        of("too-many-inputs", &[node(&["x"; 200], &["y"], "Relu", b"")]),
        of("no-inputs", &[node(&[], &["y"], "Relu", b"")]),
        of(
            "types-that-differ",
            &[ints, node(&["x", "n"], &["y"], "Add", b"")],
        ),
        of("nothing-gives-the-output", &[]),
    ]
}

fn unversioned() -> Vec<Bad> {
    let relu = |from: &str, to: &str| node(&[from], &[to], "Relu", b"");
    let later = model(&[relu("x", "y"), ends()].concat());
    let later = [number(1, 9999), later[2..].to_vec()].concat();
    vec![
        bad("a-version-of-tomorrow", later, None),
        bad(
            "no-output",
            model(&[relu("x", "y"), value(11, "x", FLOAT, &[None])].concat()),
            None,
        ),
        bad("an-empty-graph", model(b""), None),
        bad(
            "no-opset",
            [number(1, 8), message(7, &[relu("x", "y"), ends()].concat())].concat(),
            None,
        ),
        bad(
            "an-opset-of-tomorrow",
            with_graph(&[relu("x", "y"), ends()].concat(), 9999),
            None,
        ),
        bad(
            "a-negative-opset",
            with_graph(&[relu("x", "y"), ends()].concat(), u64::MAX),
            None,
        ),
    ]
}

fn odd() -> Vec<Bad> {
    let named = |name: &str| {
        let nodes = node(&[name], &["y"], "Relu", b"");
        let ends = [
            value(11, name, FLOAT, &[None]),
            value(12, "y", FLOAT, &[None]),
        ]
        .concat();
        model(&[nodes, ends].concat())
    };
    let names = [
        "\x1b[2J\x1b]0;x\x07",
        "a\nb",
        "\u{202e}gpj.x",
        "/etc/passwd",
        "",
    ];
    let mut odd: Vec<Bad> = names
        .into_iter()
        .enumerate()
        .map(|(index, name)| bad(format!("an-odd-name-{index}"), named(name), None))
        .collect();
    odd.push(bad(
        "a-name-of-a-mebibyte",
        named(&"x".repeat(1 << 20)),
        None,
    ));
    let long = "Relu".repeat(1 << 18);
    odd.push(of(
        "an-operator-of-a-mebibyte",
        &[node(&["x"], &["y"], &long, b"")],
    ));
    let doc = text(6, &"y".repeat(8 << 20));
    odd.push(of(
        "words-of-eight-mebibytes",
        &[node(&["x"], &["y"], "Relu", &doc)],
    ));
    let unreadable = message(
        1,
        &[message(1, b"\xff\xfe"), text(2, "y"), text(4, "Relu")].concat(),
    );
    odd.push(of("a-name-that-is-no-text", &[unreadable]));
    odd
}

/// A loop without an end; what it starts from is `from`.
fn looped(from: &str) -> Vec<u8> {
    let body = [
        node(&["go"], &["on"], "Identity", b""),
        node(&["state"], &["next"], "Sqrt", b""),
        text(2, "b"),
        value(11, "turn", INT64, &[]),
        value(11, "go", BOOL, &[]),
        value(11, "state", FLOAT, &[None]),
        value(12, "on", BOOL, &[]),
        value(12, "next", FLOAT, &[None]),
    ];
    let yes = message(5, &tensor("yes", BOOL, &[], &raw(&[1])));
    let node = node(
        &["", "yes", from],
        &["y"],
        "Loop",
        &graph_attribute("body", &body.concat()),
    );
    [node, yes].concat()
}

fn endless() -> Vec<Bad> {
    vec![
        of("a-loop-without-end", &[looped("x")]),
        of(
            "a-loop-of-constants-without-end",
            &[looped("w"), float("w")],
        ),
    ]
}

/// So many floats are a gibibyte.
const GIB: i64 = 1 << 28;

fn unary(op: &str, inputs: &[&str]) -> Vec<u8> {
    node(inputs, &["y"], op, b"")
}

/// A few bytes that become gibibytes, while the model is loaded or while it computes.
fn bombs() -> Vec<Bad> {
    vec![
        of(
            "zeros-by-the-gibibyte",
            &[unary("ConstantOfShape", &["s"]), integers("s", &[GIB])],
        ),
        of(
            "zeros-by-the-tebibyte",
            &[
                unary("ConstantOfShape", &["s"]),
                integers("s", &[1 << 20, 1 << 20]),
            ],
        ),
        of(
            "zeros-beyond-all-numbers",
            &[
                unary("ConstantOfShape", &["s"]),
                integers("s", &[i64::MAX, i64::MAX]),
            ],
        ),
        of(
            "one-expanded",
            &[
                unary("Expand", &["w", "s"]),
                float("w"),
                integers("s", &[GIB]),
            ],
        ),
        of(
            "an-input-expanded",
            &[unary("Expand", &["x", "s"]), integers("s", &[GIB, 4])],
        ),
        of(
            "one-tiled",
            &[
                unary("Tile", &["w", "s"]),
                float("w"),
                integers("s", &[GIB]),
            ],
        ),
        of(
            "an-input-tiled",
            &[unary("Tile", &["x", "s"]), integers("s", &[GIB * 8])],
        ),
    ]
}

/// The same by doubling, and by arithmetic.
fn more_bombs() -> Vec<Bad> {
    let double = |from: &str, to: &str| {
        node(
            &[from, from],
            &[to],
            "Concat",
            &integer_attribute("axis", 0),
        )
    };
    let doubled = |first: &str| -> Vec<u8> {
        let name = |level: usize| match level {
            0 => first.to_owned(),
            32 => "y".to_owned(),
            level => format!("d{level}"),
        };
        (0..32)
            .flat_map(|level| double(&name(level), &name(level + 1)))
            .collect()
    };
    let far = [
        message(5, &tensor("end", FLOAT, &[], &raw(&1e12_f32.to_le_bytes()))),
        message(5, &tensor("zero", FLOAT, &[], &raw(&[0; 4]))),
        message(5, &tensor("step", FLOAT, &[], &raw(&1_f32.to_le_bytes()))),
    ]
    .concat();
    vec![
        of("one-doubled", &[doubled("w"), float("w")]),
        of("an-input-doubled", &[doubled("x")]),
        of(
            "one-padded",
            &[
                unary("Pad", &["w", "s"]),
                float("w"),
                integers("s", &[GIB, GIB]),
            ],
        ),
        of(
            "a-range-far-away",
            &[unary("Range", &["zero", "end", "step"]), far],
        ),
        of(
            "products-of-nothing",
            &[
                unary("MatMul", &["a", "b"]),
                node(&["s"], &["a"], "ConstantOfShape", b""),
                node(&["t"], &["b"], "ConstantOfShape", b""),
                integers("s", &[1 << 14, 1]),
                integers("t", &[1, 1 << 14]),
            ],
        ),
    ]
}
