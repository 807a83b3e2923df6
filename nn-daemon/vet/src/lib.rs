//! What is looked at in a model's bytes before any framework sees them, in safe Rust, in the process that faces
//! clients. A model that passes is no good model: it is one whose framework reads nothing but these bytes, and whose
//! numbers agree with each other. What a framework does with it is bounded elsewhere, by a jail, a budget and deadlines.
//!
//! - [`vet`] reads ONNX: the wire format in place, a few numbers on the stack, nothing allocated by what a file
//!   announces (ADR 15).
//! - [`ir::vet`] reads OpenVINO's IR, an XML file and its weights.
//!
//! Either gives what the model says of itself ([`Vetted`]), or a [`Refusal`]: a rule by a name that stays, where in the
//! model it was broken, and what to do.

#![cfg_attr(
    not(test),
    deny(clippy::arithmetic_side_effects, clippy::indexing_slicing)
)]

pub mod ir;
mod onnx;
mod refusal;
mod rules;
mod vetted;

pub use onnx::{known_format, vet};
pub use refusal::{Refusal, Rule};
pub use rules::{
    ATTRIBUTES_MAX, CALLS_MAX, DEPTH_MAX, ELEMENTS_PER_LAYER, MESSAGE_DEPTH_MAX, RANK_MAX, Rules,
    VALUES_PER_NODE, XML_BYTES_MAX, XML_DEPTH_MAX,
};
pub use vetted::{About, Contradiction, Vetted};
