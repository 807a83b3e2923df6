//! A model that is ready to run, and one run of it.

use std::sync::Arc;

use nn_backend::{BackendError, Bytes, Cause, Input, Interrupt, LoadedModel, OutputSink, Ran};
use nn_shm::Place;
use nn_tensor::{DType, Fault, Reason, Shape, Signature};
use ort::session::Session;
use ort::value::{DynValue, ValueType};

use crate::cause;
use crate::dtype;
use crate::ffi::{self, Bound, Stop};

/// A session of ONNX Runtime and what it takes and gives.
#[derive(Debug)]
pub(crate) struct OrtModel {
    session: Session,
    signature: Signature,
    stop: Arc<Stop>,
}

/// A result that cannot be described.
#[derive(Debug, thiserror::Error)]
enum ResultError {
    #[error("the result {name} is {got}")]
    Type { name: String, got: String },
    #[error("the result {name} is none of the model's outputs")]
    Unknown { name: String },
}

// === impl OrtModel ===

impl OrtModel {
    pub(crate) fn new(session: Session, signature: Signature) -> Self {
        Self {
            session,
            signature,
            stop: Arc::default(),
        }
    }

    /// The inputs with the model's rank: a scalar may come as `[1]`.
    fn bind<'a>(&self, inputs: &'a [Input<'_>]) -> Result<Vec<Bound<'a>>, BackendError> {
        let specs = &self.signature.inputs;
        if inputs.len() != specs.len() {
            let fault = Fault::of(Reason::InputsTooMany)
                .message("the number of inputs is not the model's")
                .expected(specs.len().to_string())
                .got(inputs.len().to_string());
            return Err(BackendError::Input(Box::new(fault)));
        }
        let bound = inputs.iter().zip(specs).map(|(input, spec)| {
            let is_scalar = spec.dims.as_ref().is_some_and(Vec::is_empty);
            let dims = if is_scalar {
                Vec::new()
            } else {
                dims(input.shape)
            };
            Bound {
                name: input.name,
                dtype: input.dtype,
                dims,
                bytes: input.bytes,
            }
        });
        Ok(bound.collect())
    }
}

impl LoadedModel for OrtModel {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn interrupter(&self) -> Arc<dyn Interrupt> {
        Arc::clone(&self.stop) as Arc<dyn Interrupt>
    }

    fn run(
        &mut self,
        inputs: &[Input<'_>],
        sink: &mut dyn OutputSink,
    ) -> Result<Ran, BackendError> {
        let inputs = self.bind(inputs)?;
        let specs = &self.signature.outputs;
        // Only where every dimension is fixed: then nothing else can come out but an error. And not for
        // an output that is an input's value: ONNX Runtime then hands out the input and leaves the
        // place it was given as it is.
        let is_input = |name| self.signature.inputs.iter().any(|input| input.name == name);
        let mut places: Vec<(usize, Shape, Place)> = Vec::new();
        for (index, spec) in specs.iter().enumerate() {
            if let Some(shape) = spec.fixed_shape().filter(|_| !is_input(spec.name.clone())) {
                places.push((index, shape, sink.reserve(index, spec.dtype, shape)?));
            }
        }
        let outputs: Vec<Bound<'_>> = places
            .iter()
            .filter_map(|(index, shape, place)| {
                let spec = specs.get(*index)?;
                Some(Bound {
                    name: spec.name.as_str(),
                    dtype: spec.dtype,
                    dims: dims(*shape),
                    bytes: Bytes::Shared(place),
                })
            })
            .collect();
        let mut attempt = || {
            let ran = ffi::run(&mut self.session, &self.stop, (&inputs, &outputs), |rest| {
                store(&self.signature, rest, sink)
            });
            // Whatever a run that was told to stop says of its end: nobody waits for more of it.
            let ran = ran.map_err(|error| match self.stop.is_wanted() {
                true => BackendError::Interrupted(error),
                false => cause::of_run(error),
            });
            // Both leave the arena as large as it was at its largest.
            if let Err(BackendError::Memory(_) | BackendError::Interrupted(_)) = &ran {
                ffi::shrink(&mut self.session, &inputs).map_err(BackendError::Run)?;
            }
            ran
        };
        match attempt() {
            // What the arena had kept of earlier runs may be all that was missing.
            Err(BackendError::Memory(_)) => attempt()?,
            ran => ran?,
        }
    }
}

fn dims(shape: Shape) -> Vec<i64> {
    shape.dims().iter().map(|&dim| i64::from(dim)).collect()
}

/// Stores the results that ONNX Runtime allocated itself.
fn store(
    signature: &Signature,
    results: &[(String, &DynValue)],
    sink: &mut dyn OutputSink,
) -> Result<Ran, BackendError> {
    let mut ran = Ran::default();
    for (name, value) in results {
        let index = signature
            .outputs
            .iter()
            .position(|spec| spec.name.as_str() == name)
            .ok_or_else(|| BackendError::Run(ResultError::Unknown { name: name.clone() }.into()))?;
        let (dtype, shape) = describe(name, value).map_err(BackendError::Run)?;
        let place = sink.reserve(index, dtype, shape)?;
        let bytes = shape
            .byte_len(dtype)
            .map_err(|error| BackendError::Run(error.into()))?;
        let len = usize::try_from(bytes).map_err(|error| BackendError::Run(error.into()))?;
        ffi::copy(name, value, len, &place).map_err(BackendError::Run)?;
        ran.out_copied_bytes = ran.out_copied_bytes.saturating_add(bytes);
    }
    Ok(ran)
}

fn describe(name: &str, value: &DynValue) -> Result<(DType, Shape), Cause> {
    let unfit = || ResultError::Type {
        name: name.to_owned(),
        got: format!("{:?}", value.dtype()),
    };
    let ValueType::Tensor { ty, shape, .. } = value.dtype() else {
        return Err(unfit().into());
    };
    let dims: Result<Vec<u32>, _> = shape.iter().map(|&dim| u32::try_from(dim)).collect();
    let dtype = dtype::from_ort(*ty).ok_or_else(unfit)?;
    Ok((dtype, Shape::new(&dims?)?))
}
