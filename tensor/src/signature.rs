//! A model's inputs and outputs, and whether given tensors fit them. Pure; knows no framework.

use std::fmt;

use crate::{DType, Fault, Shape, TensorName};

/// One dimension of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dim {
    /// Exactly this many.
    Fixed(u32),
    /// Any number, chosen per call.
    Any,
}

/// What a model says of one of its inputs or outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// The model's own name for it.
    pub name: TensorName,
    /// Element type.
    pub dtype: DType,
    /// Dimensions; `None` where the model leaves even the rank open.
    pub dims: Option<Vec<Dim>>,
}

/// Inputs and outputs of a model, in the model's order.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Signature {
    /// What the model takes.
    pub inputs: Vec<TensorSpec>,
    /// What it gives.
    pub outputs: Vec<TensorSpec>,
}

/// How the tensors of a call differ from a signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The model has no such input.
    #[error("the model has no input {name}")]
    NoSuchInput {
        /// The name as it came.
        name: String,
        /// The names that would have been right.
        inputs: String,
    },
    /// An input came twice (by name and by index, perhaps).
    #[error("input {name} was given twice")]
    Twice {
        /// The model's name of the input.
        name: TensorName,
    },
    /// An input did not come.
    #[error("input {name} is missing")]
    Missing {
        /// The model's name of the input.
        name: TensorName,
        /// What it should have been.
        spec: String,
    },
    /// Element type or dimensions do not fit.
    #[error("input {name} does not fit the model")]
    Misfit {
        /// The model's name of the input.
        name: TensorName,
        /// What the model takes.
        spec: String,
        /// What came.
        got: String,
    },
}

// === impl TensorSpec ===

impl TensorSpec {
    /// Whether a tensor of this dtype and shape fits. A scalar fits `[]` and `[1]` alike: wasi-nn
    /// writes scalars as `[1]`.
    #[must_use]
    pub fn fits(&self, dtype: DType, shape: Shape) -> bool {
        if dtype != self.dtype {
            return false;
        }
        let Some(dims) = &self.dims else { return true };
        if dims.is_empty() {
            return shape.rank() == 0 || shape.dims() == [1];
        }
        dims.len() == shape.rank()
            && dims
                .iter()
                .zip(shape.dims())
                .all(|(want, &got)| match *want {
                    Dim::Fixed(fixed) => fixed == got,
                    Dim::Any => true,
                })
    }

    /// The shape, where every dimension is fixed.
    #[must_use]
    pub fn fixed_shape(&self) -> Option<Shape> {
        let dims: Option<Vec<u32>> = self
            .dims
            .as_ref()?
            .iter()
            .map(|dim| match *dim {
                Dim::Fixed(fixed) => Some(fixed),
                Dim::Any => None,
            })
            .collect();
        Shape::new(&dims?).ok()
    }
}

/// `fp32 [?, 3, 224, 224]`.
impl fmt::Display for TensorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.dtype)?;
        let Some(dims) = &self.dims else {
            return f.write_str("of any rank");
        };
        let dims: Vec<String> = dims
            .iter()
            .map(|dim| match dim {
                Dim::Fixed(fixed) => fixed.to_string(),
                Dim::Any => "?".to_owned(),
            })
            .collect();
        write!(f, "[{}]", dims.join(", "))
    }
}

// === impl Signature ===

impl Signature {
    /// The input that `name` means: by the model's name, else by decimal index.
    #[must_use]
    pub fn input(&self, name: &str) -> Option<usize> {
        self.inputs
            .iter()
            .position(|spec| spec.name.as_str() == name)
            .or_else(|| {
                name.parse()
                    .ok()
                    .filter(|&index: &usize| index < self.inputs.len())
            })
    }

    /// Checks that exactly the model's inputs came, each fitting; gives, per tensor, the index of
    /// the input it is for.
    pub fn accepts<'a>(
        &self,
        tensors: impl IntoIterator<Item = (&'a str, DType, Shape)>,
    ) -> Result<Vec<usize>, Mismatch> {
        let mut seen = vec![false; self.inputs.len()];
        let mut order = Vec::with_capacity(self.inputs.len());
        for (name, dtype, shape) in tensors {
            let unknown = || Mismatch::NoSuchInput {
                name: name.to_owned(),
                inputs: self.input_names(),
            };
            let index = self.input(name).ok_or_else(unknown)?;
            let (spec, seen) = self
                .inputs
                .get(index)
                .zip(seen.get_mut(index))
                .ok_or_else(unknown)?;
            if std::mem::replace(seen, true) {
                return Err(Mismatch::Twice {
                    name: spec.name.clone(),
                });
            }
            if !spec.fits(dtype, shape) {
                return Err(Mismatch::Misfit {
                    name: spec.name.clone(),
                    spec: spec.to_string(),
                    got: format!("{dtype} {shape}"),
                });
            }
            order.push(index);
        }
        match self.inputs.iter().zip(&seen).find(|(_, seen)| !**seen) {
            Some((spec, _)) => Err(Mismatch::Missing {
                name: spec.name.clone(),
                spec: spec.to_string(),
            }),
            None => Ok(order),
        }
    }

    fn input_names(&self) -> String {
        let names: Vec<&str> = self.inputs.iter().map(|spec| spec.name.as_str()).collect();
        names.join(", ")
    }
}

// === impl Mismatch ===

impl From<Mismatch> for Fault {
    fn from(mismatch: Mismatch) -> Self {
        let fault = Self::invalid_argument(mismatch.to_string());
        match mismatch {
            Mismatch::NoSuchInput { name, inputs } => fault
                .expected(format!("one of: {inputs}"))
                .got(name.chars().take(64).collect::<String>())
                .hint("`nnctl describe NAME` lists a model's inputs; a decimal index works too"),
            Mismatch::Twice { .. } => fault
                .expected("each input once")
                .hint("an input may be named or numbered, not both"),
            Mismatch::Missing { spec, .. } => fault.expected(spec).got("no tensor"),
            Mismatch::Misfit { spec, got, .. } => fault
                .expected(spec)
                .got(got)
                .hint("`nnctl describe NAME` shows the model's signature; ? stands for any size"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, dtype: DType, dims: &[Dim]) -> TensorSpec {
        TensorSpec {
            name: TensorName::new(name).unwrap(),
            dtype,
            dims: Some(dims.to_vec()),
        }
    }

    fn signature() -> Signature {
        let inputs = vec![
            spec("x", DType::Fp32, &[Dim::Any, Dim::Fixed(3)]),
            spec("n", DType::I64, &[]),
        ];
        Signature {
            inputs,
            outputs: Vec::new(),
        }
    }

    fn shape(dims: &[u32]) -> Shape {
        Shape::new(dims).unwrap()
    }

    #[test]
    fn names_and_indices_reach_the_same_inputs() {
        let by_name = [
            ("n", DType::I64, shape(&[1])),
            ("x", DType::Fp32, shape(&[7, 3])),
        ];
        let by_index = [
            ("0", DType::Fp32, shape(&[0, 3])),
            ("1", DType::I64, shape(&[])),
        ];
        assert_eq!(signature().accepts(by_name), Ok(vec![1, 0]));
        assert_eq!(signature().accepts(by_index), Ok(vec![0, 1]));
    }

    #[test]
    fn an_input_by_name_and_index_is_given_twice() {
        let twice = [
            ("x", DType::Fp32, shape(&[1, 3])),
            ("0", DType::Fp32, shape(&[1, 3])),
        ];
        assert!(matches!(
            signature().accepts(twice),
            Err(Mismatch::Twice { .. })
        ));
    }

    #[test]
    fn a_wrong_shape_is_explained_by_both_shapes() {
        let wrong = [("x", DType::Fp32, shape(&[1, 4]))];
        let fault = Fault::from(signature().accepts(wrong).unwrap_err());
        assert_eq!(
            (fault.expected.as_str(), fault.got.as_str()),
            ("fp32 [?, 3]", "fp32 [1, 4]")
        );
    }

    #[test]
    fn a_missing_input_is_named() {
        let only_x = [("x", DType::Fp32, shape(&[1, 3]))];
        let missing = signature().accepts(only_x).unwrap_err();
        assert_eq!(missing.to_string(), "input n is missing");
    }
}
