//! Arguments to inputs: `NAME=DTYPE:DIMS:FILL`. Pure; a typing error of the test's author comes back with its text.

use nn_guest::{NamedTensor, Tensor, TensorType, parse_type};
use thiserror::Error;

use crate::fill;

/// What to make a tensor of, as often as wanted: `compute` consumes the tensor, not this.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Input {
    pub(crate) name: String,
    pub(crate) ty: TensorType,
    pub(crate) dimensions: Vec<u32>,
    pub(crate) bytes: Vec<u8>,
}

/// What is wrong with an argument.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum SpecError {
    #[error("{0} is not NAME=DTYPE:DIMS:FILL")]
    Shape(String),
    #[error("{0} is not a type of element")]
    Type(String),
    #[error("{0} are not dimensions")]
    Dimensions(String),
    #[error("{fill} does not fill {count} elements of {ty}")]
    Fill {
        fill: String,
        count: usize,
        ty: &'static str,
    },
    #[error("{0} is not a number")]
    Number(String),
}

/// `2x3`, or `scalar`.
pub(crate) fn dimensions(text: &str) -> Result<Vec<u32>, SpecError> {
    if text == "scalar" {
        return Ok(Vec::new());
    }
    let parsed: Result<_, _> = text.split('x').map(str::parse).collect();
    parsed.map_err(|_| SpecError::Dimensions(text.to_owned()))
}

pub(crate) fn element_type(text: &str) -> Result<TensorType, SpecError> {
    parse_type(text).ok_or_else(|| SpecError::Type(text.to_owned()))
}

pub(crate) fn number<T: std::str::FromStr>(text: &str) -> Result<T, SpecError> {
    text.parse().map_err(|_| SpecError::Number(text.to_owned()))
}

pub(crate) fn inputs(arguments: &[&str]) -> Result<Vec<Input>, SpecError> {
    arguments
        .iter()
        .map(|argument| Input::parse(argument))
        .collect()
}

/// Fresh tensors of all inputs.
pub(crate) fn tensors(inputs: &[Input]) -> Vec<NamedTensor> {
    inputs
        .iter()
        .map(|input| (input.name.clone(), input.tensor()))
        .collect()
}

// === impl Input ===

impl Input {
    fn parse(argument: &str) -> Result<Self, SpecError> {
        let shape = || SpecError::Shape(argument.to_owned());
        // A model's own names may hold an equals sign; a specification never does.
        let (name, rest) = argument.rsplit_once('=').ok_or_else(shape)?;
        let mut parts = rest.splitn(3, ':');
        let mut part = || parts.next().ok_or_else(shape);
        let (ty, dims, filling) = (part()?, part()?, part()?);
        let (ty, dimensions) = (element_type(ty)?, dimensions(dims)?);
        let bytes = fill::bytes(ty, &dimensions, filling)?;
        Ok(Self {
            name: name.to_owned(),
            ty,
            dimensions,
            bytes,
        })
    }

    pub(crate) fn tensor(&self) -> Tensor {
        Tensor::new(&self.dimensions, self.ty, &self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_is_taken_apart() {
        let input = Input::parse("a=b:0=u8:2x2:7").unwrap();
        assert_eq!(input.name, "a=b:0");
        assert_eq!(input.dimensions, [2, 2]);
        assert_eq!(input.bytes, [7; 4]);
    }

    #[test]
    fn scalar_has_one_element() {
        assert_eq!(
            Input::parse("x=fp32:scalar:1").unwrap().bytes,
            1.0_f32.to_le_bytes()
        );
    }

    #[test]
    fn zero_size_has_none() {
        assert_eq!(Input::parse("x=fp32:0x4:1").unwrap().bytes, []);
    }

    #[test]
    fn input_without_filling_is_refused() {
        assert_eq!(
            Input::parse("x=fp32:1"),
            Err(SpecError::Shape("x=fp32:1".to_owned()))
        );
    }

    #[test]
    fn unknown_type_is_refused() {
        assert_eq!(
            Input::parse("x=f32:1:0"),
            Err(SpecError::Type("f32".to_owned()))
        );
    }

    #[test]
    fn negative_dimension_is_refused() {
        assert_eq!(
            dimensions("2x-1"),
            Err(SpecError::Dimensions("2x-1".to_owned()))
        );
    }
}
