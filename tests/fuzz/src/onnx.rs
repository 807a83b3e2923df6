//! ONNX models as a protobuf parser sees that builds messages, as frameworks do: what leads to tensors and nodes, and
//! what becomes of them when functions are replaced.

use std::collections::HashMap;

use prost::Message;

/// What a model should not have, and how much of something that it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// A tensor that has its bytes elsewhere.
    pub elsewhere: bool,
    /// A node that stands for compiled code.
    pub compiled: bool,
    /// Options of the framework among the metadata.
    pub configures: bool,
    /// Nodes of all graphs and functions.
    pub nodes: u64,
}

/// Reads a model; `None` where the file is none.
#[must_use]
pub fn read(file: &[u8]) -> Option<Found> {
    let model = Model::decode(file).ok()?;
    let mut nodes = Vec::new();
    model.nodes(&mut nodes);
    Some(Found {
        elsewhere: model.is_elsewhere(),
        compiled: nodes.iter().any(|node| node.op_type == b"EPContext"),
        configures: model
            .metadata
            .iter()
            .any(|entry| entry.key == b"ort_config"),
        nodes: u64::try_from(nodes.len()).unwrap_or(u64::MAX),
    })
}

/// How many nodes a model's graph has when each call of a function has been replaced by its body, node after node, as a
/// framework does; `None` where that is more than so many, or has no end.
#[must_use]
pub fn inlined(file: &[u8], max: u64) -> Option<u64> {
    let Ok(model) = Model::decode(file) else {
        return Some(0);
    };
    let functions = model.functions.iter();
    let functions = functions.map(|of| (key(&of.domain, &of.name, &of.overload), of));
    let mut inliner = Inliner {
        functions: functions.collect(),
        nodes: 0,
        max,
    };
    let graph = model.graph.as_ref()?;
    inliner.nodes(&graph.nodes, &HashMap::new())?;
    Some(inliner.nodes)
}

/// onnx.proto's ModelProto, as far as it leads to tensors; so with the others.
#[derive(Clone, PartialEq, Message)]
struct Model {
    #[prost(message, optional, tag = "7")]
    graph: Option<Graph>,
    #[prost(message, repeated, tag = "14")]
    metadata: Vec<Entry>,
    #[prost(message, repeated, tag = "20")]
    training: Vec<Training>,
    #[prost(message, repeated, tag = "25")]
    functions: Vec<Function>,
}

#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct Training {
    #[prost(message, optional, tag = "1")]
    initialization: Option<Graph>,
    #[prost(message, optional, tag = "2")]
    algorithm: Option<Graph>,
}

#[derive(Clone, PartialEq, Message)]
struct Function {
    #[prost(bytes = "vec", tag = "1")]
    name: Vec<u8>,
    #[prost(bytes = "vec", tag = "10")]
    domain: Vec<u8>,
    #[prost(bytes = "vec", tag = "13")]
    overload: Vec<u8>,
    #[prost(message, repeated, tag = "7")]
    nodes: Vec<Node>,
    #[prost(message, repeated, tag = "11")]
    defaults: Vec<Attribute>,
}

#[derive(Clone, PartialEq, Message)]
struct Graph {
    #[prost(message, repeated, tag = "1")]
    nodes: Vec<Node>,
    #[prost(message, repeated, tag = "5")]
    initializers: Vec<Tensor>,
    #[prost(message, repeated, tag = "15")]
    sparse: Vec<Sparse>,
}

#[derive(Clone, PartialEq, Message)]
struct Node {
    #[prost(bytes = "vec", tag = "4")]
    op_type: Vec<u8>,
    #[prost(bytes = "vec", tag = "7")]
    domain: Vec<u8>,
    #[prost(bytes = "vec", tag = "8")]
    overload: Vec<u8>,
    #[prost(message, repeated, tag = "5")]
    attributes: Vec<Attribute>,
}

#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(bytes = "vec", tag = "1")]
    name: Vec<u8>,
    #[prost(bytes = "vec", tag = "21")]
    reference: Vec<u8>,
    #[prost(message, optional, tag = "5")]
    tensor: Option<Tensor>,
    #[prost(message, optional, tag = "6")]
    graph: Option<Graph>,
    #[prost(message, repeated, tag = "10")]
    tensors: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    graphs: Vec<Graph>,
    #[prost(message, optional, tag = "22")]
    sparse: Option<Sparse>,
    #[prost(message, repeated, tag = "23")]
    sparse_ones: Vec<Sparse>,
}

#[derive(Clone, PartialEq, Message)]
struct Sparse {
    #[prost(message, optional, tag = "1")]
    values: Option<Tensor>,
    #[prost(message, optional, tag = "2")]
    indices: Option<Tensor>,
}

#[derive(Clone, PartialEq, Message)]
struct Tensor {
    #[prost(bytes = "vec", repeated, tag = "13")]
    external_data: Vec<Vec<u8>>,
    #[prost(int32, tag = "14")]
    data_location: i32,
}

// === where tensors are ===

impl Model {
    fn is_elsewhere(&self) -> bool {
        self.graph.iter().any(Graph::is_elsewhere)
            || self.training.iter().any(|training| {
                let graphs = [&training.initialization, &training.algorithm];
                graphs.into_iter().flatten().any(Graph::is_elsewhere)
            })
            || self.functions.iter().any(|function| {
                function.nodes.iter().any(Node::is_elsewhere)
                    || function.defaults.iter().any(Attribute::is_elsewhere)
            })
    }
}

impl Graph {
    fn is_elsewhere(&self) -> bool {
        self.nodes.iter().any(Node::is_elsewhere)
            || self.initializers.iter().any(Tensor::is_elsewhere)
            || self.sparse.iter().any(Sparse::is_elsewhere)
    }
}

impl Node {
    fn is_elsewhere(&self) -> bool {
        self.attributes.iter().any(Attribute::is_elsewhere)
    }
}

impl Attribute {
    fn is_elsewhere(&self) -> bool {
        self.tensor
            .iter()
            .chain(&self.tensors)
            .any(Tensor::is_elsewhere)
            || self
                .graph
                .iter()
                .chain(&self.graphs)
                .any(Graph::is_elsewhere)
            || self
                .sparse
                .iter()
                .chain(&self.sparse_ones)
                .any(Sparse::is_elsewhere)
    }
}

impl Sparse {
    fn is_elsewhere(&self) -> bool {
        self.values
            .iter()
            .chain(&self.indices)
            .any(Tensor::is_elsewhere)
    }
}

impl Tensor {
    fn is_elsewhere(&self) -> bool {
        self.data_location != 0 || !self.external_data.is_empty()
    }
}

// === which nodes there are ===

impl Model {
    fn nodes<'a>(&'a self, all: &mut Vec<&'a Node>) {
        let training = self.training.iter();
        let training =
            training.flat_map(|training| [&training.initialization, &training.algorithm]);
        let graphs = training.flatten().chain(&self.graph);
        graphs.for_each(|graph| graph.nodes(all));
        for function in &self.functions {
            function.nodes.iter().for_each(|node| node.nodes(all));
            let defaults = function.defaults.iter();
            defaults.for_each(|attribute| attribute.nodes(all));
        }
    }
}

impl Graph {
    fn nodes<'a>(&'a self, all: &mut Vec<&'a Node>) {
        self.nodes.iter().for_each(|node| node.nodes(all));
    }
}

impl Node {
    fn nodes<'a>(&'a self, all: &mut Vec<&'a Self>) {
        all.push(self);
        let attributes = self.attributes.iter();
        attributes.for_each(|attribute| attribute.nodes(all));
    }
}

impl Attribute {
    fn nodes<'a>(&'a self, all: &mut Vec<&'a Node>) {
        let graphs = self.graph.iter().chain(&self.graphs);
        graphs.for_each(|graph| graph.nodes(all));
    }
}

// === what becomes of functions ===

/// What a call gives for the attributes of its function.
type Given<'a> = HashMap<&'a [u8], &'a Attribute>;

struct Inliner<'a> {
    functions: HashMap<Vec<u8>, &'a Function>,
    nodes: u64,
    max: u64,
}

/// As ONNX Runtime finds functions.
fn key(domain: &[u8], name: &[u8], overload: &[u8]) -> Vec<u8> {
    let domain = if domain == b"ai.onnx" { b"" } else { domain };
    let mut parts = vec![domain, name];
    if !overload.is_empty() {
        parts.push(overload);
    }
    parts.join(&b':')
}

impl<'a> Inliner<'a> {
    fn nodes(&mut self, nodes: &'a [Node], given: &Given<'a>) -> Option<()> {
        nodes.iter().try_for_each(|node| self.node(node, given))
    }

    /// Each node is counted before anything is in it, so that whatever has no end comes to one.
    fn node(&mut self, node: &'a Node, given: &Given<'a>) -> Option<()> {
        self.nodes += 1;
        if self.nodes > self.max {
            return None;
        }
        let attributes = node.attributes.iter().filter_map(|attribute| {
            let value = if attribute.reference.is_empty() {
                Some(attribute)
            } else {
                given.get(&attribute.reference[..]).copied()
            };
            value.map(|value| (&attribute.name[..], value))
        });
        let attributes: Vec<(&[u8], &Attribute)> = attributes.collect();
        let key = key(&node.domain, &node.op_type, &node.overload);
        if let Some(&function) = self.functions.get(&key) {
            let defaults = function.defaults.iter();
            let defaults = defaults.map(|attribute| (&attribute.name[..], attribute));
            let given = defaults.chain(attributes).collect();
            return self.nodes(&function.nodes, &given);
        }
        for (_, attribute) in attributes {
            for graph in attribute.graph.iter().chain(&attribute.graphs) {
                self.nodes(&graph.nodes, given)?;
            }
        }
        Some(())
    }
}
