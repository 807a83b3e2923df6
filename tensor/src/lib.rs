//! What a tensor is, and the words the whole system uses for it. No I/O, no unsafe, no runtime.
//!
//! Vocabulary:
//! - **dtype**: the element type ([`DType`]), always little-endian.
//! - **shape**: the dimensions of a tensor, row-major ([`Shape`]); rank 0 is a scalar, a dimension of 0 is legal.
//! - **slot**: where a tensor's bytes lie in shared memory ([`SlotRef`]): plain numbers, never a pointer.
//! - **arena**: the shared memory that one writer allocates slots in; it consists of segments.
//! - **descriptor**: name + dtype + shape + slot ([`Descriptor`]): what travels in messages instead of bytes.
//! - **signature**: a model's inputs and outputs ([`Signature`]).
//! - **model, version, instance**: a named artifact, one numbered state of it, one worker that runs it.
//! - **session**: a client process's connection to the daemon, on behalf of one **tenant**.
//! - **job**: one inference on its way through the system.
//! - **fault**: an error as it crosses a process border ([`Fault`]).
//! - **reason**: a row of the one table of what can fail, and of what to do then ([`Reason`]).

#![cfg_attr(
    not(test),
    deny(clippy::arithmetic_side_effects, clippy::indexing_slicing)
)]

pub mod bundle;
mod descriptor;
mod dtype;
mod fault;
mod limits;
mod names;
mod nearest;
mod reason;
mod shape;
mod signature;
mod slot;

pub use descriptor::{Descriptor, TensorName};
pub use dtype::DType;
pub use fault::{Code, Fault};
pub use limits::{NAME_BYTES_MAX, RANK_MAX, TENSORS_MAX};
pub use names::{Alias, Id128, ModelName, ModelRef, NameError, Selector, Tenant, Trace, Version};
pub use nearest::nearest;
pub use reason::{Mender, Reason, Row, Stage};
pub use shape::{Shape, ShapeError};
pub use signature::{Dim, Misfit, Mismatch, Signature, TensorSpec};
pub use slot::{ArenaId, SegmentId, SlotError, SlotRef};
