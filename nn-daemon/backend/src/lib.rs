//! What a native inference framework must offer to a worker. It names no framework, and it moves no
//! bytes: inputs are read where they lie, outputs are written where the worker says.
//!
//! A backend is used by one thread: open it once, load one model, run it as often as wanted. Only what stops a run
//! ([`Interrupt`]) is used from others.
//! Everything a framework says in its own words ends in [`BackendError`]'s source, for the log; a
//! client reads only the sentences of this crate.

#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
pub mod explained;
mod input;
mod interrupt;
mod output;
mod warm_up;

use std::path::Path;
use std::sync::Arc;

use nn_tensor::Signature;

pub use error::{BackendError, Cause};
pub use explained::Explained;
pub use input::{Bytes, Input};
pub use interrupt::{Flag, Interrupt};
pub use output::{OutputSink, Scratch, SinkError};
pub use warm_up::WarmUp;

/// A native inference framework.
pub trait Backend {
    /// The name that a daemon asks for it by: `onnxruntime`, `openvino`.
    fn name(&self) -> &'static str;

    /// Loads the framework, makes its threads and lets it compute something small, so that nothing
    /// of it is done for the first time when a model is there. Gives framework and version, for
    /// people. Called once, first.
    fn open(&mut self, setup: &Setup<'_>) -> Result<String, BackendError>;

    /// Computes the same small thing once more: whether the framework still does its work. Called between [`Backend::open`]
    /// and [`Backend::load`], as often as wanted.
    fn check(&mut self) -> Result<(), BackendError>;

    /// Loads a model.
    fn load(&mut self, model: &Model<'_>) -> Result<Box<dyn LoadedModel>, BackendError>;

    /// Writes to a file what [`Backend::load_prepared`] of this framework, on this machine, loads faster than the model. What
    /// is made for another precision may compute in that.
    fn prepare(&mut self, model: &Model<'_>, to: &Path) -> Result<(), BackendError> {
        let _ = to;
        Err(BackendError::not_prepared(model.format))
    }

    /// Loads what [`Backend::prepare`] has written. Its bytes are read where they lie for as long as the model is there.
    fn load_prepared(
        &mut self,
        prepared: &'static [u8],
        precision: Precision,
    ) -> Result<Box<dyn LoadedModel>, BackendError> {
        let _ = (prepared, precision);
        Err(BackendError::not_prepared("what was prepared"))
    }
}

/// A model that is ready to run. Nothing else calls it a session.
pub trait LoadedModel {
    /// What it takes and gives. Never changes.
    fn signature(&self) -> &Signature;

    /// What stops its runs.
    fn interrupter(&self) -> Arc<dyn Interrupt>;

    /// Computes. `inputs` are exactly those of the signature, in its order, each fitting it. Every
    /// output is asked a place for, once, and is there when this returns without an error.
    fn run(&mut self, inputs: &[Input<'_>], sink: &mut dyn OutputSink)
    -> Result<Ran, BackendError>;
}

/// How to load a framework.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// Its library.
    pub library: &'a Path,
    /// Threads for one run, the calling one among them.
    pub threads: usize,
    /// Takes the framework's warnings, a line each.
    pub log: fn(&str),
}

/// A model as it comes: nobody can change its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    /// `onnx`, `openvino-ir`.
    pub format: &'a str,
    /// Its files: name and content.
    pub parts: &'a [(&'a str, &'a [u8])],
    /// What it is computed in.
    pub precision: Precision,
}

/// What a model is computed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// What it says itself.
    #[default]
    F32,
    /// What the processor is fastest with.
    Native,
}

/// What a run cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ran {
    /// Bytes of outputs that were copied to their place after the run, because nobody could know
    /// their shape before.
    pub out_copied_bytes: u64,
}
