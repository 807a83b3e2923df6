//! Which numbers a guest sends, and what the errnos are called. Pure.

use cases::{DType, Encoding, Target};

/// Whose header this guest pretends to be built with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// The guest crate `wasi-nn` 0.4.
    V04,
    /// The same, 0.5.
    V05,
    /// The same, 0.6, which is the specification.
    V06,
    /// WasmEdge.
    WasmEdge,
}

const ERRNOS: [&str; 9] = [
    "success",
    "invalid-argument",
    "invalid-encoding",
    "missing-memory",
    "busy",
    "runtime-error",
    "unsupported-operation",
    "too-large",
    "not-found",
];

/// The errno's name, with hyphens as the other interface has them.
pub(crate) fn errno_name(errno: i32) -> &'static str {
    let name = usize::try_from(errno).ok().and_then(|n| ERRNOS.get(n));
    name.copied().unwrap_or("unknown-errno")
}

/// The numbers of targets are the same for all.
pub(crate) const fn target(target: Target) -> u32 {
    match target {
        Target::Cpu => 0,
        Target::Gpu => 1,
        Target::Tpu => 2,
    }
}

// === impl Dialect ===

impl Dialect {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "0.4" => Self::V04,
            "0.5" => Self::V05,
            "0.6" => Self::V06,
            "wasmedge" => Self::WasmEdge,
            _ => return None,
        })
    }

    /// `None` for a type that the dialect has no number for.
    pub(crate) const fn tensor_type(self, ty: DType) -> Option<u8> {
        match (self, ty) {
            (_, DType::Fp16) => Some(0),
            (_, DType::Fp32) => Some(1),
            (Self::V04 | Self::V05, DType::U8) => Some(2),
            (Self::V04 | Self::V05, DType::I32) => Some(3),
            (Self::V06 | Self::WasmEdge, DType::Fp64) => Some(2),
            (Self::V06 | Self::WasmEdge, DType::U8) => Some(3),
            (Self::V06 | Self::WasmEdge, DType::I32) => Some(4),
            (Self::V06 | Self::WasmEdge, DType::I64) => Some(5),
            (Self::V04 | Self::V05, DType::Fp64 | DType::I64) | (_, DType::Bf16) => None,
        }
    }

    /// `None` for an encoding that the dialect has no number for.
    pub(crate) const fn encoding(self, encoding: Encoding) -> Option<u32> {
        match (self, encoding) {
            (_, Encoding::Openvino) => Some(0),
            (_, Encoding::Onnx) => Some(1),
            (_, Encoding::Tensorflow) => Some(2),
            (_, Encoding::Pytorch) => Some(3),
            (_, Encoding::TensorflowLite) => Some(4),
            (Self::V05 | Self::V06 | Self::WasmEdge, Encoding::Autodetect) => Some(5),
            (Self::WasmEdge, Encoding::Ggml) => Some(6),
            (Self::V04, Encoding::Autodetect)
            | (Self::V04 | Self::V05 | Self::V06, Encoding::Ggml) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_another_number_in_older_crates() {
        let numbers = ["0.4", "0.5", "0.6", "wasmedge"]
            .map(|name| Dialect::parse(name).unwrap().tensor_type(DType::U8));
        assert_eq!(numbers, [Some(2), Some(2), Some(3), Some(3)]);
    }

    #[test]
    fn no_dialect_has_a_number_for_bf16() {
        assert_eq!(Dialect::V06.tensor_type(DType::Bf16), None);
        assert_eq!(Dialect::V05.tensor_type(DType::Bf16), None);
    }

    #[test]
    fn errnos_have_names_and_others_none() {
        assert_eq!(errno_name(8), "not-found");
        assert_eq!(errno_name(9), "unknown-errno");
        assert_eq!(errno_name(-1), "unknown-errno");
    }
}
