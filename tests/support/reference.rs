//! ONNX Runtime alone, in the test's own process: the same library, one thread, no code of the
//! product's in between. What it answers is what the system must answer, to the bit.

use std::path::Path;
use std::sync::OnceLock;

use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::Tensor;

use crate::paths::runtime_library;

/// One a process: ONNX Runtime can be loaded once.
fn environment() -> &'static Environment {
    static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
    let load =
        || ort::init_from(runtime_library()).map(|builder| builder.with_telemetry(false).build());
    ENVIRONMENT.get_or_init(|| load().expect("ONNX Runtime loads").expect("an environment"))
}

/// A model in plain ONNX Runtime.
#[derive(Debug)]
pub struct Reference {
    session: Session,
}

impl Reference {
    /// Loads a model file.
    ///
    /// # Panics
    /// When the library or the model cannot be loaded.
    #[must_use]
    pub fn load(model: &Path) -> Self {
        let session = Session::builder(environment())
            .and_then(|builder| Ok(builder.with_intra_threads(1)?))
            .and_then(|builder| Ok(builder.with_optimization_level(GraphOptimizationLevel::All)?))
            .and_then(|mut builder| builder.commit_from_file(model))
            .expect("the model loads");
        Self { session }
    }

    /// Runs it on one f32 input; gives the bytes of its first output.
    ///
    /// # Panics
    /// When that fails.
    #[must_use]
    pub fn run_f32(&mut self, dims: &[u32], values: Vec<f32>) -> Vec<u8> {
        let shape: Vec<i64> = dims.iter().map(|&dim| i64::from(dim)).collect();
        let input = Tensor::from_array((shape, values)).expect("a tensor");
        let outputs = self.session.run(ort::inputs![input]).expect("a run");
        let (_, values) = outputs[0]
            .try_extract_tensor::<f32>()
            .expect("an f32 output");
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    }
}
