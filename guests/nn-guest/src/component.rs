//! The component's interface as it is: resources of the host's, by the names that `wit/wasi-nn.wit` has for them. For guests
//! that want what the values of this crate hide: tensors kept in the host, wrong lengths, the order of drops.
//! Outside of WebAssembly it compiles, and every call panics: there is nothing behind it.
//!
//! ```no_run
//! use nn_guest::component::{Tensor, TensorType, load_by_name};
//! # fn main() -> Result<(), nn_guest::Failure> {
//! let context = load_by_name("foo")?.open()?;
//! let input = Tensor::new(&[1], TensorType::U8, &[7]);
//! let outputs = context.compute(vec![("images".to_owned(), input)])?;
//! # Ok(()) }
//! ```

mod bindings;
mod values;

use self::bindings::wasi::nn::{graph, inference};
use crate::Failure;

pub use self::bindings::wasi::nn::errors::{Error, ErrorCode};
pub use self::bindings::wasi::nn::graph::{ExecutionTarget, GraphEncoding};
pub use self::bindings::wasi::nn::inference::NamedTensor;
pub use self::bindings::wasi::nn::tensor::{Tensor, TensorType};

/// The host's graph; dropping it gives the handle back.
#[derive(Debug)]
pub struct Graph(graph::Graph);

/// The host's graph-execution-context.
#[derive(Debug)]
pub struct Context(inference::GraphExecutionContext);

/// `load-by-name`.
///
/// # Errors
/// What the host answers.
pub fn load_by_name(name: &str) -> Result<Graph, Failure> {
    Ok(Graph(graph::load_by_name(name)?))
}

/// `load`.
///
/// # Errors
/// What the host answers.
pub fn load(
    parts: &[Vec<u8>],
    encoding: impl Into<GraphEncoding>,
    target: impl Into<ExecutionTarget>,
) -> Result<Graph, Failure> {
    Ok(Graph(graph::load(parts, encoding.into(), target.into())?))
}

// === impl Graph ===

impl Graph {
    /// `init-execution-context`.
    ///
    /// # Errors
    /// What the host answers.
    pub fn open(&self) -> Result<Context, Failure> {
        Ok(Context(self.0.init_execution_context()?))
    }
}

// === impl Context ===

impl Context {
    /// `compute`. The inputs are gone afterwards, also when it fails: the interface consumes them.
    ///
    /// # Errors
    /// What the host answers.
    pub fn compute(&self, inputs: Vec<NamedTensor>) -> Result<Vec<NamedTensor>, Failure> {
        Ok(self.0.compute(inputs)?)
    }
}
