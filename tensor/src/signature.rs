//! A model's inputs and outputs, and whether given tensors fit them. Pure; knows no framework.

use std::fmt;

use crate::{DType, Fault, Reason, Shape, TensorName, nearest};

/// How much of a name is told.
const NAME_CHARS_MAX: usize = 64;

/// How much of all names of inputs is told: a fault travels in a header.
const NAMES_BYTES_MAX: usize = 512;

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
    #[error("the model has no input {}", told(.name))]
    NoSuchInput {
        /// The name as it came.
        name: String,
        /// The names that would have been right.
        inputs: String,
        /// The one that was probably meant; empty where none is like it.
        nearest: String,
    },
    /// An input came twice (by name and by index, perhaps).
    #[error("input {} was given twice", told(.name.as_str()))]
    Twice {
        /// The model's name of the input.
        name: TensorName,
    },
    /// An input did not come.
    #[error("input {} is missing", told(.name.as_str()))]
    Missing {
        /// The model's name of the input.
        name: TensorName,
        /// What it should have been.
        spec: String,
    },
    /// Element type or dimensions do not fit.
    #[error("input {} has {}", told(.name.as_str()), .why.what())]
    Misfit {
        /// The model's name of the input.
        name: TensorName,
        /// In what.
        why: Misfit,
        /// What the model takes.
        spec: String,
        /// What came.
        got: String,
    },
}

/// In what a tensor differs from what a model takes; the first of these that it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// The element type.
    DType,
    /// The number of dimensions.
    Rank,
    /// A dimension.
    Shape,
}

/// A name for people: escaped and cut.
fn told(name: &str) -> String {
    let cut: String = name.chars().take(NAME_CHARS_MAX).collect();
    let more = if cut.len() < name.len() { "…" } else { "" };
    format!("{}{more}", cut.escape_debug())
}

// === impl Misfit ===

impl Misfit {
    const fn reason(self) -> Reason {
        match self {
            Self::DType => Reason::InputDtype,
            Self::Rank => Reason::InputRank,
            Self::Shape => Reason::InputShape,
        }
    }

    /// Follows "the input has".
    const fn what(self) -> &'static str {
        match self {
            Self::DType => "another element type than the model takes",
            Self::Rank => "another number of dimensions than the model takes",
            Self::Shape => "other dimensions than the model takes",
        }
    }
}

// === impl TensorSpec ===

impl TensorSpec {
    /// Whether a tensor of this dtype and shape fits. A scalar fits `[]` and `[1]` alike: wasi-nn
    /// writes scalars as `[1]`.
    #[must_use]
    pub fn fits(&self, dtype: DType, shape: Shape) -> bool {
        self.misfit(dtype, shape).is_none()
    }

    /// In what a tensor of this dtype and shape does not fit.
    #[must_use]
    pub fn misfit(&self, dtype: DType, shape: Shape) -> Option<Misfit> {
        if dtype != self.dtype {
            return Some(Misfit::DType);
        }
        let dims = self.dims.as_ref()?;
        if dims.is_empty() {
            let is_scalar = shape.rank() == 0 || shape.dims() == [1];
            return (!is_scalar).then_some(Misfit::Rank);
        }
        if dims.len() != shape.rank() {
            return Some(Misfit::Rank);
        }
        let differs = |(want, got): (&Dim, &u32)| match want {
            Dim::Fixed(fixed) => fixed != got,
            Dim::Any => false,
        };
        let differs = dims.iter().zip(shape.dims()).any(differs);
        differs.then_some(Misfit::Shape)
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
                nearest: self.nearest_input(name),
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
            if let Some(why) = spec.misfit(dtype, shape) {
                return Err(Mismatch::Misfit {
                    name: spec.name.clone(),
                    why,
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
        let mut names = String::new();
        for spec in &self.inputs {
            let name = told(spec.name.as_str());
            if names.len().saturating_add(name.len()) > NAMES_BYTES_MAX {
                names.push_str(", …");
                break;
            }
            names.push_str(if names.is_empty() { "" } else { ", " });
            names.push_str(&name);
        }
        names
    }

    fn nearest_input(&self, name: &str) -> String {
        let names = self.inputs.iter().map(|spec| spec.name.as_str());
        nearest(names, name).map(told).unwrap_or_default()
    }
}

// === impl Mismatch ===

impl From<Mismatch> for Fault {
    fn from(mismatch: Mismatch) -> Self {
        let message = mismatch.to_string();
        let fault = |reason| Self::of(reason).message(message);
        match mismatch {
            Mismatch::NoSuchInput {
                name,
                inputs,
                nearest,
            } => {
                let fault = fault(Reason::InputUnknown).got(told(&name));
                let fault = match inputs.as_str() {
                    "" => fault.expected("none: the model has no inputs"),
                    _ => fault.expected(format!("one of: {inputs}")),
                };
                match nearest.as_str() {
                    "" => fault,
                    nearest => fault.hint(format!(
                        "did you mean {nearest}? `nnctl describe NAME` lists a model's inputs"
                    )),
                }
            }
            Mismatch::Twice { .. } => fault(Reason::InputTwice).expected("each input once"),
            Mismatch::Missing { spec, .. } => {
                fault(Reason::InputMissing).expected(spec).got("no tensor")
            }
            Mismatch::Misfit { why, spec, got, .. } => fault(why.reason()).expected(spec).got(got),
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
    fn a_misfit_is_told_by_the_first_thing_that_differs() {
        let of = |dtype, dims: &[u32]| {
            let given = [("x", dtype, shape(dims)), ("n", DType::I64, shape(&[1]))];
            Fault::from(signature().accepts(given).unwrap_err()).reason
        };
        assert_eq!(of(DType::U8, &[1]), Some(Reason::InputDtype));
        assert_eq!(of(DType::Fp32, &[3]), Some(Reason::InputRank));
        assert_eq!(of(DType::Fp32, &[1, 4]), Some(Reason::InputShape));
    }

    #[test]
    fn an_unknown_input_is_told_the_nearest_and_its_own_name_is_escaped() {
        let told = |name: &str| {
            let given = [(name, DType::Fp32, shape(&[1, 3]))];
            Fault::from(signature().accepts(given).unwrap_err())
        };
        assert!(told("X\u{1b}[2J").message.ends_with("X\\u{1b}[2J"));
        assert_eq!(told("images").expected, "one of: x, n");
        let of_many = Signature {
            inputs: vec![spec("pixel_values", DType::Fp32, &[])],
            outputs: Vec::new(),
        };
        let given = [("pixel_value", DType::Fp32, shape(&[]))];
        let fault = Fault::from(of_many.accepts(given).unwrap_err());
        assert!(
            fault.hint.starts_with("did you mean pixel_values?"),
            "{fault}"
        );
    }

    #[test]
    fn a_missing_input_is_named() {
        let only_x = [("x", DType::Fp32, shape(&[1, 3]))];
        let missing = signature().accepts(only_x).unwrap_err();
        assert_eq!(missing.to_string(), "input n is missing");
    }
}
