//! A tensor as the guest has it: numbers along axes, with a name if it needs one, checked where it is made.

use std::borrow::Cow;
use std::fmt;

use crate::{Code, DType, Element, Failure};

#[cfg(test)]
mod tests;

/// Numbers for a model, or of one: element type, dimensions, bytes, and the name of the input or output they belong to.
///
/// Elements are in row-major order. The bytes are borrowed from whoever made the tensor, so that it costs no copy; the host
/// makes its own in `compute`. An output owns its bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Tensor<'a> {
    name: Option<String>,
    /// `None` for what a core module was answered: its interface gives bytes and nothing else.
    shape: Option<Shape>,
    bytes: Cow<'a, [u8]>,
}

/// What the elements are, and how many of them lie along each axis.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shape {
    dtype: DType,
    dims: Vec<u32>,
}

/// The bytes that a shape needs; `None` beyond what memory can hold.
fn bytes_of(dtype: DType, dims: &[u32]) -> Option<usize> {
    if dims.contains(&0) {
        return Some(0);
    }
    dims.iter().try_fold(dtype.size(), |bytes, &dim| {
        bytes.checked_mul(usize::try_from(dim).ok()?)
    })
}

fn counted(dtype: DType, dims: &[u32]) -> String {
    match bytes_of(dtype, dims) {
        Some(bytes) => format!(
            "{} elements for {dtype} {dims:?}, {bytes} bytes",
            bytes / dtype.size()
        ),
        None => format!("{dtype} {dims:?} to fit into memory"),
    }
}

// === impl Tensor ===

impl<'a> Tensor<'a> {
    /// A tensor of numbers; their type decides the element type. No dimensions at all make a scalar, of one number.
    ///
    /// ```
    /// use nn_guest::{DType, Tensor};
    /// let input = Tensor::new(&[1, 3], &[0.0_f32, 0.5, 1.0])?;
    /// assert_eq!((input.dtype(), input.bytes().len()), (Some(DType::Fp32), 12));
    /// # Ok::<(), nn_guest::Failure>(())
    /// ```
    ///
    /// # Errors
    /// [`Code::InvalidArgument`] when there are not as many numbers as the dimensions' product.
    pub fn new<T: Element>(dims: &[u32], values: &'a [T]) -> Result<Self, Failure> {
        if bytes_of(T::DTYPE, dims) != Some(size_of_val(values)) {
            return Err(Failure::of(
                Code::InvalidArgument,
                "the numbers do not fill the dimensions",
            )
            .expected(counted(T::DTYPE, dims))
            .got(format!("{} elements", values.len())));
        }
        Self::from_bytes(T::DTYPE, dims, bytemuck::cast_slice(values))
    }

    /// A tensor of bytes as they are, little-endian: for element types that have no Rust number, or bytes from elsewhere.
    ///
    /// ```
    /// use nn_guest::{DType, Tensor};
    /// let ones = Tensor::from_bytes(DType::Fp16, &[2], vec![0x00, 0x3c, 0x00, 0x3c])?;
    /// # assert_eq!(ones.dims(), Some(&[2][..]));
    /// # Ok::<(), nn_guest::Failure>(())
    /// ```
    ///
    /// # Errors
    /// [`Code::InvalidArgument`] when there are not as many bytes as type and dimensions need.
    pub fn from_bytes(
        dtype: DType,
        dims: &[u32],
        bytes: impl Into<Cow<'a, [u8]>>,
    ) -> Result<Self, Failure> {
        let bytes = bytes.into();
        if bytes_of(dtype, dims) != Some(bytes.len()) {
            return Err(Failure::of(
                Code::InvalidArgument,
                "the bytes do not fill the dimensions",
            )
            .expected(counted(dtype, dims))
            .got(format!("{} bytes", bytes.len())));
        }
        Ok(Self::answered(None, dtype, dims.to_vec(), bytes))
    }

    /// What a host says that it is. A host that says what cannot be is met by whoever reads it.
    pub(crate) fn answered(
        name: Option<String>,
        dtype: DType,
        dims: Vec<u32>,
        bytes: impl Into<Cow<'a, [u8]>>,
    ) -> Self {
        Self {
            name,
            shape: Some(Shape { dtype, dims }),
            bytes: bytes.into(),
        }
    }

    /// Bytes of which the interface says nothing.
    #[cfg_attr(
        not(feature = "core-module"),
        expect(dead_code, reason = "a component tells")
    )]
    pub(crate) fn untold(bytes: Vec<u8>) -> Self {
        Self {
            name: None,
            shape: None,
            bytes: bytes.into(),
        }
    }

    /// The same for the model's input of that name, in place of the one at its place in the list. Core modules have no
    /// names: there, a compute with a named tensor is refused.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The same with bytes of its own, to outlive what it was made of.
    #[must_use]
    pub fn into_owned(self) -> Tensor<'static> {
        Tensor {
            name: self.name,
            shape: self.shape,
            bytes: Cow::Owned(self.bytes.into_owned()),
        }
    }

    /// The same numbers for another compute: borrowed, and without the name that they had as an output, so that they go by their
    /// place, or by the name that they are given then. So a model's state goes round:
    ///
    /// ```no_run
    /// # use nn_guest::{Failure, Tensor, load_by_name};
    /// # fn main() -> Result<(), Failure> {
    /// # let frames: [[f32; 512]; 2] = [[0.0; 512]; 2];
    /// let model = load_by_name("listener")?;
    /// let mut state = Tensor::new(&[2, 1, 128], &[0.0_f32; 256])?.into_owned();
    /// for frame in &frames {
    ///     let outputs = model.compute(&[Tensor::new(&[1, 512], frame)?, state.as_input()])?;
    ///     let [heard, next] = outputs.exactly()?;
    ///     println!("{}", heard.number::<f32>()?);
    ///     // The dimensions are known in a component, and said for a core module.
    ///     state = next.with_shape::<f32>(&[2, 1, 128])?;
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn as_input(&self) -> Tensor<'_> {
        Tensor {
            name: None,
            shape: self.shape.clone(),
            bytes: Cow::Borrowed(&self.bytes),
        }
    }

    /// Says what an output is, where the interface does not; where it does, checks that it is so. With this, a guest that
    /// knows its model reads the same answer over both.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`] when the host says otherwise, or the bytes are not as many.
    pub fn with_shape<T: Element>(mut self, dims: &[u32]) -> Result<Self, Failure> {
        let differs = match &self.shape {
            Some(shape) => shape.dtype != T::DTYPE || shape.dims != dims,
            None => bytes_of(T::DTYPE, dims) != Some(self.bytes.len()),
        };
        if differs {
            let failure = Failure::of(Code::InvalidArgument, "the tensor has another shape");
            return Err(failure.expected(counted(T::DTYPE, dims)).got(self.told()));
        }
        self.shape = Some(Shape {
            dtype: T::DTYPE,
            dims: dims.to_vec(),
        });
        Ok(self)
    }

    /// The input or output that it belongs to. A component's outputs have one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The type of the elements. `None` for an output of a core module.
    #[must_use]
    pub fn dtype(&self) -> Option<DType> {
        self.shape.as_ref().map(|shape| shape.dtype)
    }

    /// How many elements lie along each axis, outermost first. `None` for an output of a core module.
    #[must_use]
    pub fn dims(&self) -> Option<&[u32]> {
        self.shape.as_ref().map(|shape| shape.dims.as_slice())
    }

    /// The elements' bytes, little-endian.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same, taken out; a tensor that owns them copies nothing.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes.into_owned()
    }

    /// The numbers, copied out.
    ///
    /// ```
    /// use nn_guest::Tensor;
    /// let tensor = Tensor::new(&[2], &[1_i64, -1])?;
    /// assert_eq!(tensor.to_vec::<i64>()?, [1, -1]);
    /// assert!(tensor.to_vec::<f32>().is_err());
    /// # Ok::<(), nn_guest::Failure>(())
    /// ```
    ///
    /// # Errors
    /// As [`Tensor::values`].
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>, Failure> {
        self.values().map(Cow::into_owned)
    }

    /// The number, where there is exactly one: a scalar, or dimensions that are all 1.
    ///
    /// ```
    /// use nn_guest::Tensor;
    /// assert_eq!(Tensor::new(&[1, 1], &[0.5_f32])?.number::<f32>()?, 0.5);
    /// assert!(Tensor::new(&[2], &[0.5_f32, 1.0])?.number::<f32>().is_err());
    /// # Ok::<(), nn_guest::Failure>(())
    /// ```
    ///
    /// # Errors
    /// As [`Tensor::values`], and when there are more, or none.
    pub fn number<T: Element>(&self) -> Result<T, Failure> {
        match self.values::<T>()?.as_ref() {
            [number] => Ok(*number),
            _ => Err(
                Failure::of(Code::InvalidArgument, "the tensor is not one number")
                    .expected(format!("one {}", T::DTYPE))
                    .got(self.told()),
            ),
        }
    }

    /// The numbers: as they lie in memory where their alignment allows it, as it does in practice; else copied.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`] when the elements are of another type, or, in what a core module was answered, the bytes are
    /// not a whole number of elements. That is all that can be checked there: 8 bytes may be one i64 or two fp32.
    pub fn values<T: Element>(&self) -> Result<Cow<'_, [T]>, Failure> {
        if self.dtype().is_some_and(|dtype| dtype != T::DTYPE)
            || !self.bytes.len().is_multiple_of(size_of::<T>())
        {
            let failure = Failure::of(Code::InvalidArgument, "the tensor holds other elements");
            return Err(failure.expected(T::DTYPE).got(self.told()));
        }
        if let Ok(values) = bytemuck::try_cast_slice(&self.bytes) {
            return Ok(Cow::Borrowed(values));
        }
        let mut values = vec![T::zeroed(); self.bytes.len() / size_of::<T>()];
        bytemuck::cast_slice_mut(&mut values).copy_from_slice(&self.bytes);
        Ok(Cow::Owned(values))
    }

    /// A core module's output cannot be passed on as an input before somebody has said what it is.
    pub(crate) fn shapeless(&self, place: impl fmt::Display) -> Failure {
        Failure::of(
            Code::InvalidArgument,
            format!("input {place} has no element type and no dimensions"),
        )
        .got(self.told())
        .hint("say them with `with_shape`: it is an output of a core module")
    }

    /// What is known of it, for a person.
    pub(crate) fn told(&self) -> String {
        match &self.shape {
            Some(Shape { dtype, dims }) => format!("{dtype} {dims:?}"),
            None => format!("{} bytes", self.bytes.len()),
        }
    }
}

impl fmt::Debug for Tensor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tensor")
            .field("name", &self.name)
            .field("dtype", &self.dtype())
            .field("dims", &self.dims())
            .field("bytes", &self.bytes.len())
            .finish()
    }
}
