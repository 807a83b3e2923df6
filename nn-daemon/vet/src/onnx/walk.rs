//! The walk through a model: every message that a framework reads, in the order of the bytes, once. It reads the wire
//! format in place and builds nothing, so that a model of many tiny messages costs no memory, and a field that comes
//! twice is seen twice.

use super::functions::{Body, Functions};
use super::schema::{self, Holds, Kind};
use super::signature::{bytes, varint};
use super::tensor;
use super::wire::{Value, fields};
use crate::refusal::{Refusal, Rule, quoted};
use crate::rules::{DEPTH_MAX, MESSAGE_DEPTH_MAX, RANK_MAX, Rules};

/// Domains whose operators are served: ONNX's own, and ONNX Runtime's.
const DOMAINS: [&[u8]; 7] = [
    b"",
    b"ai.onnx",
    b"ai.onnx.ml",
    b"ai.onnx.preview",
    b"ai.onnx.preview.training",
    b"ai.onnx.training",
    b"com.microsoft",
];

/// Beginnings of domains that are ONNX's or ONNX Runtime's too, and not for models: their optimiser's own, other
/// devices', what is not there yet.
const RESERVED: [&[u8]; 3] = [b"ai.onnx.", b"com.microsoft.", b"com.ms."];

/// Entries of a model's metadata that a framework takes its options from.
const CONFIG_KEYS: [&[u8]; 1] = [b"ort_config"];

/// ModelProto.
const FUNCTION: u32 = 25;

/// What a walk has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    /// Nodes, each call of a function counted with its body.
    pub(super) nodes: u64,
    /// Bytes of tensors.
    pub(super) parameter_bytes: u64,
    /// Fields and numbers that were read.
    pub(super) steps: u64,
}

/// How far down a message is.
#[derive(Clone, Copy, Debug)]
struct Depth {
    messages: u32,
    graphs: u32,
    body: Body,
}

#[derive(Debug)]
struct Walker<'a> {
    rules: &'a Rules,
    functions: Functions<'a>,
    nodes: u64,
    values: u64,
    bodies: Body,
    sums: Sums,
}

/// Walks a model whose top level can be read.
pub(super) fn model(model: &[u8], rules: &Rules) -> Result<Sums, Refusal> {
    let functions = fields(model).filter_map(|field| match field {
        Ok((FUNCTION, Value::Bytes(function))) => Some(function),
        _ => None,
    });
    let mut walker = Walker {
        rules,
        functions: Functions::of(functions, rules.nodes_max)?,
        nodes: 0,
        values: 0,
        bodies: 0,
        sums: Sums::default(),
    };
    let top = Depth {
        messages: 0,
        graphs: 0,
        body: 0,
    };
    walker.walk(Kind::Model, model, top)?;
    let mut sums = walker.sums;
    sums.nodes = walker.functions.expanded()?;
    if sums.nodes > rules.nodes_max {
        return Err(too_many(Rule::Nodes, rules.nodes_max).got(format!(
            "{} with each call of a function replaced",
            sums.nodes
        )));
    }
    Ok(sums)
}

fn too_many(rule: Rule, max: u64) -> Refusal {
    Refusal::new(rule)
        .expected(format!("at most {max}"))
        .got("more")
}

impl<'a> Walker<'a> {
    fn walk(&mut self, kind: Kind, message: &'a [u8], depth: Depth) -> Result<(), Refusal> {
        let depth = Depth {
            messages: depth.messages.saturating_add(1),
            ..depth
        };
        if depth.messages > MESSAGE_DEPTH_MAX {
            return Err(Refusal::new(Rule::Depth).expected(format!(
                "at most {MESSAGE_DEPTH_MAX} messages inside each other"
            )));
        }
        let (mut seen, mut index) = (0_u32, 0_u64);
        for field in fields(message) {
            self.sums.steps = self.sums.steps.saturating_add(1);
            let (number, value) = field?;
            let Some(holds) = schema::field(kind, number) else {
                continue;
            };
            if !holds.fits(value) {
                return Err(Refusal::new(Rule::Malformed)
                    .got(format!("field {number} of another type"))
                    .inside(&place(kind, message)));
            }
            let bit = schema::once(kind, number, holds);
            if seen & bit != 0 {
                return Err(Refusal::new(Rule::DuplicateField)
                    .expected("each field once")
                    .got(format!("field {number} again"))
                    .inside(&place(kind, message)));
            }
            seen |= bit;
            let (Holds::One(inner) | Holds::Each(inner), Value::Bytes(content)) = (holds, value)
            else {
                continue;
            };
            let entered = self.enter((kind, inner), content, depth);
            entered.map_err(|refusal| match inner {
                Kind::Node => refusal.inside(&node(content, index)),
                Kind::Attribute | Kind::Value | Kind::Function => {
                    refusal.inside(&place(inner, content))
                }
                _ => refusal,
            })?;
            if inner == Kind::Node {
                index = index.saturating_add(1);
            }
        }
        Ok(())
    }

    /// A message inside another: what is to be judged of it alone, then what is in it.
    fn enter(
        &mut self,
        (outer, kind): (Kind, Kind),
        message: &'a [u8],
        mut depth: Depth,
    ) -> Result<(), Refusal> {
        match kind {
            Kind::Tensor => {
                if outer == Kind::Graph {
                    self.value()?;
                }
                let seen = tensor::judge(message)?;
                self.sums.steps = self.sums.steps.saturating_add(seen.steps);
                self.sums.parameter_bytes = self.sums.parameter_bytes.saturating_add(seen.bytes);
                return Ok(());
            }
            Kind::Graph if outer == Kind::Attribute => {
                depth.graphs = depth.graphs.saturating_add(1);
                if depth.graphs > DEPTH_MAX {
                    return Err(Refusal::new(Rule::Depth)
                        .expected(format!("at most {DEPTH_MAX} subgraphs inside each other")));
                }
            }
            Kind::Function => {
                self.bodies = self.bodies.saturating_add(1);
                depth.body = self.bodies;
            }
            Kind::Node => self.node(message, depth.body)?,
            Kind::Value => {
                self.value()?;
                name(message)?;
            }
            Kind::Sparse => {
                if outer == Kind::Graph {
                    self.value()?;
                }
                sparse(message)?;
            }
            Kind::Shape => shape(message)?,
            Kind::Entry => entry(message)?,
            _ => {}
        }
        self.walk(kind, message, depth)
    }

    fn value(&mut self) -> Result<(), Refusal> {
        self.values = self.values.saturating_add(1);
        if self.values > self.rules.values_max() {
            return Err(too_many(Rule::Values, self.rules.values_max()));
        }
        Ok(())
    }

    fn node(&mut self, node: &'a [u8], body: Body) -> Result<(), Refusal> {
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > self.rules.nodes_max {
            return Err(too_many(Rule::Nodes, self.rules.nodes_max));
        }
        let (mut op, mut domain, mut overload): (&[u8], &[u8], &[u8]) = (&[], &[], &[]);
        for field in fields(node) {
            self.sums.steps = self.sums.steps.saturating_add(1);
            match field? {
                (4, Value::Bytes(bytes)) => op = bytes,
                (7, Value::Bytes(bytes)) => domain = bytes,
                (8, Value::Bytes(bytes)) => overload = bytes,
                _ => {}
            }
        }
        if op == b"EPContext" {
            return Err(Refusal::new(Rule::EpContext).expected("nodes that say what they compute"));
        }
        let call = self.functions.find(domain, op, overload);
        self.functions.note(body, call);
        if DOMAINS.contains(&domain) {
            return Ok(());
        }
        let is_reserved = RESERVED.iter().any(|&begin| domain.starts_with(begin));
        // A framework's own operator may come before a function of its name.
        if call.is_some() && !is_reserved {
            return Ok(());
        }
        let rule = if is_reserved {
            Rule::OpDomain
        } else {
            Rule::CustomOp
        };
        Err(Refusal::new(rule)
            .expected("operators of ai.onnx, ai.onnx.ml, com.microsoft, or functions of the model")
            .got(format!("one of the domain {}", quoted(domain))))
    }
}

/// The dimensions of a sparse tensor, which its framework makes dense.
fn sparse(message: &[u8]) -> Result<(), Refusal> {
    let mut dims = Vec::new();
    for field in fields(message) {
        match field? {
            (3, Value::Varint(dim)) => dims.push(dim),
            (3, Value::Bytes(packed)) => {
                for dim in super::wire::varints(packed).take(RANK_MAX.saturating_add(1)) {
                    dims.push(dim?);
                }
            }
            _ => {}
        }
        if dims.len() > RANK_MAX {
            return Err(tensor::too_many_dimensions());
        }
    }
    tensor::elements(&dims).map(drop)
}

/// The rank of a value. Its dimensions may be anything: what they are is the framework's to find out.
fn shape(message: &[u8]) -> Result<(), Refusal> {
    let dimension = |field| matches!(field, Ok((1, Value::Bytes(_))));
    if fields(message).filter(|&field| dimension(field)).count() > RANK_MAX {
        return Err(tensor::too_many_dimensions());
    }
    Ok(())
}

fn entry(message: &[u8]) -> Result<(), Refusal> {
    let key = bytes(message, 1).unwrap_or_default();
    if CONFIG_KEYS.contains(&key) {
        return Err(Refusal::new(Rule::FrameworkConfig)
            .expected("no options of the framework in the model's metadata")
            .got(format!("the key {}", quoted(key))));
    }
    Ok(())
}

/// The name of an input, an output or a value: a framework hands it on as a string that ends at the first zero.
fn name(value: &[u8]) -> Result<(), Refusal> {
    if bytes(value, 1).is_some_and(|name| name.contains(&0)) {
        return Err(Refusal::new(Rule::Name).expected("names without a zero byte"));
    }
    Ok(())
}

/// `node 3 "conv" (Conv)`.
fn node(message: &[u8], index: u64) -> String {
    let name = bytes(message, 3).unwrap_or_default();
    let op = quoted(bytes(message, 4).unwrap_or_default());
    format!("node {index} {} ({})", quoted(name), op.trim_matches('"'))
}

/// What people know a message by.
fn place(kind: Kind, message: &[u8]) -> String {
    let named = |what: &str, number| {
        format!(
            "{what} {}",
            quoted(bytes(message, number).unwrap_or_default())
        )
    };
    match kind {
        Kind::Attribute => named("attribute", 1),
        Kind::Value => named("value", 1),
        Kind::Function => named("function", 1),
        Kind::Graph => named("graph", 2),
        Kind::Node => node(message, 0),
        Kind::Opset => format!("opset version {}", varint(message, 2).unwrap_or_default()),
        Kind::Model => "the model".to_owned(),
        Kind::Training => "its training".to_owned(),
        Kind::Entry => named("metadata", 1),
        Kind::Sparse
        | Kind::Tensor
        | Kind::Type
        | Kind::TensorType
        | Kind::Wrapped
        | Kind::Map
        | Kind::Shape
        | Kind::Dimension => "a type or tensor".to_owned(),
    }
}
