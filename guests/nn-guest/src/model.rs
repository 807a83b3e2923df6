//! Models and contexts, with [`Failure`] in place of the host's error resource.

use crate::bindings::wasi::nn::{graph, inference};
use crate::{ExecutionTarget, Failure, GraphEncoding, NamedTensor};

/// A model that is ready to run; dropping it gives the handle back to the host.
#[derive(Debug)]
pub struct Model(graph::Graph);

/// A place to run one model in, one call at a time.
#[derive(Debug)]
pub struct Context(inference::GraphExecutionContext);

/// Asks for a model that the operator offers: `foo`, `foo@3` or `foo:canary`.
///
/// # Errors
/// What the host answers: `not-found` for a model that is not there or not allowed.
pub fn load_by_name(name: &str) -> Result<Model, Failure> {
    Ok(Model(graph::load_by_name(name)?))
}

/// Brings a model as bytes, one part a file.
///
/// # Errors
/// What the host answers: `unsupported-operation` from one that takes no models from guests.
pub fn load(
    parts: &[Vec<u8>],
    encoding: GraphEncoding,
    target: ExecutionTarget,
) -> Result<Model, Failure> {
    Ok(Model(graph::load(parts, encoding, target)?))
}

// === impl Model ===

impl Model {
    /// Opens a context. A model may have several.
    ///
    /// # Errors
    /// What the host answers, such as a ceiling on contexts.
    pub fn open(&self) -> Result<Context, Failure> {
        Ok(Context(self.0.init_execution_context()?))
    }
}

// === impl Context ===

impl Context {
    /// Runs the model once. The inputs are gone afterwards, also when it fails: the interface consumes them.
    ///
    /// # Errors
    /// What the host answers.
    pub fn compute(&self, inputs: Vec<NamedTensor>) -> Result<Vec<NamedTensor>, Failure> {
        Ok(self.0.compute(inputs)?)
    }
}
