//! Wire types of the public API, package `nn.v1`, and of the KServe service ([`kserve`]), and their conversion from and to
//! `nn-tensor`.
//! The generated code is checked in; `tests/bootstrap.rs` proves that it is fresh.

mod convert;
pub mod kserve;

pub use convert::{code_from_wire, dtype_from_wire, id_from_wire, tensor_from_wire};

/// The version a client sends in `OpenSessionRequest`.
pub const PROTOCOL_VERSION: u32 = 1;

/// The largest message of nn.v1, uploads aside, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// The largest chunk of an upload, in bytes; its message may be 1 KiB longer.
pub const CHUNK_BYTES_MAX: usize = 256 * 1024;

/// The largest chunk of a model's bytes in `LoadGraph`, in bytes: its message stays below
/// [`MESSAGE_BYTES_MAX`], like every other of that service.
pub const GRAPH_CHUNK_BYTES_MAX: usize = 48 * 1024;

/// The largest packet on the descriptor socket, in bytes.
pub const FD_PACKET_BYTES_MAX: usize = 4096;

/// File name of the gRPC socket in the runtime directory.
pub const GRPC_SOCKET: &str = "nn.sock";

/// File name of the descriptor socket, a sibling of [`GRPC_SOCKET`].
pub const FD_SOCKET: &str = "fd.sock";

/// The generated messages, clients and servers.
#[expect(
    missing_docs,
    unused_qualifications,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::large_enum_variant,
    clippy::too_many_lines,
    reason = "generated; the .proto files hold the documentation"
)]
pub mod v1 {
    include!("gen/nn.v1.rs");
}

/// The same of gRPC's health checking protocol.
#[expect(
    missing_docs,
    unused_qualifications,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    reason = "generated; the .proto file holds the documentation"
)]
pub mod health {
    include!("gen/grpc.health.v1.rs");
}
