//! The module `wasi_ephemeral_nn` as core modules import it: what its numbers mean, how its records lie in a
//! guest's memory, which errno a failure is. Pure functions over bytes that a guest wrote; no engine, no
//! I/O, no unsafe. Nothing that a guest can pass makes them panic: it is a [`Fault`](nn_tensor::Fault).
//!
//! - [`Dialect`]: the same module name stands for several numberings.
//! - [`tensor_record`], [`builders`], [`text`], [`Span`], [`OutPtr`]: arguments that are pointers. What is
//!   checked stays checked: a guest's memory never shrinks.
//! - [`Errno`]: what a guest is told; [`Dialect::errno`] is the one table.
//!
//! Pointers need no alignment. WebAssembly itself asks for none, and the records are read byte by byte.

#![cfg_attr(
    not(test),
    deny(clippy::arithmetic_side_effects, clippy::indexing_slicing)
)]

mod dialect;
mod errno;
mod memory;

pub use dialect::{Dialect, Encoding, Target};
pub use errno::Errno;
pub use memory::{OutPtr, PARTS_MAX, Span, TensorRecord, builders, tensor_record, text};
