//! ONNX Runtime's element types and wasi-nn's seven. Pure.

use nn_tensor::DType;
use ort::value::TensorElementType;

/// The element type by ONNX Runtime's name.
pub(crate) const fn to_ort(dtype: DType) -> TensorElementType {
    match dtype {
        DType::Fp16 => TensorElementType::Float16,
        DType::Fp32 => TensorElementType::Float32,
        DType::Fp64 => TensorElementType::Float64,
        DType::Bf16 => TensorElementType::Bfloat16,
        DType::U8 => TensorElementType::Uint8,
        DType::I32 => TensorElementType::Int32,
        DType::I64 => TensorElementType::Int64,
    }
}

/// The other way; `None` for types that wasi-nn has no name for.
pub(crate) fn from_ort(element: TensorElementType) -> Option<DType> {
    DType::ALL
        .into_iter()
        .find(|&dtype| to_ort(dtype) == element)
}

/// All that can be offered, for messages.
pub(crate) fn offered() -> String {
    DType::ALL.map(DType::name).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dtype_comes_back() {
        assert_eq!(
            DType::ALL.map(|dtype| from_ort(to_ort(dtype))),
            DType::ALL.map(Some)
        );
    }

    #[test]
    fn what_wasi_nn_has_not_is_none() {
        assert_eq!(from_ort(TensorElementType::Bool), None);
        assert_eq!(from_ort(TensorElementType::String), None);
    }
}
