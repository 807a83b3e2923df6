//! Writes ONNX files byte by byte, for tests and benches: protobuf's wire format, and the messages of onnx.proto that
//! models of ours are made of. It checks nothing. Whatever one writes is bytes, and may be put next to or inside other
//! bytes, so that what no library would write can be written as easily as what is right.
//!
//! Two kinds of functions, both give bytes. Those that are named for a message give its content, and more may be
//! appended to it: [`node::of`], [`tensor::of`], [`value::of`], [`attribute::tensor`], [`function::of`]. Those that are
//! named for a field put a content into the message around it: [`graph::node`], [`node::attribute`],
//! [`model::function`]. A model is what is left when all are joined:
//!
//! ```
//! use nn_onnx_writer::{Dim, FLOAT, graph, model, node, value};
//!
//! let any = [Dim::Named("N")];
//! let content = [
//!     graph::node(&node::of(&["x"], &["y"], "Relu")),
//!     graph::name("g"),
//!     graph::input(&value::of("x", FLOAT, Some(&any))),
//!     graph::output(&value::of("y", FLOAT, Some(&any))),
//! ];
//! let file = model::of(&content.concat(), 17);
//! assert!(file.starts_with(&[0x08, 0x08]));
//! ```

pub mod attribute;
pub mod function;
pub mod graph;
pub mod model;
pub mod node;
pub mod tensor;
pub mod value;
pub mod wire;

pub use value::Dim;

/// TensorProto.DataType of 32-bit floats.
pub const FLOAT: u64 = 1;
/// TensorProto.DataType of unsigned bytes.
pub const UINT8: u64 = 2;
/// TensorProto.DataType of 32-bit integers.
pub const INT32: u64 = 6;
/// TensorProto.DataType of 64-bit integers.
pub const INT64: u64 = 7;
/// TensorProto.DataType of strings.
pub const STRING: u64 = 8;
/// TensorProto.DataType of truth values.
pub const BOOL: u64 = 9;
