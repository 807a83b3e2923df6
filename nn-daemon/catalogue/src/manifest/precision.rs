//! `precision` of a `model.toml`: which numbers a model's weights and what lies between its layers are computed in.

use nn_tensor::{Code, Fault};

/// What a framework computes in, whatever the model's inputs and outputs are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// As the model says: what is f32 in it stays so.
    #[default]
    F32,
    /// What the processor is fastest with, bf16 for one: fewer digits.
    Native,
}

// === impl Precision ===

impl Precision {
    /// As `model.toml` calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Native => "native",
        }
    }

    /// Reads it; nothing said is f32.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        match text {
            "" | "f32" => Ok(Self::F32),
            "native" => Ok(Self::Native),
            other => Err(Fault::new(
                Code::UnsupportedOperation,
                "model.toml: there is no such precision here",
            )
            .expected("f32, native")
            .got(other.chars().take(64).collect::<String>())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Manifest;

    fn read(text: &str) -> Result<Manifest, Fault> {
        Manifest::parse(text, |_| Err(Fault::invalid_argument("no file is named")))
    }

    #[test]
    fn what_is_said_is_read_and_written_again() {
        let native = read("precision = \"native\"").unwrap();
        assert_eq!(native.precision, Precision::Native);
        assert_eq!(native.to_text().unwrap(), "precision = \"native\"\n");
    }

    #[test]
    fn nothing_said_is_f32_and_so_is_f32() {
        for text in ["", "precision = \"f32\""] {
            let manifest = read(text).unwrap();
            assert_eq!(manifest.precision, Precision::F32);
            assert_eq!(manifest.to_text().unwrap(), "");
        }
    }

    #[test]
    fn an_unknown_one_is_refused_with_both_that_there_are() {
        let fault = read("precision = \"bf16\"").unwrap_err();
        assert_eq!(fault.code, Code::UnsupportedOperation);
        assert_eq!((&*fault.expected, &*fault.got), ("f32, native", "bf16"));
    }

    #[test]
    fn onnx_runtime_has_no_native_one() {
        let fault = read("backend = \"onnxruntime\"\nprecision = \"native\"").unwrap_err();
        assert_eq!(fault.code, Code::UnsupportedOperation);
        assert!(fault.hint.contains("openvino"), "{fault}");
        assert!(read("backend = \"openvino\"\nprecision = \"native\"").is_ok());
    }
}
