//! Which versions of which models there are, and which of them a name means. No worker, no socket, no task: plain
//! data, and files.
//!
//! - [`Pointers`] says which version a name, or an alias of it, means now, and what it meant before. Pure.
//! - [`Landing`] is what a load asks to become of its version.
//! - [`Store`] keeps that, and uploaded bytes, in the state directory: a crash at any moment leaves the old or the new.
//! - [`PreparedStore`] keeps what was made of models so that they load faster: a cache.
//! - [`Manifest`] is what an operator writes of a model, in its `model.toml`.
//! - [`scan`] finds the models of a repository in the layout of Triton, OpenVINO Model Server and TensorFlow Serving;
//!   [`triton::Config`] is what is read of a `config.pbtxt` in there, and what of it is not.
//! - [`open_beneath`] opens a file of a repository, wherever links lead, if it lies in there.

#![cfg_attr(
    not(test),
    deny(clippy::arithmetic_side_effects, clippy::indexing_slicing)
)]

mod beneath;
mod digest;
mod landing;
mod manifest;
mod pointers;
mod prepared;
mod repository;
mod store;
pub mod triton;

pub use beneath::{NotBeneath, Stamp, after_writes, open_beneath};
pub use digest::{Digest, DigestError};
pub use landing::Landing;
pub use manifest::{
    Filled, Filling, INSTANCES_MAX, Instances, KServe, KServeAuth, KServeTls, MANIFEST_BYTES_MAX,
    Manifest, Placement, Precision, WarmUp,
};
pub use pointers::{ALIASES_MAX, PREVIOUS_MAX, Pointers, PointersError};
pub use prepared::{PreparedKey, PreparedStore};
pub use repository::{Found, Piece, Scan, scan};
pub use store::{Kept, NewVersion, Record, Records, Store, StoreError, Swept, replace};
