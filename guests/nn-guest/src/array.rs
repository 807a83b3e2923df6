//! Arrays of the crate `ndarray` as inputs, and outputs as arrays.

use std::borrow::Cow;

use ndarray::{ArrayBase, ArrayView, CowArray, Data, Dimension, IxDyn};

use crate::{Code, Element, Failure, Tensor};

impl<'a> Tensor<'a> {
    /// An array as a tensor of the same dimensions. One in standard layout (row-major, without gaps) is borrowed; of any
    /// other its elements are copied in order.
    ///
    /// ```
    /// use ndarray::array;
    /// use nn_guest::Tensor;
    /// let input = Tensor::from_array(&array![[1.0_f32, 2.0], [3.0, 4.0]].t())?.to_vec::<f32>()?;
    /// assert_eq!(input, [1.0, 3.0, 2.0, 4.0]);
    /// # Ok::<(), nn_guest::Failure>(())
    /// ```
    ///
    /// # Errors
    /// [`Code::InvalidArgument`] when an axis is longer than the interface can say.
    pub fn from_array<T, S, D>(array: &'a ArrayBase<S, D>) -> Result<Self, Failure>
    where
        T: Element,
        S: Data<Elem = T>,
        D: Dimension,
    {
        let dims: Result<Vec<u32>, _> = array.shape().iter().map(|&n| u32::try_from(n)).collect();
        let dims = dims.map_err(|_| {
            Failure::of(Code::InvalidArgument, "an axis of the array is too long")
                .expected("at most 4294967295 elements along each")
                .got(format!("{:?}", array.shape()))
        })?;
        let bytes: Cow<'a, [u8]> = match array.as_slice() {
            Some(values) => Cow::Borrowed(bytemuck::cast_slice(values)),
            None => array
                .iter()
                .flat_map(|value| bytemuck::bytes_of(value).iter().copied())
                .collect(),
        };
        Self::from_bytes(T::DTYPE, &dims, bytes)
    }

    /// The numbers as an array: a view of the tensor's own memory where its alignment allows it, as it does in practice;
    /// else a copy.
    ///
    /// ```
    /// use nn_guest::Tensor;
    /// let tensor = Tensor::new(&[2, 2], &[1.0_f32, 2.0, 3.0, 4.0])?;
    /// assert_eq!(tensor.array::<f32>()?[[1, 0]], 3.0);
    /// # Ok::<(), nn_guest::Failure>(())
    /// ```
    ///
    /// # Errors
    /// As [`Tensor::values`]; and [`Code::UnsupportedOperation`] for an output of a core module that has not been told its
    /// shape by [`Tensor::with_shape`].
    pub fn array<T: Element>(&self) -> Result<CowArray<'_, T, IxDyn>, Failure> {
        let dims = self.dims().ok_or_else(|| {
            Failure::of(
                Code::UnsupportedOperation,
                "the interface does not tell the dimensions of this tensor",
            )
            .got(self.told())
            .hint("say them with `with_shape`, or build a component")
        })?;
        let dims: Vec<usize> = dims
            .iter()
            .map(|&dim| usize::try_from(dim).unwrap_or(usize::MAX))
            .collect();
        let misfit = |_| {
            Failure::of(
                Code::InvalidArgument,
                "the tensor's bytes do not fill its dimensions",
            )
            .got(format!("{} with {} bytes", self.told(), self.bytes().len()))
        };
        let shape = IxDyn(&dims);
        match self.values::<T>()? {
            Cow::Borrowed(values) => {
                let view = ArrayView::from_shape(shape, values).map_err(misfit)?;
                Ok(view.into())
            }
            Cow::Owned(values) => {
                let array = ndarray::Array::from_shape_vec(shape, values).map_err(misfit)?;
                Ok(array.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    #[test]
    fn an_array_in_standard_layout_is_not_copied() {
        let array: Array2<f32> = array![[1.0, 2.0, 3.0]];
        let tensor = Tensor::from_array(&array).unwrap();
        assert_eq!(tensor.dims(), Some(&[1, 3][..]));
        assert_eq!(tensor.bytes().as_ptr(), array.as_ptr().cast());
    }

    #[test]
    fn a_part_of_an_array_is_copied_in_order() {
        let array = array![[1_i32, 2, 3], [4, 5, 6]];
        let column = array.column(1);
        let tensor = Tensor::from_array(&column).unwrap();
        assert_eq!(tensor.to_vec::<i32>().unwrap(), [2, 5]);
    }

    #[test]
    fn an_output_is_viewed_where_it_lies() {
        let tensor = Tensor::new(&[1, 2, 2], &[1_u8, 2, 3, 4]).unwrap();
        let view = tensor.array::<u8>().unwrap();
        assert_eq!(view.as_ptr(), tensor.bytes().as_ptr());
        assert_eq!((view.shape(), view[[0, 1, 0]]), (&[1, 2, 2][..], 3));
    }

    #[test]
    fn a_scalar_has_no_axes() {
        let tensor = Tensor::new(&[], &[7_i64]).unwrap();
        assert_eq!(tensor.array::<i64>().unwrap().ndim(), 0);
    }

    #[test]
    fn an_untold_output_needs_its_shape_said() {
        let output = Tensor::untold(vec![0; 8]);
        let failure = output.array::<f32>().unwrap_err();
        assert_eq!(failure.code, Code::UnsupportedOperation);
        let output = output.with_shape::<f32>(&[2, 1]).unwrap();
        assert_eq!(output.array::<f32>().unwrap().shape(), [2, 1]);
    }

    #[test]
    fn bytes_that_a_host_counted_wrong_are_refused() {
        let output = Tensor::answered(None, crate::DType::Fp32, vec![3], vec![0; 8]);
        assert!(output.array::<f32>().is_err());
    }
}
