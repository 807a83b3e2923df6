//! The KServe service: the Open Inference Protocol, version 2, with the further calls of Triton's (docs/kserve.md). Its
//! generated code, the codec of its messages, and what they say in the words of `nn-tensor`.

mod codec;
mod contents;
mod guard;
mod types;

pub use codec::{Codec, Decoder};
pub use contents::{Contents, PIECE_BYTES};
pub use guard::{HEAD_BYTES_MAX, TYPED_BYTES_MAX, TYPED_GROWTH};
pub use types::{config_type, datatype, dims, dtype, shape, tensor_metadata};

/// The generated messages, client and server of package `inference`.
#[expect(
    missing_docs,
    unused_qualifications,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    reason = "generated; the .proto files hold the documentation"
)]
pub mod inference {
    include!("gen/inference.rs");
}
