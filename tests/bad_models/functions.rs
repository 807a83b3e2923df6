//! Bad models whose functions are more, deeper or others than they seem. What is not small here would keep ONNX Runtime
//! busy for a minute, or end it in a stack overflow.

use nn_onnx_writer::attribute::{self, GRAPH};
use nn_onnx_writer::{function, graph, model as whole, node as nodes};

use crate::parts::{bare_node, ends, model, node};
use crate::{Bad, bad};

/// All of them.
pub(crate) fn all() -> Vec<Bad> {
    let relu = node(&["x"], &["z"], "Relu", b"");
    let hands_itself_on = graph::node(&taker("f", "g", "a"));
    vec![
        bad("functions-read-alike", read_alike(), Some("name")),
        bad("a-call-read-as-another", of(b"", "f:o"), Some("name")),
        bad("an-overload-of-none", of_no_overload(), Some("custom-op")),
        bad(
            "a-graph-given-often",
            giving(&relu.repeat(100), 3),
            Some("nodes"),
        ),
        bad(
            "a-graph-given-to-itself",
            giving(&hands_itself_on, 1),
            Some("recursive-function"),
        ),
        bad(
            "four-thousand-functions-in-a-row",
            chain(4000, <[u8]>::to_vec),
            Some("depth"),
        ),
        bad("branches-through-functions", branches(), Some("depth")),
    ]
}

/// `y = op(x)` of the domain `f`.
fn call(op: &str) -> Vec<u8> {
    bare_node(&["x"], &["y"], op, &nodes::domain("f"))
}

/// A model that calls it, and what is beside its graph.
fn of(functions: &[u8], op: &str) -> Vec<u8> {
    let content = [ends(), graph::node(&call(op))].concat();
    [&model(&content), functions, &defined("g", b"")].concat()
}

/// A function of the domain `f`: y of x.
fn defined(name: &str, rest: &[u8]) -> Vec<u8> {
    let ends = [function::inputs(&["x"]), function::outputs(&["y"])].concat();
    let sets = [function::opset("", 17), function::opset("f", 1)].concat();
    whole::function(&function::of("f", name, &[&ends, &sets, rest].concat()))
}

/// A node that takes the attribute `a` of its function by another name.
fn taker(domain: &str, op: &str, name: &str) -> Vec<u8> {
    let reference = nodes::attribute(&attribute::reference(name, "a", GRAPH));
    let rest = [nodes::domain(domain), reference].concat();
    bare_node(&["x"], &["y"], op, &rest)
}

fn read_alike() -> Vec<u8> {
    let calls = function::node(&call("b:c"));
    let first = whole::function(&function::of("f", "b:c", &calls));
    let second = whole::function(&function::of("f:b", "c", b""));
    of(&[first, second].concat(), "b")
}

fn of_no_overload() -> Vec<u8> {
    let other = defined("f", &function::overload("o"));
    of(&other, "f")
}

/// A graph of these nodes given to a function, and handed on ten times in each of so many levels.
fn giving(content: &[u8], levels: usize) -> Vec<u8> {
    let given = nodes::attribute(&attribute::graph("a", content));
    let content = [ends(), graph::node(&[call("f0"), given].concat())].concat();
    let level = |index: usize| {
        let node = if index + 1 == levels {
            taker("", "If", "then_branch")
        } else {
            taker("f", &format!("f{}", index + 1), "a")
        };
        defined(&format!("f{index}"), &function::node(&node).repeat(10))
    };
    let functions: Vec<u8> = (0..levels).flat_map(level).collect();
    [model(&content), functions, defined("g", b"")].concat()
}

/// So many functions, each with one node that leads to the next.
fn chain(last: usize, to_next: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let level = |index: usize| {
        let node = to_next(&call(&format!("f{}", index + 1)));
        defined(&format!("f{index}"), &function::node(&node))
    };
    let functions: Vec<u8> = (0..last).flat_map(level).collect();
    let relu = function::node(&bare_node(&["x"], &["y"], "Relu", b""));
    let functions = [functions, defined(&format!("f{last}"), &relu)].concat();
    of(&functions, "f0")
}

/// Twelve functions, each of which calls the next in both branches of a choice.
fn branches() -> Vec<u8> {
    chain(12, |call| {
        let branch = |name| nodes::attribute(&attribute::graph(name, &graph::node(call)));
        let both = [branch("then_branch"), branch("else_branch")].concat();
        bare_node(&["x"], &["y"], "If", &both)
    })
}
