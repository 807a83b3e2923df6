//! Models by hand, each with one thing wrong.

mod bounds;
mod costs;
mod expansion;
mod external;
mod formats;
mod functions;
mod operators;
mod signatures;

use nn_onnx_writer::wire::{message, number, wrapped};
use nn_onnx_writer::{function, model as file, node, value};

use super::*;

const SMALLEST: &[u8] = &[0x08, 0x08, 0x3a, 0x00];

/// A model of these top-level fields, and a graph if they do not begin with one.
fn model(fields: &[u8]) -> Vec<u8> {
    let graph = if fields.first() == Some(&0x3a) {
        vec![]
    } else {
        file::graph(b"")
    };
    [&file::ir_version(8), fields, &graph].concat()
}

/// A model whose graph has this content.
fn graph(content: &[u8]) -> Vec<u8> {
    [file::ir_version(8), file::graph(content)].concat()
}

/// A node of a domain, alone.
fn bare(domain: &str, op: &str) -> Vec<u8> {
    [node::op(op), node::domain(domain)].concat()
}

/// The same in a graph, with a name.
fn in_graph(domain: &str, op: &str) -> Vec<u8> {
    message(1, &[node::name("n0"), bare(domain, op)].concat())
}

/// The same in a function.
fn in_function(domain: &str, op: &str) -> Vec<u8> {
    function::node(&bare(domain, op))
}

/// A function of a model: domain, name, nodes.
fn defined(domain: &str, name: &str, nodes: &[u8]) -> Vec<u8> {
    file::function(&function::of(domain, name, nodes))
}

/// A tensor `w` with data_location 1 and nothing else.
fn elsewhere() -> Vec<u8> {
    [message(8, b"w"), number(14, 1)].concat()
}

fn judged(model: &[u8]) -> Result<Vetted, Rule> {
    vet(model, "", &Rules::default()).map_err(|refusal| refusal.rule)
}

fn rule(model: &[u8]) -> Option<Rule> {
    judged(model).err()
}
