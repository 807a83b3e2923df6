//! Functions of a model: which there are, who calls whom, and how many nodes that makes once each call is replaced by the
//! function's body, which is what a framework does. Ten functions of ten calls each are ten billion nodes.

use std::collections::HashMap;

use super::wire::{Value, fields};
use crate::refusal::{Refusal, Rule, quoted};

/// FunctionProto.
const NAME: u32 = 1;
const DOMAIN: u32 = 10;
const OVERLOAD: u32 = 13;

/// Domain, name and overload.
type Key<'a> = (&'a [u8], &'a [u8], &'a [u8]);

/// A function, or 0 for the graph.
pub(crate) type Body = usize;

/// ONNX's own domain has two names, which mean the same function.
fn plain(domain: &[u8]) -> &[u8] {
    if domain == b"ai.onnx" { b"" } else { domain }
}

/// All of a model's.
#[derive(Debug)]
pub(crate) struct Functions<'a> {
    bodies: HashMap<Key<'a>, Body>,
    names: Vec<&'a [u8]>,
    /// Nodes of each body's own.
    nodes: Vec<u64>,
    /// Who calls whom, once a node.
    calls: Vec<(Body, Body)>,
}

impl<'a> Functions<'a> {
    /// Those of a model; each is one message in `functions`.
    pub(crate) fn of(functions: impl Iterator<Item = &'a [u8]>, max: u64) -> Result<Self, Refusal> {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        let mut all = Self {
            bodies: HashMap::new(),
            names: vec![&[]],
            nodes: vec![0],
            calls: Vec::new(),
        };
        for function in functions {
            let mut key: Key<'a> = (&[], &[], &[]);
            for field in fields(function) {
                match field? {
                    (DOMAIN, Value::Bytes(domain)) => key.0 = plain(domain),
                    (NAME, Value::Bytes(name)) => key.1 = name,
                    (OVERLOAD, Value::Bytes(overload)) => key.2 = overload,
                    _ => {}
                }
            }
            let body = all.names.len();
            if body > max {
                return Err(Refusal::new(Rule::Nodes).expected(format!("at most {max} functions")));
            }
            if all.bodies.insert(key, body).is_some() {
                return Err(Refusal::new(Rule::DuplicateField)
                    .expected("each function once")
                    .got(format!("the function {} again", quoted(key.1))));
            }
            all.names.push(key.1);
            all.nodes.push(0);
        }
        Ok(all)
    }

    /// The function that a node of that domain, type and overload calls.
    pub(crate) fn find(&self, domain: &[u8], op: &[u8], overload: &[u8]) -> Option<Body> {
        self.bodies.get(&(plain(domain), op, overload)).copied()
    }

    /// Notes a node of a body, which may be a call.
    pub(crate) fn note(&mut self, body: Body, call: Option<Body>) {
        if let Some(nodes) = self.nodes.get_mut(body) {
            *nodes = nodes.saturating_add(1);
        }
        if let Some(callee) = call {
            self.calls.push((body, callee));
        }
    }

    /// How many nodes the graph has once every call is replaced. Fails where a function calls itself, however far around.
    pub(crate) fn expanded(mut self) -> Result<u64, Refusal> {
        // From callees to callers: a body is done when all that it calls are.
        let mut waits = vec![0_usize; self.names.len()];
        for &(caller, _) in &self.calls {
            if let Some(waits) = waits.get_mut(caller) {
                *waits = waits.saturating_add(1);
            }
        }
        self.calls.sort_unstable_by_key(|&(_, callee)| callee);
        let mut done: Vec<Body> = (0..waits.len())
            .filter(|&body| waits.get(body) == Some(&0))
            .collect();
        let mut left = waits.len();
        while let Some(callee) = done.pop() {
            left = left.saturating_sub(1);
            let size = self.nodes.get(callee).copied().unwrap_or_default();
            let from = self.calls.partition_point(|&(_, other)| other < callee);
            let calls = self.calls.get(from..).unwrap_or_default();
            for &(caller, _) in calls.iter().take_while(|&&(_, other)| other == callee) {
                if let Some(nodes) = self.nodes.get_mut(caller) {
                    *nodes = nodes.saturating_add(size);
                }
                if let Some(waits) = waits.get_mut(caller) {
                    *waits = waits.saturating_sub(1);
                    if *waits == 0 {
                        done.push(caller);
                    }
                }
            }
        }
        if left > 0 {
            let stuck = waits
                .iter()
                .position(|&waits| waits > 0)
                .unwrap_or_default();
            let name = self.names.get(stuck).copied().unwrap_or_default();
            return Err(Refusal::new(Rule::RecursiveFunction)
                .got(format!("a circle that reaches {}", quoted(name))));
        }
        Ok(self.nodes.first().copied().unwrap_or_default())
    }
}
