//! The four interfaces, and the Rust types of their resources.

mod errors;
mod graph;
mod inference;
mod tensor;

pub use crate::model::GraphHandle;
pub use errors::Failure;
pub(crate) use graph::add_to_linker as add_graph_to_linker;
pub use inference::ExecutionContext;
pub use tensor::Tensor;
pub(crate) use tensor::add_to_linker as add_tensor_to_linker;
