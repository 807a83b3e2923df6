//! Slices of numbers to tensors and back, checked: a wrong length or type is an error here, with both values in it.

use thiserror::Error;

use crate::{Tensor, TensorType, dtype::type_name};

/// A Rust number that a tensor can hold as it is. The half-precision types have none; use [`Tensor::new`] with bytes.
pub trait Element: Copy {
    /// The tensor type of this number.
    const TYPE: TensorType;

    /// Appends the little-endian bytes.
    fn put(self, bytes: &mut Vec<u8>);

    /// Reads all of `bytes`; a remainder shorter than one element is left out.
    fn take_all(bytes: &[u8]) -> Vec<Self>;
}

/// Why a slice is not a tensor, or a tensor not a slice.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TensorError {
    /// The slice and the dimensions speak of different numbers of elements.
    #[error("{len} elements do not fill the dimensions {dimensions:?}")]
    Length {
        /// What was asked for.
        dimensions: Vec<u32>,
        /// What was given.
        len: usize,
    },
    /// The tensor holds another type of element.
    #[error("the tensor holds {}, not {}", type_name(*got), type_name(*expected))]
    Type {
        /// What the caller reads.
        expected: TensorType,
        /// What the tensor holds.
        got: TensorType,
    },
}

/// Makes a tensor from numbers.
///
/// # Errors
/// [`TensorError::Length`] when `values` is not exactly as long as the product of `dimensions`.
pub fn tensor<T: Element>(dimensions: &[u32], values: &[T]) -> Result<Tensor, TensorError> {
    Ok(Tensor::new(
        dimensions,
        T::TYPE,
        &to_bytes(dimensions, values)?,
    ))
}

/// Copies a tensor's numbers out of the host.
///
/// # Errors
/// [`TensorError::Type`] when the tensor does not hold `T`.
pub fn elements<T: Element>(tensor: &Tensor) -> Result<Vec<T>, TensorError> {
    let got = tensor.ty();
    if got != T::TYPE {
        return Err(TensorError::Type {
            expected: T::TYPE,
            got,
        });
    }
    Ok(T::take_all(&tensor.data()))
}

fn to_bytes<T: Element>(dimensions: &[u32], values: &[T]) -> Result<Vec<u8>, TensorError> {
    let count = dimensions.iter().try_fold(1_usize, |count, &dimension| {
        count.checked_mul(usize::try_from(dimension).ok()?)
    });
    if count != Some(values.len()) {
        return Err(TensorError::Length {
            dimensions: dimensions.to_vec(),
            len: values.len(),
        });
    }
    let mut bytes = Vec::with_capacity(size_of_val(values));
    values.iter().for_each(|value| value.put(&mut bytes));
    Ok(bytes)
}

macro_rules! element {
    ($number:ty, $ty:expr) => {
        impl Element for $number {
            const TYPE: TensorType = $ty;

            fn put(self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_le_bytes());
            }

            fn take_all(bytes: &[u8]) -> Vec<Self> {
                let (whole, _rest) = bytes.as_chunks();
                whole
                    .iter()
                    .map(|&element| Self::from_le_bytes(element))
                    .collect()
            }
        }
    };
}

element!(f32, TensorType::Fp32);
element!(f64, TensorType::Fp64);
element!(u8, TensorType::U8);
element!(i32, TensorType::I32);
element!(i64, TensorType::I64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_the_way_through_bytes() {
        let bytes = to_bytes(&[2, 2], &[1_i64, -2, i64::MAX, i64::MIN]).unwrap();
        assert_eq!(bytes.len(), 32);
        assert_eq!(i64::take_all(&bytes), [1, -2, i64::MAX, i64::MIN]);
    }

    #[test]
    fn scalar_takes_one_element() {
        assert_eq!(to_bytes(&[], &[7_u8]), Ok(vec![7]));
    }

    #[test]
    fn too_few_elements_are_refused() {
        let expected = TensorError::Length {
            dimensions: vec![2, 3],
            len: 5,
        };
        assert_eq!(to_bytes(&[2, 3], &[0.0_f32; 5]), Err(expected));
    }

    #[test]
    fn dimensions_that_overflow_are_refused() {
        assert!(to_bytes::<u8>(&[u32::MAX; 3], &[]).is_err());
    }
}
