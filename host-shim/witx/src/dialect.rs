//! What the numbers of the interface mean. Guests are compiled against different headers that share one
//! module name, so nothing in a guest's imports tells them apart: the host is told, or assumes 0.6.

use std::fmt;
use std::str::FromStr;

use nn_tensor::{DType, Fault, Reason};

/// The numbering that a guest was compiled with. The numbers are those of the guest crate `wasi-nn` in the
/// named version, or of WasmEdge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Dialect {
    /// `wasi-nn` 0.4: four tensor types, no autodetection, errnos up to 5. Its raw bindings are undefined
    /// behaviour on any other errno.
    V04,
    /// `wasi-nn` 0.5: the tensor types of 0.4, everything else of 0.6.
    V05,
    /// `wasi-nn` 0.6, which is the specification.
    #[default]
    V06,
    /// WasmEdge: as 0.6, with encodings of its own. Its errnos from 100 are about language models, which
    /// are not served here.
    WasmEdge,
}

/// What a guest says its model's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// OpenVINO IR.
    Openvino,
    /// ONNX.
    Onnx,
    /// TensorFlow.
    Tensorflow,
    /// PyTorch.
    Pytorch,
    /// TensorFlow Lite.
    TensorflowLite,
    /// GGML; in WasmEdge's numbering and in the component interface.
    Ggml,
    /// The host is to find out.
    Autodetect,
}

/// Where a guest wants its model to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// On the processor.
    Cpu,
    /// On a graphics card.
    Gpu,
    /// On an accelerator.
    Tpu,
    /// Wherever the host likes. Not in the specification; the guest crates since 0.5 have it.
    Auto,
}

// === impl Dialect ===

impl Dialect {
    /// Every dialect.
    pub const ALL: [Self; 4] = [Self::V04, Self::V05, Self::V06, Self::WasmEdge];

    /// Its name on command lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V04 => "0.4",
            Self::V05 => "0.5",
            Self::V06 => "0.6",
            Self::WasmEdge => "wasmedge",
        }
    }

    /// The element type that a number stands for; `invalid-argument` where it stands for none. The
    /// interface has no bf16.
    pub fn dtype(self, number: u8) -> Result<DType, Fault> {
        let (dtype, most) = match self {
            Self::V04 | Self::V05 => {
                let dtype = match number {
                    0 => Some(DType::Fp16),
                    1 => Some(DType::Fp32),
                    2 => Some(DType::U8),
                    3 => Some(DType::I32),
                    _ => None,
                };
                (dtype, 3)
            }
            Self::V06 | Self::WasmEdge => {
                let dtype = match number {
                    0 => Some(DType::Fp16),
                    1 => Some(DType::Fp32),
                    2 => Some(DType::Fp64),
                    3 => Some(DType::U8),
                    4 => Some(DType::I32),
                    5 => Some(DType::I64),
                    _ => None,
                };
                (dtype, 5)
            }
        };
        dtype.ok_or_else(|| {
            Fault::of(Reason::TensorType)
                .message("no tensor type has this number")
                .expected(format!("0 to {most} in dialect {self}"))
                .got(number.to_string())
        })
    }

    /// The encoding that a number stands for; `invalid-encoding` where it stands for none that is known.
    pub fn encoding(self, number: u32) -> Result<Encoding, Fault> {
        let (has_autodetect, has_ggml) = match self {
            Self::V04 => (false, false),
            Self::V05 | Self::V06 => (true, false),
            Self::WasmEdge => (true, true),
        };
        let encoding = match number {
            0 => Some(Encoding::Openvino),
            1 => Some(Encoding::Onnx),
            2 => Some(Encoding::Tensorflow),
            3 => Some(Encoding::Pytorch),
            4 => Some(Encoding::TensorflowLite),
            5 if has_autodetect => Some(Encoding::Autodetect),
            6 if has_ggml => Some(Encoding::Ggml),
            _ => None,
        };
        encoding.ok_or_else(|| {
            Fault::of(Reason::EncodingUnsupported)
                .message("no graph encoding that is known here has this number")
                .expected(if has_autodetect {
                    "1 (onnx) or 5 (autodetect)"
                } else {
                    "1 (onnx)"
                })
                .got(number.to_string())
        })
    }

    /// The execution target that a number stands for; `invalid-argument` where it stands for none.
    pub fn target(self, number: u32) -> Result<Target, Fault> {
        let has_auto = match self {
            Self::V04 => false,
            Self::V05 | Self::V06 | Self::WasmEdge => true,
        };
        match number {
            0 => Ok(Target::Cpu),
            1 => Ok(Target::Gpu),
            2 => Ok(Target::Tpu),
            3 if has_auto => Ok(Target::Auto),
            _ => Err(
                Fault::invalid_argument("no execution target has this number")
                    .because(Reason::TargetNumber)
                    .expected("0 (cpu)")
                    .got(number.to_string()),
            ),
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Dialect {
    type Err = Fault;

    fn from_str(name: &str) -> Result<Self, Fault> {
        let found = Self::ALL.into_iter().find(|dialect| dialect.name() == name);
        found.ok_or_else(|| {
            Fault::invalid_argument("no such witx dialect")
                .expected("0.4, 0.5, 0.6 or wasmedge")
                .got(name.chars().take(32).collect::<String>())
        })
    }
}

// === impl Encoding ===

impl Encoding {
    /// Its name in the interfaces.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Openvino => "openvino",
            Self::Onnx => "onnx",
            Self::Tensorflow => "tensorflow",
            Self::Pytorch => "pytorch",
            Self::TensorflowLite => "tensorflowlite",
            Self::Ggml => "ggml",
            Self::Autodetect => "autodetect",
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

// === impl Target ===

impl Target {
    /// Its name in the interfaces.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
            Self::Tpu => "tpu",
            Self::Auto => "auto",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use nn_tensor::Code;

    use super::*;

    fn types(dialect: Dialect) -> Vec<DType> {
        (0..=u8::MAX).map_while(|n| dialect.dtype(n).ok()).collect()
    }

    #[test]
    fn old_guests_number_u8_and_i32_lower() {
        let old = [DType::Fp16, DType::Fp32, DType::U8, DType::I32];
        assert_eq!(types(Dialect::V04), old);
        assert_eq!(types(Dialect::V05), old);
    }

    #[test]
    fn the_specification_has_six_types_and_no_bf16() {
        let spec = [
            DType::Fp16,
            DType::Fp32,
            DType::Fp64,
            DType::U8,
            DType::I32,
            DType::I64,
        ];
        assert_eq!(types(Dialect::V06), spec);
        assert_eq!(types(Dialect::WasmEdge), spec);
    }

    #[test]
    fn an_unknown_type_is_explained_with_the_dialect() {
        let fault = Dialect::V05.dtype(4).unwrap_err();
        assert_eq!(fault.code, Code::InvalidArgument);
        assert_eq!(fault.expected, "0 to 3 in dialect 0.5");
        assert_eq!(fault.got, "4");
    }

    #[test]
    fn autodetect_and_ggml_are_known_to_those_who_have_them() {
        let five = Dialect::ALL.map(|dialect| dialect.encoding(5).ok());
        let six = Dialect::ALL.map(|dialect| dialect.encoding(6).ok());
        let auto = Some(Encoding::Autodetect);
        assert_eq!(five, [None, auto, auto, auto]);
        assert_eq!(six, [None, None, None, Some(Encoding::Ggml)]);
    }

    #[test]
    fn an_unknown_encoding_and_an_unknown_target_have_codes_of_their_own() {
        let encoding = Dialect::V06.encoding(u32::MAX).unwrap_err();
        let target = Dialect::V06.target(u32::MAX).unwrap_err();
        assert_eq!(encoding.code, Code::InvalidEncoding);
        assert_eq!(target.code, Code::InvalidArgument);
    }

    #[test]
    fn auto_is_a_target_since_0_5() {
        let three = Dialect::ALL.map(|dialect| dialect.target(3).ok());
        let auto = Some(Target::Auto);
        assert_eq!(three, [None, auto, auto, auto]);
    }

    #[test]
    fn names_are_read_back_and_others_refused() {
        let read = Dialect::ALL.map(|dialect| dialect.to_string().parse());
        assert_eq!(read, Dialect::ALL.map(Ok));
        assert_eq!(Dialect::default().name(), "0.6");
        let fault = "0.7".parse::<Dialect>().unwrap_err();
        assert_eq!(fault.expected, "0.4, 0.5, 0.6 or wasmedge");
    }
}
