//! Conversions of tensors that an operator declares in `model.toml`, around a model that takes and gives something else
//! than guests have: pictures as they come from a decoder, other element types, probabilities and labels.
//!
//! Plain data and pure functions: no I/O, no clock, no framework. A worker converts, in its jail; the daemon only computes
//! what the signature becomes, by the same function of the same declaration ([`Plan::new`]), so that it need not believe
//! the worker.
//!
//! ```text
//! model.toml ─▶ Conversions ─┐
//!                            ├─▶ Plan: the signature that clients see, and a step for each tensor
//! the model's own signature ─┘        input.shape → input.convert │ run │ output.convert
//! ```

#![cfg_attr(
    not(test),
    deny(clippy::arithmetic_side_effects, clippy::indexing_slicing)
)]

mod cast;
mod declare;
mod element;
mod input;
mod output;
mod picture;
mod plan;
mod resize;
mod softmax;
mod top_k;

pub use declare::{
    Channels, Conversions, Filter, Fit, Given, Input, Layout, Order, Output, PerChannel, Picture,
    Softmax,
};
pub use input::{InputStep, Scratch};
pub use output::{Made, OutputStep};
pub use plan::Plan;

/// The most rows and columns of a picture, given or made.
pub const PICTURE_SIDE_MAX: u32 = 16_384;

/// The most that a top-k may name of one row.
pub const TOP_K_MAX: u32 = 10_000;

/// The labels of one output, in bytes, each on a line of its own.
pub const LABELS_BYTES_MAX: usize = 256 * 1024;
