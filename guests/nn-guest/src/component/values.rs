//! This crate's values to the interface's words and resources, and back. Matches are exhaustive.

use super::{Context, Error, ErrorCode, ExecutionTarget, GraphEncoding, NamedTensor, TensorType};
use crate::{Code, DType, Encoding, Failure, Target, Tensor};

/// The input of that place by its name, or else by its place in decimal, which stands for the name of the model's input there.
fn name(tensor: &Tensor<'_>, place: usize) -> String {
    tensor
        .name()
        .map_or_else(|| place.to_string(), str::to_owned)
}

// === impl Context ===

impl Context {
    /// Inputs into the host, one compute, outputs out of it; nothing stays there.
    pub(crate) fn run(&mut self, inputs: &[Tensor<'_>]) -> Result<Vec<Tensor<'static>>, Failure> {
        let mut given = Vec::with_capacity(inputs.len());
        for (place, input) in inputs.iter().enumerate() {
            let (Some(dtype), Some(dims)) = (input.dtype(), input.dims()) else {
                return Err(input.shapeless(place));
            };
            let tensor = super::Tensor::new(dims, dtype.into(), input.bytes());
            given.push((name(input, place), tensor));
        }
        let outputs = self.compute(given)?;
        Ok(outputs.into_iter().map(Tensor::from).collect())
    }
}

impl From<NamedTensor> for Tensor<'static> {
    /// Copies it out of the host, and gives it back.
    fn from((name, tensor): NamedTensor) -> Self {
        let dtype = tensor.ty().into();
        Self::answered(Some(name), dtype, tensor.dimensions(), tensor.data())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::of(error.code().into(), error.data())
    }
}

impl From<ErrorCode> for Code {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::InvalidArgument => Self::InvalidArgument,
            ErrorCode::InvalidEncoding => Self::InvalidEncoding,
            ErrorCode::Timeout => Self::Timeout,
            ErrorCode::RuntimeError => Self::RuntimeError,
            ErrorCode::UnsupportedOperation => Self::UnsupportedOperation,
            ErrorCode::TooLarge => Self::TooLarge,
            ErrorCode::NotFound => Self::NotFound,
            ErrorCode::Security => Self::Security,
            ErrorCode::Unknown => Self::Unknown,
        }
    }
}

impl From<TensorType> for DType {
    fn from(ty: TensorType) -> Self {
        match ty {
            TensorType::Fp16 => Self::Fp16,
            TensorType::Fp32 => Self::Fp32,
            TensorType::Fp64 => Self::Fp64,
            TensorType::Bf16 => Self::Bf16,
            TensorType::U8 => Self::U8,
            TensorType::I32 => Self::I32,
            TensorType::I64 => Self::I64,
        }
    }
}

impl From<DType> for TensorType {
    fn from(dtype: DType) -> Self {
        match dtype {
            DType::Fp16 => Self::Fp16,
            DType::Fp32 => Self::Fp32,
            DType::Fp64 => Self::Fp64,
            DType::Bf16 => Self::Bf16,
            DType::U8 => Self::U8,
            DType::I32 => Self::I32,
            DType::I64 => Self::I64,
        }
    }
}

impl From<Encoding> for GraphEncoding {
    fn from(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Openvino => Self::Openvino,
            Encoding::Onnx => Self::Onnx,
            Encoding::Tensorflow => Self::Tensorflow,
            Encoding::Pytorch => Self::Pytorch,
            Encoding::TensorflowLite => Self::Tensorflowlite,
            Encoding::Ggml => Self::Ggml,
            Encoding::Autodetect => Self::Autodetect,
        }
    }
}

impl From<Target> for ExecutionTarget {
    fn from(target: Target) -> Self {
        match target {
            Target::Cpu => Self::Cpu,
            Target::Gpu => Self::Gpu,
            Target::Tpu => Self::Tpu,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_the_same_on_both_sides() {
        let there_and_back = DType::ALL.map(|dtype| DType::from(TensorType::from(dtype)));
        assert_eq!(there_and_back, DType::ALL);
    }

    #[test]
    fn an_input_without_a_name_goes_by_its_place() {
        let tensor = || Tensor::new(&[1], &[1_u8]).unwrap();
        assert_eq!(name(&tensor(), 3), "3");
        assert_eq!(name(&tensor().named("images"), 3), "images");
    }
}
