//! Seeds of `onnx_vet` with functions: right ones, and ones that are more, deeper or others than they seem.

use nn_onnx_writer::{attribute, function, graph, model, node, tensor};

use crate::Seed;

/// Models.
pub(crate) fn seeds() -> Vec<Seed> {
    let seed = |name, bytes| ("onnx_vet", name, bytes);
    let relu = bare("", "Relu");
    let twice = defined("f", &function::node(&bare("f", "g")).repeat(2));
    vec![
        seed(
            "called",
            of(
                &bare("f", "f"),
                &[twice, defined("g", &function::node(&relu))],
            ),
        ),
        seed("overloads", of(&overloaded("f", "o"), &overloads("o", "p"))),
        seed(
            "overloads-circle",
            of(&overloaded("f", "o"), &overloads("o", "o")),
        ),
        seed(
            "overload-of-none",
            of(&overloaded("f", "q"), &overloads("o", "p")),
        ),
        seed("given", giving(&graph::node(&relu).repeat(3))),
        seed("given-often", giving(&graph::node(&relu).repeat(30))),
        seed("given-circle", giving(&graph::node(&taker("f", "g", "a")))),
        seed("given-tensor", given_tensor()),
        seed("default", default()),
        seed("confused", confused()),
        seed("confused-call", of(&bare("f", "f:o"), &overloads("o", "p"))),
        seed("deep", deep()),
    ]
}

fn bare(domain: &str, op: &str) -> Vec<u8> {
    [node::op(op), node::domain(domain)].concat()
}

fn overloaded(op: &str, overload: &str) -> Vec<u8> {
    [bare("f", op), node::overload(overload)].concat()
}

/// A node that takes the attribute `a` of its function by another name.
fn taker(domain: &str, op: &str, name: &str) -> Vec<u8> {
    let reference = attribute::reference(name, "a", attribute::GRAPH);
    [bare(domain, op), node::attribute(&reference)].concat()
}

/// A function of the domain `f`.
fn defined(name: &str, rest: &[u8]) -> Vec<u8> {
    model::function(&function::of("f", name, rest))
}

/// A model of one node, and functions.
fn of(node: &[u8], functions: &[Vec<u8>]) -> Vec<u8> {
    [model::of(&graph::node(node), 17), functions.concat()].concat()
}

/// Functions `f` of two overloads and of none, each of which calls the next; the last may call the first.
fn overloads(first: &str, second: &str) -> [Vec<u8>; 3] {
    let to = |overload: &str| function::node(&overloaded("f", overload));
    let relu = function::node(&bare("", "Relu"));
    let last = if first == second { to(first) } else { relu };
    [
        defined("f", &[function::overload(first), to("p")].concat()),
        defined("f", &[function::overload("p"), to("")].concat()),
        defined("f", &[last.clone(), last].concat()),
    ]
}

/// A model that gives a graph of these nodes to a function, which hands it on twice to one that takes it.
fn giving(nodes: &[u8]) -> Vec<u8> {
    let given = node::attribute(&attribute::graph("a", nodes));
    let hands_on = function::node(&taker("f", "g", "a")).repeat(2);
    let takes = function::node(&taker("", "If", "then_branch"));
    let call = [bare("f", "f"), given].concat();
    of(&call, &[defined("f", &hands_on), defined("g", &takes)])
}

fn given_tensor() -> Vec<u8> {
    let weight = attribute::tensor("a", &tensor::floats("w", &[0.0; 8]));
    let call = [bare("f", "f"), node::attribute(&weight)].concat();
    let takes = function::node(&taker("", "Constant", "value")).repeat(3);
    of(&call, &[defined("f", &takes)])
}

fn default() -> Vec<u8> {
    let relu = graph::node(&bare("", "Relu"));
    let default = function::attribute_with_default(&attribute::graph("a", &relu));
    let takes = function::node(&taker("", "If", "then_branch"));
    of(&bare("f", "f"), &[defined("f", &[takes, default].concat())])
}

/// To ONNX Runtime both functions are one, which calls itself.
fn confused() -> Vec<u8> {
    let calls = function::node(&bare("a", "b:c"));
    let first = model::function(&function::of("a", "b:c", b""));
    let second = model::function(&function::of("a:b", "c", &calls));
    of(&bare("a:b", "c"), &[first, second])
}

/// A row of functions, each of which calls the next in a branch.
fn deep() -> Vec<u8> {
    let level = |index: usize| {
        let call = graph::node(&bare("f", &format!("f{}", index + 1)));
        let branch = node::attribute(&attribute::graph("then_branch", &call));
        let choice = function::node(&[bare("", "If"), branch].concat());
        defined(&format!("f{index}"), &choice)
    };
    let all: Vec<Vec<u8>> = (0..10).map(level).collect();
    of(&bare("f", "f0"), &[all.concat(), defined("f10", b"")])
}
