//! ONNX Runtime alone, in the test's own process: the same library, one thread, no code of the
//! product's in between. What it answers is what the system must answer, to the bit.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use nn_tensor::DType;
use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::{DynValue, PrimitiveTensorElementType, Tensor, TensorElementType};

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

/// A tensor for ONNX Runtime.
#[derive(Clone, Debug)]
pub struct Given {
    /// Element type.
    pub dtype: DType,
    /// Dimensions.
    pub dims: Vec<u32>,
    /// Elements, little-endian.
    pub bytes: Vec<u8>,
}

/// The elements of that type in little-endian bytes.
macro_rules! elements {
    ($ty:ty, $bytes:expr) => {{
        let (elements, _) = $bytes.as_chunks();
        elements
            .iter()
            .map(|bytes| <$ty>::from_le_bytes(*bytes))
            .collect()
    }};
}

/// The bytes of an output of that type, little-endian.
macro_rules! bytes_of {
    ($ty:ty, $value:expr) => {{
        let (_, elements) = $value.try_extract_tensor::<$ty>().expect("its own type");
        elements
            .iter()
            .flat_map(|element| element.to_le_bytes())
            .collect()
    }};
}

fn tensor<T: PrimitiveTensorElementType + std::fmt::Debug + Clone + 'static>(
    dims: &[u32],
    elements: Vec<T>,
) -> DynValue {
    let shape: Vec<i64> = dims.iter().map(|&dim| i64::from(dim)).collect();
    Tensor::from_array((shape, elements))
        .expect("a tensor")
        .into_dyn()
}

fn bytes(value: &DynValue) -> Option<Vec<u8>> {
    Some(match value.dtype().tensor_type()? {
        TensorElementType::Float32 => bytes_of!(f32, value),
        TensorElementType::Float64 => bytes_of!(f64, value),
        TensorElementType::Uint8 => bytes_of!(u8, value),
        TensorElementType::Int32 => bytes_of!(i32, value),
        TensorElementType::Int64 => bytes_of!(i64, value),
        _ => return None,
    })
}

// === impl Given ===

impl Given {
    fn value(&self, dims: &[u32]) -> Option<DynValue> {
        Some(match self.dtype {
            DType::Fp32 => tensor::<f32>(dims, elements!(f32, self.bytes)),
            DType::Fp64 => tensor::<f64>(dims, elements!(f64, self.bytes)),
            DType::U8 => tensor::<u8>(dims, self.bytes.clone()),
            DType::I32 => tensor::<i32>(dims, elements!(i32, self.bytes)),
            DType::I64 => tensor::<i64>(dims, elements!(i64, self.bytes)),
            DType::Fp16 | DType::Bf16 => return None,
        })
    }
}

// === impl Reference ===

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

    /// Runs it on inputs by name or decimal index; gives the bytes of each output, `None` for those of a
    /// type that this process has no numbers of: bf16 and fp16. With an input of such a type nothing is run,
    /// and every output is `None`.
    ///
    /// # Panics
    /// When ONNX Runtime refuses.
    #[must_use]
    pub fn run(&mut self, inputs: &BTreeMap<String, Given>) -> Vec<Option<Vec<u8>>> {
        let mut values = Vec::new();
        for (name, given) in inputs {
            let specs = self.session.inputs();
            let by_name = specs.iter().find(|spec| spec.name() == name);
            let spec = by_name.or_else(|| specs.get(name.parse::<usize>().ok()?));
            let spec = spec.expect("an input of this name");
            let shape = spec.dtype().tensor_shape();
            // wasi-nn may write a scalar as [1]. A model that leaves the rank open looks the same here, and
            // what the tests have of those does not tell the two apart.
            let is_scalar = shape.is_some_and(|dims| dims.is_empty()) && given.dims == [1];
            let dims: &[u32] = if is_scalar { &[] } else { &given.dims };
            let Some(value) = given.value(dims) else {
                return vec![None; self.session.outputs().len()];
            };
            values.push((spec.name().to_owned(), value));
        }
        let outputs = self.session.run(values).expect("a run");
        (0..outputs.len())
            .map(|index| bytes(&outputs[index]))
            .collect()
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
