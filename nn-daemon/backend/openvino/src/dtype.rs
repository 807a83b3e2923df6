//! OpenVINO's element types, by number, and wasi-nn's seven. Pure.

use nn_tensor::DType;
use openvino_sys::ov_element_type_e as Element;

/// The element type by OpenVINO's name.
pub(crate) const fn to_openvino(dtype: DType) -> Element {
    match dtype {
        DType::Fp16 => Element::F16,
        DType::Fp32 => Element::F32,
        DType::Fp64 => Element::F64,
        DType::Bf16 => Element::BF16,
        DType::U8 => Element::U8,
        DType::I32 => Element::I32,
        DType::I64 => Element::I64,
    }
}

/// The other way, by number: a library may know more types than this build. `None` for those that wasi-nn has no name for.
pub(crate) fn from_openvino(element: u32) -> Option<DType> {
    DType::ALL
        .into_iter()
        .find(|&dtype| to_openvino(dtype) as u32 == element)
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
            DType::ALL.map(|dtype| from_openvino(to_openvino(dtype) as u32)),
            DType::ALL.map(Some)
        );
    }

    #[test]
    fn what_wasi_nn_has_not_is_none() {
        assert_eq!(from_openvino(Element::OV_BOOLEAN as u32), None);
        assert_eq!(from_openvino(Element::DYNAMIC as u32), None);
        assert_eq!(from_openvino(9999), None);
    }
}
