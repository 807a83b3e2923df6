//! The walk through a model: every message that a framework reads, in the order of the bytes, once. It reads the wire
//! format in place and builds nothing, so that a model of many tiny messages costs no memory, and a field that comes
//! twice is seen twice.

use super::expansion::{Body, Expansion, GRAPH};
use super::functions::{Functions, Key};
use super::schema::{self, Holds, Kind};
use super::signature::{bytes, varint};
use super::wire::{Value, fields};
use super::{len, operators, tensor};
use crate::refusal::{Refusal, Rule, quoted};
use crate::rules::{CALLS_MAX, DEPTH_MAX, MESSAGE_DEPTH_MAX, RANK_MAX, Rules};

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

/// Where a message is.
#[derive(Clone, Copy, Debug)]
struct Place {
    messages: u32,
    graphs: u32,
    body: Body,
    /// Graphs that are around the body.
    outside: u32,
    /// What the node calls that the message is in.
    call: Option<Body>,
    /// Inside what is given for an attribute of a function.
    given: bool,
}

#[derive(Debug)]
struct Walker<'a> {
    rules: &'a Rules,
    functions: Functions<'a>,
    expansion: Expansion<'a>,
    nodes: u64,
    values: u64,
    bodies: Body,
    sums: Sums,
}

/// Walks a model whose top level can be read.
pub(super) fn model(model: &[u8], rules: &Rules) -> Result<Sums, Refusal> {
    let functions = || {
        fields(model).filter_map(|field| match field {
            Ok((FUNCTION, Value::Bytes(function))) => Some(function),
            _ => None,
        })
    };
    let mut walker = Walker {
        rules,
        functions: Functions::of(functions(), rules.nodes_max)?,
        expansion: Expansion::new(len(model), functions().map(len)),
        nodes: 0,
        values: 0,
        bodies: GRAPH,
        sums: Sums::default(),
    };
    let top = Place {
        messages: 0,
        graphs: 0,
        body: GRAPH,
        outside: 0,
        call: None,
        given: false,
    };
    walker.walk(Kind::Model, model, top)?;
    let mut sums = walker.sums;
    sums.nodes = walker.expanded()?;
    Ok(sums)
}

fn few_graphs() -> String {
    format!("at most {DEPTH_MAX} subgraphs inside each other")
}

fn too_many(rule: Rule, max: u64) -> Refusal {
    Refusal::new(rule)
        .expected(format!("at most {max}"))
        .got("more")
}

impl<'a> Walker<'a> {
    fn walk(&mut self, kind: Kind, message: &'a [u8], at: Place) -> Result<(), Refusal> {
        let at = Place {
            messages: at.messages.saturating_add(1),
            ..at
        };
        if at.messages > MESSAGE_DEPTH_MAX {
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
            let entered = self.enter((kind, inner), content, at);
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
        mut at: Place,
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
                at.graphs = at.graphs.saturating_add(1);
                if at.graphs > DEPTH_MAX {
                    return Err(Refusal::new(Rule::Depth).expected(few_graphs()));
                }
            }
            Kind::Function => {
                self.bodies = self.bodies.saturating_add(1);
                at.body = self.bodies;
            }
            Kind::Node => at.call = self.node(message, at)?,
            Kind::Attribute => self.attribute(outer, message, &mut at)?,
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
        self.walk(kind, message, at)
    }

    fn value(&mut self) -> Result<(), Refusal> {
        self.values = self.values.saturating_add(1);
        if self.values > self.rules.values_max() {
            return Err(too_many(Rule::Values, self.rules.values_max()));
        }
        Ok(())
    }

    /// Counts a node, and gives the function that it calls.
    fn node(&mut self, node: &'a [u8], at: Place) -> Result<Option<Body>, Refusal> {
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > self.rules.nodes_max {
            return Err(too_many(Rule::Nodes, self.rules.nodes_max));
        }
        let mut key = Key::default();
        for field in fields(node) {
            self.sums.steps = self.sums.steps.saturating_add(1);
            match field? {
                (4, Value::Bytes(op)) => key.name = op,
                (7, Value::Bytes(domain)) => key.domain = domain,
                (8, Value::Bytes(overload)) => key.overload = overload,
                _ => {}
            }
        }
        let call = operators::judge(key, &self.functions)?;
        self.expansion.node(at.body, at.inside(), call);
        Ok(call)
    }

    /// Notes what is given for an attribute of a function, and what takes one.
    fn attribute(
        &mut self,
        outer: Kind,
        attribute: &'a [u8],
        at: &mut Place,
    ) -> Result<(), Refusal> {
        let (mut name, mut reference): (&[u8], &[u8]) = (&[], &[]);
        let mut has_value = false;
        for field in fields(attribute) {
            self.sums.steps = self.sums.steps.saturating_add(1);
            match field? {
                (1, Value::Bytes(bytes)) => name = bytes,
                (21, Value::Bytes(bytes)) => reference = bytes,
                (2..=11 | 14 | 15 | 22 | 23, _) => has_value = true,
                _ => {}
            }
        }
        // A function's own attributes are given by itself, where its callers give none.
        let call = at.call.take();
        let given_for = if outer == Kind::Function {
            Some(at.body)
        } else {
            call
        };
        if reference.is_empty() {
            if let Some(function) = given_for {
                self.value()?;
                let to = (function, name);
                at.body = self
                    .expansion
                    .given(at.body, at.inside(), to, len(attribute));
                (at.outside, at.given) = (at.graphs, true);
            }
            return Ok(());
        }
        if has_value {
            return Err(Refusal::new(Rule::DuplicateField)
                .expected("a value or a reference")
                .got("both"));
        }
        if at.given || outer == Kind::Function {
            // A framework would look for it in the callee, where it may be what it stands in.
            return Err(Refusal::new(Rule::RecursiveFunction)
                .expected("no references inside what is given for a function's attribute")
                .got(format!("one to {}", quoted(reference))));
        }
        if at.body != GRAPH {
            self.value()?;
            let to = given_for.map(|function| (function, name));
            self.expansion.reference((at.body, reference), to);
        }
        Ok(())
    }

    /// How many nodes the model has once every call of a function is replaced, which may be too many of something.
    fn expanded(self) -> Result<u64, Refusal> {
        let whole = self.expansion.graph().map_err(|stuck| {
            let name = quoted(self.functions.name(stuck));
            Refusal::new(Rule::RecursiveFunction).got(format!("a circle that reaches {name}"))
        })?;
        let replaced = "with each call of a function replaced";
        let (nodes_max, bytes_max) = (self.rules.nodes_max, self.rules.bytes_max);
        let (rule, expected, got) = if whole.nodes > nodes_max {
            let got = format!("{} {replaced}", whole.nodes);
            (Rule::Nodes, format!("at most {nodes_max}"), got)
        } else if whole.bytes > bytes_max {
            let got = format!("{} bytes {replaced}", whole.bytes);
            (Rule::Size, format!("at most {bytes_max} bytes"), got)
        } else if whole.graphs > DEPTH_MAX {
            let got = format!("{} {replaced}", whole.graphs);
            (Rule::Depth, few_graphs(), got)
        } else if whole.calls > CALLS_MAX {
            let expected = format!("at most {CALLS_MAX} functions that call each other in a row");
            (Rule::Depth, expected, whole.calls.to_string())
        } else {
            return Ok(whole.nodes);
        };
        Err(Refusal::new(rule).expected(expected).got(got))
    }
}

impl Place {
    /// Graphs of its own body that are around it.
    fn inside(self) -> u32 {
        self.graphs.saturating_sub(self.outside)
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
