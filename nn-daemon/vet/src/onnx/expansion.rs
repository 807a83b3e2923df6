//! What a model becomes when each call of a function is replaced by the function's body, and each reference to an
//! attribute by what the call gives for it, which is what a framework does. Ten functions of ten calls each are ten
//! billion nodes, and a graph that is given to the first of them stands as often in the last.
//!
//! A model is taken apart into bodies: its graph, its functions, and what calls give for attributes. Each has a size of
//! its own, and holds others so many times; sizes are summed from those that hold nothing upwards.

use std::collections::HashMap;

/// The graph (0), a function (its number), or what is given for an attribute of one.
pub(super) type Body = usize;

/// The graph's body.
pub(super) const GRAPH: Body = 0;

/// An attribute of a function.
pub(super) type Attribute<'a> = (Body, &'a [u8]);

/// How much something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) nodes: u64,
    pub(super) bytes: u64,
    /// Subgraphs inside each other.
    pub(super) graphs: u32,
    /// Functions that call each other in a row.
    pub(super) calls: u32,
}

/// A model's bodies, as a walk finds them.
#[derive(Debug)]
pub(super) struct Expansion<'a> {
    sizes: Vec<Size>,
    parts: Vec<Part<'a>>,
    references: Vec<Reference<'a>>,
}

/// One body in another.
#[derive(Clone, Copy, Debug)]
struct Part<'a> {
    outer: Body,
    inner: Body,
    /// How many subgraphs of the outer are around it.
    graphs: u32,
    /// What the inner is given for, if it is no call.
    given_for: Option<Attribute<'a>>,
}

/// A node of a body that takes an attribute of it.
#[derive(Clone, Copy, Debug)]
struct Reference<'a> {
    /// The body, and the attribute's name.
    attribute: Attribute<'a>,
    /// Where it is handed on to, if the node is a call.
    handed_to: Option<Attribute<'a>>,
}

/// How often attributes are copied.
type Uses<'a> = HashMap<Attribute<'a>, u64>;

impl<'a> Expansion<'a> {
    /// Of a model of so many bytes, and functions of so many in the order of their numbers.
    pub(super) fn new(model: u64, functions: impl Iterator<Item = u64>) -> Self {
        let of = |bytes| Size {
            bytes,
            ..Size::default()
        };
        let mut sizes = vec![of(model)];
        sizes.extend(functions.map(of));
        let inside = sizes.iter().skip(1).map(|size| size.bytes);
        let inside = inside.fold(0_u64, u64::saturating_add);
        if let Some(graph) = sizes.first_mut() {
            graph.bytes = graph.bytes.saturating_sub(inside);
        }
        Self {
            sizes,
            parts: Vec::new(),
            references: Vec::new(),
        }
    }

    /// Notes a node of a body, so many of whose subgraphs are around it, and what it calls.
    pub(super) fn node(&mut self, body: Body, graphs: u32, call: Option<Body>) {
        if let Some(size) = self.sizes.get_mut(body) {
            size.nodes = size.nodes.saturating_add(1);
            size.graphs = size.graphs.max(graphs);
        }
        if let Some(inner) = call {
            self.parts.push(Part {
                outer: body,
                inner,
                graphs,
                given_for: None,
            });
        }
    }

    /// Notes that so many bytes of a body are given for an attribute of a function; they are a body from here on.
    pub(super) fn given(
        &mut self,
        outer: Body,
        graphs: u32,
        attribute: Attribute<'a>,
        bytes: u64,
    ) -> Body {
        let inner = self.sizes.len();
        if let Some(size) = self.sizes.get_mut(outer) {
            size.bytes = size.bytes.saturating_sub(bytes);
        }
        self.sizes.push(Size {
            bytes,
            ..Size::default()
        });
        self.parts.push(Part {
            outer,
            inner,
            graphs,
            given_for: Some(attribute),
        });
        inner
    }

    /// Notes that a node of a body takes that attribute of it, and perhaps hands it on.
    pub(super) fn reference(&mut self, attribute: Attribute<'a>, handed_to: Option<Attribute<'a>>) {
        self.references.push(Reference {
            attribute,
            handed_to,
        });
    }

    /// How much the graph is in the end.
    ///
    /// # Errors
    /// A body that is inside itself, however far around.
    pub(super) fn graph(mut self) -> Result<Size, Body> {
        self.parts.sort_unstable_by_key(|part| part.outer);
        self.references
            .sort_unstable_by_key(|reference| reference.attribute.0);
        let mut outer_of: Vec<(Body, Body)> = self
            .parts
            .iter()
            .map(|part| (part.inner, part.outer))
            .collect();
        outer_of.sort_unstable();
        // A body is done when all that are in it are.
        let mut waits = vec![0_usize; self.sizes.len()];
        for &(_, outer) in &outer_of {
            if let Some(waits) = waits.get_mut(outer) {
                *waits = waits.saturating_add(1);
            }
        }
        let mut ready: Vec<Body> = (0..waits.len())
            .filter(|&body| waits.get(body) == Some(&0))
            .collect();
        let (mut left, mut uses) = (waits.len(), Uses::new());
        while let Some(body) = ready.pop() {
            left = left.saturating_sub(1);
            self.count(body, &mut uses);
            let from = outer_of.partition_point(|&(inner, _)| inner < body);
            let outers = outer_of.get(from..).unwrap_or_default();
            for &(_, outer) in outers.iter().take_while(|&&(inner, _)| inner == body) {
                if let Some(waits) = waits.get_mut(outer) {
                    *waits = waits.saturating_sub(1);
                    if *waits == 0 {
                        ready.push(outer);
                    }
                }
            }
        }
        if left > 0 {
            // The graph may wait for a circle, and is in none.
            let stuck = waits.iter().skip(1).position(|&waits| waits > 0);
            return Err(stuck.unwrap_or_default().saturating_add(1));
        }
        Ok(self.size(GRAPH))
    }

    fn size(&self, body: Body) -> Size {
        self.sizes.get(body).copied().unwrap_or_default()
    }

    /// Sums a body all of whose parts are summed.
    fn count(&mut self, body: Body, uses: &mut Uses<'a>) {
        let from = self
            .references
            .partition_point(|reference| reference.attribute.0 < body);
        let own = self.references.get(from..).unwrap_or_default();
        for reference in own.iter().take_while(|one| one.attribute.0 == body) {
            let further = reference.handed_to.and_then(|to| uses.get(&to).copied());
            let times = further.unwrap_or_default().saturating_add(1);
            let sum = uses.entry(reference.attribute).or_default();
            *sum = sum.saturating_add(times);
        }
        let from = self.parts.partition_point(|part| part.outer < body);
        let parts = self.parts.get(from..).unwrap_or_default();
        let parts = || parts.iter().take_while(|part| part.outer == body);
        let mut sum = self.size(body);
        for part in parts().filter(|part| part.given_for.is_none()) {
            let inner = self.size(part.inner);
            sum = sum.with(inner, 1, (part.graphs, 1));
        }
        let without_given = sum;
        for part in parts() {
            let Some(attribute) = part.given_for else {
                continue;
            };
            // It stands in the call, and wherever the function puts it.
            let times = uses.get(&attribute).copied().unwrap_or_default();
            let around = if attribute.0 == body {
                without_given
            } else {
                self.size(attribute.0)
            };
            let graphs = part.graphs.saturating_add(around.graphs);
            let depth = (graphs, around.calls.saturating_add(1));
            sum = sum.with(self.size(part.inner), times.saturating_add(1), depth);
        }
        if let Some(size) = self.sizes.get_mut(body) {
            *size = sum;
        }
    }
}

impl Size {
    /// With another in it, so many times, so many graphs and calls down.
    fn with(self, inner: Self, times: u64, (graphs, calls): (u32, u32)) -> Self {
        let more = |own: u64, inner: u64| own.saturating_add(inner.saturating_mul(times));
        Self {
            nodes: more(self.nodes, inner.nodes),
            bytes: more(self.bytes, inner.bytes),
            graphs: self.graphs.max(graphs.saturating_add(inner.graphs)),
            calls: self.calls.max(calls.saturating_add(inner.calls)),
        }
    }
}
