//! Inputs as they are specified to tensors of this ABI.

use cases::{DType, Input};
use nn_guest::component::{NamedTensor, Tensor, TensorType};

pub(crate) const fn tensor_type(ty: DType) -> TensorType {
    match ty {
        DType::Fp16 => TensorType::Fp16,
        DType::Fp32 => TensorType::Fp32,
        DType::Fp64 => TensorType::Fp64,
        DType::Bf16 => TensorType::Bf16,
        DType::U8 => TensorType::U8,
        DType::I32 => TensorType::I32,
        DType::I64 => TensorType::I64,
    }
}

pub(crate) const fn dtype(ty: TensorType) -> DType {
    match ty {
        TensorType::Fp16 => DType::Fp16,
        TensorType::Fp32 => DType::Fp32,
        TensorType::Fp64 => DType::Fp64,
        TensorType::Bf16 => DType::Bf16,
        TensorType::U8 => DType::U8,
        TensorType::I32 => DType::I32,
        TensorType::I64 => DType::I64,
    }
}

/// A fresh tensor: `compute` consumes the tensor, not what it was made from.
pub(crate) fn tensor(input: &Input) -> Tensor {
    Tensor::new(&input.dimensions, tensor_type(input.ty), &input.bytes)
}

/// Fresh tensors of all inputs.
pub(crate) fn tensors(inputs: &[Input]) -> Vec<NamedTensor> {
    inputs
        .iter()
        .map(|input| (input.name.clone(), tensor(input)))
        .collect()
}
