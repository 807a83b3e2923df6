//! Models, and contexts to run them in: the same over both interfaces.

use std::sync::{Mutex, PoisonError};

use crate::{Code, Failure, Outputs, Tensor, abi};

/// The format of a model that is handed over as bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// OpenVINO's IR.
    Openvino,
    /// ONNX; nn-host takes this one and [`Encoding::Autodetect`].
    Onnx,
    /// TensorFlow.
    Tensorflow,
    /// PyTorch.
    Pytorch,
    /// TensorFlow Lite.
    TensorflowLite,
    /// GGML. The interface of core modules has no number for it.
    Ggml,
    /// Whatever the host finds it to be.
    Autodetect,
}

/// The kind of device that should do the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Target {
    /// The processor; nn-host has nothing else.
    #[default]
    Cpu,
    /// A graphics card.
    Gpu,
    /// Another accelerator.
    Tpu,
}

/// A model that is ready to run.
///
/// A component gives it back when it is dropped. A core module cannot: make it once, and keep it.
#[derive(Debug)]
pub struct Model {
    /// The context of [`Model::compute`], opened by its first call. It goes before its graph.
    kept: Mutex<Option<Context>>,
    graph: abi::Graph,
}

/// A place to run one model in, one call at a time.
///
/// Most guests need none: [`Model::compute`] has one of its own.
#[derive(Debug)]
pub struct Context(abi::Context);

/// Asks for a model that the operator offers: `foo` (the current version), `foo@3` (a version) or `foo:canary` (an alias).
/// The model stays on the version that the name meant now.
///
/// ```no_run
/// # fn main() -> Result<(), nn_guest::Failure> {
/// # let input = nn_guest::Tensor::new(&[1], &[0.0_f32])?;
/// let outputs = nn_guest::load_by_name("foo")?.compute(&[input])?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// What the host answers: [`Code::NotFound`] for a model that is not there or not allowed, [`Code::InvalidArgument`] for what
/// is no name.
pub fn load_by_name(name: &str) -> Result<Model, Failure> {
    in_wasm()?;
    Ok(Model::new(abi::load_by_name(name)?))
}

/// Brings a model as bytes, one part a file: an ONNX model has one, with all data inside.
///
/// # Errors
/// What the host answers: [`Code::InvalidEncoding`] for bytes of another format, [`Code::TooLarge`] beyond its bounds,
/// [`Code::UnsupportedOperation`] for a target it does not have, or when it takes no models from guests.
pub fn load(parts: &[Vec<u8>], encoding: Encoding, target: Target) -> Result<Model, Failure> {
    in_wasm()?;
    Ok(Model::new(abi::load(parts, encoding, target)?))
}

/// Elsewhere a guest's code compiles, so that its own parts can be tested; there is no host to ask.
fn in_wasm() -> Result<(), Failure> {
    if cfg!(target_arch = "wasm32") {
        return Ok(());
    }
    Err(
        Failure::of(Code::UnsupportedOperation, "nobody answers wasi-nn here")
            .expected("a WebAssembly guest in its host")
            .got(std::env::consts::ARCH)
            .hint("build for wasm32-wasip1 or wasm32-wasip2, and run it with `nn-host run`"),
    )
}

// === impl Model ===

impl Model {
    fn new(graph: abi::Graph) -> Self {
        Self {
            kept: Mutex::new(None),
            graph,
        }
    }

    /// Runs the model once, in a context that is opened by the first call and kept for the next.
    ///
    /// Inputs go by their place in the list, or, in a component, by [their name](Tensor::named). All of the model's inputs
    /// have to be there, each time.
    ///
    /// # Errors
    /// What the host answers: [`Code::InvalidArgument`] for inputs that do not fit the model, [`Code::Timeout`] beyond its
    /// deadline, [`Code::RuntimeError`] for a model that failed or a host that is [busy](Failure::is_transient). In a core
    /// module [`Code::UnsupportedOperation`] for a name, or bf16. The model can be used again.
    pub fn compute(&self, inputs: &[Tensor<'_>]) -> Result<Outputs, Failure> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let context = match kept.take() {
            Some(context) => context,
            None => self.open()?,
        };
        kept.insert(context).compute(inputs)
    }

    /// Opens another context. A model may have several.
    ///
    /// # Errors
    /// What the host answers, such as a ceiling on contexts.
    pub fn open(&self) -> Result<Context, Failure> {
        Ok(Context(self.graph.open()?))
    }
}

// === impl Context ===

impl Context {
    /// Runs the model once: as [`Model::compute`].
    ///
    /// # Errors
    /// As [`Model::compute`].
    pub fn compute(&mut self, inputs: &[Tensor<'_>]) -> Result<Outputs, Failure> {
        Ok(Outputs::new(self.0.run(inputs)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_of_webassembly_every_load_says_so() {
        let failures = [
            load_by_name("foo").unwrap_err(),
            load(&[], Encoding::Onnx, Target::Cpu).unwrap_err(),
        ];
        let codes = failures.each_ref().map(|failure| failure.code);
        assert_eq!(codes, [Code::UnsupportedOperation; 2]);
        assert!(failures[0].text.contains("nn-host run"), "{failures:?}");
    }
}
