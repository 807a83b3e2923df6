//! Arguments to inputs: `NAME=DTYPE:DIMS:FILL`. A typing error of the test's author comes back with its text.

use thiserror::Error;

use crate::{DType, fill};

/// What to make a tensor of, as often as wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The model's name for it, or an index in decimal.
    pub name: String,
    /// Element type.
    pub ty: DType,
    /// Dimensions; none for a scalar.
    pub dimensions: Vec<u32>,
    /// Elements, little-endian. As many as the dimensions say, unless that is what a test is about.
    pub bytes: Vec<u8>,
}

/// What a model's bytes are said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the standard's own names")]
pub enum Encoding {
    Openvino,
    Onnx,
    Tensorflow,
    Pytorch,
    TensorflowLite,
    Ggml,
    Autodetect,
}

/// What a model is to run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the standard's own names")]
pub enum Target {
    Cpu,
    Gpu,
    Tpu,
}

/// What is wrong with an argument.
#[derive(Debug, Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum SpecError {
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
    #[error("{0} is not an encoding")]
    Encoding(String),
    #[error("{0} is not a target")]
    Target(String),
    #[error("{0} is not a step")]
    Step(String),
}

/// `2x3`, or `scalar`.
///
/// # Errors
/// [`SpecError::Dimensions`]
pub fn dimensions(text: &str) -> Result<Vec<u32>, SpecError> {
    if text == "scalar" {
        return Ok(Vec::new());
    }
    let parsed: Result<_, _> = text.split('x').map(str::parse).collect();
    parsed.map_err(|_| SpecError::Dimensions(text.to_owned()))
}

/// A number of any integer type.
///
/// # Errors
/// [`SpecError::Number`]
pub fn number<T: std::str::FromStr>(text: &str) -> Result<T, SpecError> {
    text.parse().map_err(|_| SpecError::Number(text.to_owned()))
}

/// An input from each argument.
///
/// # Errors
/// [`SpecError`] of the first that is none.
pub fn inputs(arguments: &[&str]) -> Result<Vec<Input>, SpecError> {
    arguments
        .iter()
        .map(|argument| Input::parse(argument))
        .collect()
}

/// The bytes of `FILE[,FILE]`, a part each.
///
/// # Errors
/// What the file system says, with the path.
pub fn read_parts(files: &str) -> Result<Vec<Vec<u8>>, String> {
    files
        .split(',')
        .map(|path| std::fs::read(path).map_err(|error| format!("{path}: {error}")))
        .collect()
}

/// `NAME=DTYPE:DIMS:REST`, taken apart.
fn head(argument: &str) -> Result<(&str, DType, Vec<u32>, &str), SpecError> {
    let shape = || SpecError::Shape(argument.to_owned());
    // A model's own names may hold an equals sign; a specification never does.
    let (name, rest) = argument.rsplit_once('=').ok_or_else(shape)?;
    let mut parts = rest.splitn(3, ':');
    let mut part = || parts.next().ok_or_else(shape);
    let (ty, dims, rest) = (part()?, part()?, part()?);
    let ty = DType::parse(ty).ok_or_else(|| SpecError::Type(ty.to_owned()))?;
    Ok((name, ty, dimensions(dims)?, rest))
}

// === impl Input ===

impl Input {
    /// `NAME=DTYPE:DIMS:FILL`
    ///
    /// # Errors
    /// [`SpecError`]
    pub fn parse(argument: &str) -> Result<Self, SpecError> {
        let (name, ty, dimensions, filling) = head(argument)?;
        let bytes = fill(ty, &dimensions, filling)?;
        Ok(Self {
            name: name.to_owned(),
            ty,
            dimensions,
            bytes,
        })
    }

    /// `NAME=DTYPE:DIMS:LEN`: zero bytes, whatever the dimensions say.
    ///
    /// # Errors
    /// [`SpecError`]
    pub fn parse_raw(argument: &str) -> Result<Self, SpecError> {
        let (name, ty, dimensions, len) = head(argument)?;
        Ok(Self {
            name: name.to_owned(),
            ty,
            dimensions,
            bytes: vec![0; number(len)?],
        })
    }
}

// === impl Encoding ===

impl Encoding {
    /// By the standard's name.
    ///
    /// # Errors
    /// [`SpecError::Encoding`]
    pub fn parse(name: &str) -> Result<Self, SpecError> {
        Ok(match name {
            "openvino" => Self::Openvino,
            "onnx" => Self::Onnx,
            "tensorflow" => Self::Tensorflow,
            "pytorch" => Self::Pytorch,
            "tensorflowlite" => Self::TensorflowLite,
            "ggml" => Self::Ggml,
            "autodetect" => Self::Autodetect,
            _ => return Err(SpecError::Encoding(name.to_owned())),
        })
    }
}

// === impl Target ===

impl Target {
    /// By the standard's name.
    ///
    /// # Errors
    /// [`SpecError::Target`]
    pub fn parse(name: &str) -> Result<Self, SpecError> {
        Ok(match name {
            "cpu" => Self::Cpu,
            "gpu" => Self::Gpu,
            "tpu" => Self::Tpu,
            _ => return Err(SpecError::Target(name.to_owned())),
        })
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
    fn raw_input_has_the_length_it_says() {
        assert_eq!(Input::parse_raw("x=fp32:2:3").unwrap().bytes, [0; 3]);
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
