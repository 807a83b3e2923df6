//! One input or output: its name, its type, its shape.

use nn_tensor::{Dim, TensorSpec};
use serde::Serialize;

/// One input or output.
#[derive(Debug, Serialize)]
pub(super) struct SpecView {
    pub(super) name: String,
    pub(super) dtype: &'static str,
    /// `null` for any rank; in it `null` for any size.
    pub(super) shape: Option<Vec<Option<u32>>>,
}

// === impl SpecView ===

impl SpecView {
    /// `[?, 3, 224, 224]`.
    pub(super) fn shape_text(&self) -> String {
        let Some(dims) = &self.shape else {
            return "any rank".to_owned();
        };
        let dims: Vec<String> = dims
            .iter()
            .map(|dim| dim.map_or_else(|| "?".to_owned(), |dim| dim.to_string()))
            .collect();
        format!("[{}]", dims.join(", "))
    }

    /// The bytes of one such tensor, where every size is fixed.
    pub(super) fn bytes(&self) -> Option<u64> {
        let sizes = self.shape.as_ref()?.iter();
        sizes
            .copied()
            .try_fold(self.element_bytes()?, |product, size| {
                product.checked_mul(size?.into())
            })
    }

    fn element_bytes(&self) -> Option<u64> {
        match self.dtype {
            "u8" => Some(1),
            "fp16" | "bf16" => Some(2),
            "fp32" | "i32" => Some(4),
            "fp64" | "i64" => Some(8),
            _ => None,
        }
    }
}

impl From<&TensorSpec> for SpecView {
    fn from(spec: &TensorSpec) -> Self {
        let dim = |dim: &Dim| match *dim {
            Dim::Fixed(fixed) => Some(fixed),
            Dim::Any => None,
        };
        Self {
            name: spec.name.as_str().to_owned(),
            dtype: spec.dtype.name(),
            shape: spec
                .dims
                .as_ref()
                .map(|dims| dims.iter().map(dim).collect()),
        }
    }
}
