//! What each hostile guest is and how it must end. A guest that survives has checked every errno itself.

use self::Outcome::{Survives, Traps};

/// A guest and its outcome.
#[derive(Debug)]
pub(crate) struct Deed {
    pub(crate) name: &'static str,
    text: &'static str,
    pub(crate) outcome: Outcome,
}

/// How a guest ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    /// By itself, with every errno as it should be.
    Survives,
    /// By a trap of its own, for this reason.
    Traps(&'static str),
}

/// What the components share.
const COMPONENT: &str = include_str!("component.wat");

/// Where in it a deed goes.
const MARK: &str = "(; DEED ;)";

macro_rules! deeds {
    ($(($name:literal, $outcome:expr)),* $(,)?) => {
        &[$(Deed {
            name: $name,
            text: include_str!(concat!($name, ".wat")),
            outcome: $outcome,
        }),*]
    };
}

/// Core modules, over `wasi_ephemeral_nn`.
pub(crate) const MODULES: &[Deed] = deeds![
    ("load-pointers", Survives),
    ("name-pointers", Survives),
    ("context-pointers", Survives),
    ("input-pointers", Survives),
    ("output-pointers", Survives),
    ("no-pages", Survives),
    ("no-memory", Survives),
    ("hidden-memory", Survives),
    ("memory-is-a-function", Survives),
    ("memory-is-a-table", Survives),
    ("memory-is-a-global", Survives),
    ("handles", Survives),
    ("enums", Survives),
    ("overlaps", Survives),
    ("dimensions", Survives),
    ("names", Survives),
    ("wrong-order", Survives),
    ("many-graphs", Survives),
    ("many-contexts", Survives),
    ("many-inputs", Survives),
    ("many-bytes", Survives),
    ("large-tensor", Survives),
    ("grows", Survives),
    ("at-start", Survives),
    ("leaves", Survives),
    ("traps", Traps("unreachable")),
    ("recurses", Traps("call stack exhausted")),
];

/// Components, over `wasi:nn`. What the component model itself forbids is a trap, before any of our code.
pub(crate) const COMPONENTS: &[Deed] = deeds![
    ("wit/same-tensor-twice", Traps("unknown handle index")),
    ("wit/dropped-tensor", Traps("unknown handle index")),
    ("wit/consumed-tensor", Traps("unknown handle index")),
    ("wit/dropped-context", Traps("unknown handle index")),
    ("wit/dropped-twice", Traps("unknown handle index")),
    ("wit/never-given", Traps("unknown handle index")),
    ("wit/wrong-kind", Traps("wrong type")),
    ("wit/lent-context", Traps("while borrowed")),
    ("wit/bad-type", Traps("discriminant")),
    ("wit/bad-encoding", Traps("discriminant")),
    ("wit/bad-list", Traps("out of bounds")),
    ("wit/wrapping-list", Traps("out of bounds")),
    ("wit/unaligned-list", Traps("aligned")),
    ("wit/bad-string", Traps("utf-8")),
    ("wit/bad-result", Traps("out of bounds")),
    ("wit/bad-realloc", Traps("realloc return")),
    (
        "wit/realloc-calls-back",
        Traps("cannot leave component instance")
    ),
    ("wit/dropped-graph", Survives),
    ("wit/many-inputs", Survives),
    ("wit/long-input-list", Traps("unknown handle index")),
    ("wit/many-refused", Survives),
    ("wit/many-tensors", Traps("handle limit exceeded")),
    ("wit/many-errors", Traps("handle limit exceeded")),
    ("wit/many-graphs", Survives),
    ("wit/many-contexts", Survives),
    ("wit/many-parts", Survives),
    ("wit/large-tensor", Traps("fuel allocated for hostcalls")),
    ("wit/large-model", Survives),
    ("wit/names", Survives),
    ("wit/dimensions", Survives),
    ("wit/hoards-outputs", Survives),
    ("wit/traps", Traps("divide by zero")),
    ("wit/recurses", Traps("call stack exhausted")),
];

// === impl Deed ===

impl Deed {
    /// The whole guest, as text.
    pub(crate) fn text(&self) -> String {
        if self.name.starts_with("wit/") {
            COMPONENT.replace(MARK, self.text)
        } else {
            self.text.to_owned()
        }
    }
}
