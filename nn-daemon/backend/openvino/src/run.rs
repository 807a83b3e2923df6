//! A model that is ready to run, and one run of it.

use std::sync::Arc;

use nn_backend::{BackendError, Bytes, Cause, Input, Interrupt, LoadedModel, OutputSink, Ran};
use nn_shm::Place;
use nn_tensor::{DType, Fault, Reason, Shape, Signature};

use crate::cause;
use crate::dtype;
use crate::ffi::{Bound, Compiled, Found, Request, Side, Stop};

/// A compiled model of OpenVINO and what it takes and gives.
#[derive(Debug)]
pub(crate) struct OpenVinoModel {
    request: Request,
    /// After the request, which needs it.
    _compiled: Compiled,
    signature: Signature,
    /// Of each output, whether it is an input's value.
    passed_on: Vec<bool>,
    stop: Arc<Stop>,
}

/// A result that cannot be described.
#[derive(Debug, thiserror::Error)]
#[error("the result {name} is {got:?}")]
struct ResultError {
    name: String,
    got: Found,
}

// === impl OpenVinoModel ===

impl OpenVinoModel {
    pub(crate) fn new(
        compiled: Compiled,
        request: Request,
        signature: Signature,
        passed_on: Vec<bool>,
    ) -> Self {
        Self {
            request,
            _compiled: compiled,
            signature,
            passed_on,
            stop: Arc::default(),
        }
    }

    /// Has the next run read the inputs where they lie. A scalar may come as `[1]`.
    fn bind(&mut self, inputs: &[Input<'_>]) -> Result<(), BackendError> {
        let specs = &self.signature.inputs;
        if inputs.len() != specs.len() {
            let fault = Fault::of(Reason::InputsTooMany)
                .message("the number of inputs is not the model's")
                .expected(specs.len().to_string())
                .got(inputs.len().to_string());
            return Err(BackendError::Input(Box::new(fault)));
        }
        for (index, (input, spec)) in inputs.iter().zip(specs).enumerate() {
            if input.dtype == DType::I64 {
                fits_32_bits(input)?;
            }
            let is_scalar = spec.dims.as_ref().is_some_and(Vec::is_empty);
            let bound = Bound {
                name: input.name,
                dtype: input.dtype,
                dims: if is_scalar {
                    Vec::new()
                } else {
                    dims(input.shape)
                },
                bytes: input.bytes,
            };
            self.request
                .set(Side::Input, index, &bound)
                .map_err(BackendError::Run)?;
        }
        Ok(())
    }

    /// Has the next run write the outputs of fixed shape where they are to go; which those are.
    fn place(&mut self, sink: &mut dyn OutputSink) -> Result<Vec<Option<Place>>, BackendError> {
        let signature = &self.signature;
        let mut places = Vec::with_capacity(signature.outputs.len());
        for (index, spec) in signature.outputs.iter().enumerate() {
            // An output that is an input's value may be handed out as that input, and its place left as it is.
            let is_input = self.passed_on.get(index) != Some(&false);
            let fixed = spec.fixed_shape().filter(|_| !is_input);
            let Some(shape) = fixed else {
                places.push(None);
                continue;
            };
            let place = sink.reserve(index, spec.dtype, shape)?;
            let bound = Bound {
                name: spec.name.as_str(),
                dtype: spec.dtype,
                dims: dims(shape),
                bytes: Bytes::Shared(&place),
            };
            self.request
                .set(Side::Output, index, &bound)
                .map_err(BackendError::Run)?;
            places.push(Some(place));
        }
        Ok(places)
    }

    /// Stores the results that OpenVINO has in memory of its own.
    fn store(
        &self,
        placed: &[Option<Place>],
        sink: &mut dyn OutputSink,
    ) -> Result<Ran, BackendError> {
        let mut ran = Ran::default();
        let rest = self.signature.outputs.iter().enumerate();
        let rest = rest.filter(|(index, _)| !matches!(placed.get(*index), Some(Some(_))));
        for (index, spec) in rest {
            let found = self.request.found(index).map_err(cause::of_run)?;
            let name = spec.name.as_str();
            let (dtype, shape) = describe(name, &found).map_err(BackendError::Run)?;
            let place = sink.reserve(index, dtype, shape)?;
            self.request
                .copy(name, index, &place)
                .map_err(BackendError::Run)?;
            let bytes = u64::try_from(found.bytes).unwrap_or(u64::MAX);
            ran.out_copied_bytes = ran.out_copied_bytes.saturating_add(bytes);
        }
        Ok(ran)
    }
}

impl LoadedModel for OpenVinoModel {
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
        self.bind(inputs)?;
        let placed = self.place(sink)?;
        self.request.run(&self.stop).map_err(|error| {
            // Whatever a run that was told to stop says of its end: nobody waits for more of it.
            if self.stop.is_wanted() {
                BackendError::Interrupted(error.into())
            } else {
                cause::of_run(error)
            }
        })?;
        self.store(&placed, sink)
    }
}

/// OpenVINO's CPU computes integers of 64 bits in 32, and says nothing when that loses any. Looked at where they lie: who
/// changes them meanwhile gets the wrong answer that this keeps from others.
fn fits_32_bits(input: &Input<'_>) -> Result<(), BackendError> {
    let bytes = input.bytes.to_vec();
    let bytes = bytes.map_err(|error| BackendError::Run(error.into()))?;
    let (numbers, _) = bytes.as_chunks();
    let mut numbers = numbers.iter().map(|number| i64::from_le_bytes(*number));
    match numbers.find(|&number| i32::try_from(number).is_err()) {
        None => Ok(()),
        Some(number) => {
            let name = input.name;
            let fault = Fault::of(Reason::InputNumber)
                .message(format!(
                    "input {name} has a number that is too large for OpenVINO"
                ))
                .expected("numbers of 32 bits: its processor plugin computes i64 in them")
                .got(number.to_string())
                .hint("load the model with --backend onnxruntime");
            Err(BackendError::Input(Box::new(fault)))
        }
    }
}

fn dims(shape: Shape) -> Vec<i64> {
    shape.dims().iter().map(|&dim| i64::from(dim)).collect()
}

fn describe(name: &str, found: &Found) -> Result<(DType, Shape), Cause> {
    let unfit = || ResultError {
        name: name.to_owned(),
        got: found.clone(),
    };
    let dtype = dtype::from_openvino(found.element).ok_or_else(unfit)?;
    let dims = found.dims.as_deref().unwrap_or_default();
    let dims: Result<Vec<u32>, _> = dims.iter().map(|&dim| u32::try_from(dim)).collect();
    let shape = Shape::new(&dims?)?;
    let bytes = shape.byte_len(dtype)?;
    // No dimensions may mean a scalar, and that OpenVINO did not say.
    if usize::try_from(bytes) != Ok(found.bytes) {
        return Err(unfit().into());
    }
    Ok((dtype, shape))
}

#[cfg(test)]
mod tests {
    use super::*;

    const F32: u32 = 4;

    fn found(dims: Option<&[i64]>, bytes: usize) -> Found {
        Found {
            element: F32,
            dims: dims.map(<[i64]>::to_vec),
            bytes,
        }
    }

    #[test]
    fn no_dimensions_of_one_element_are_a_scalar() {
        let (dtype, shape) = describe("y", &found(None, 4)).unwrap();
        assert_eq!((dtype, shape.dims()), (DType::Fp32, &[][..]));
    }

    #[test]
    fn no_dimensions_of_more_bytes_are_an_error() {
        assert!(describe("y", &found(None, 8)).is_err());
        assert!(describe("y", &found(Some(&[3]), 8)).is_err());
    }
}
