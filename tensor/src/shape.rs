//! Dimensions with checked arithmetic: a shape that exists has a rank within bounds, and asking for
//! its byte length can fail but never wrap.

use std::fmt;

use crate::{DType, RANK_MAX};

/// The dimensions of a tensor, row-major. Rank 0 is a scalar of one element; a dimension of 0 makes
/// a tensor without elements.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Shape {
    rank: u8,
    dims: [u32; RANK_MAX],
}

/// Why dimensions are no shape, or a shape has no byte length.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// More dimensions than [`RANK_MAX`].
    #[error("a tensor of rank {rank}; the highest is {RANK_MAX}")]
    Rank {
        /// The rank that was asked for.
        rank: usize,
    },
    /// The product of the dimensions and the element size does not fit into 63 bits.
    #[error("the byte length of {dtype} {shape} does not fit into 63 bits")]
    Overflow {
        /// Element type.
        dtype: DType,
        /// The offending shape.
        shape: Shape,
    },
}

// === impl Shape ===

impl Shape {
    /// A shape from dimensions; fails when there are more than [`RANK_MAX`].
    pub fn new(dims: &[u32]) -> Result<Self, ShapeError> {
        let too_long = || ShapeError::Rank { rank: dims.len() };
        let rank = u8::try_from(dims.len()).map_err(|_| too_long())?;
        let mut shape = Self {
            rank,
            dims: [0; RANK_MAX],
        };
        shape
            .dims
            .get_mut(..dims.len())
            .ok_or_else(too_long)?
            .copy_from_slice(dims);
        Ok(shape)
    }

    /// The dimensions, outermost first.
    #[must_use]
    pub fn dims(&self) -> &[u32] {
        self.dims.get(..usize::from(self.rank)).unwrap_or(&[])
    }

    /// How many dimensions.
    #[must_use]
    pub fn rank(&self) -> usize {
        usize::from(self.rank)
    }

    /// How many elements; `None` when the product does not fit into 64 bits.
    #[must_use]
    pub fn elements(&self) -> Option<u64> {
        // A zero anywhere makes the product zero, whatever the other dimensions would overflow to.
        if self.dims().contains(&0) {
            return Some(0);
        }
        self.dims()
            .iter()
            .try_fold(1_u64, |product, &dim| product.checked_mul(u64::from(dim)))
    }

    /// Bytes of a tensor of this shape: elements × element size, at most 2^63 − 1.
    pub fn byte_len(&self, dtype: DType) -> Result<u64, ShapeError> {
        self.elements()
            .and_then(|elements| elements.checked_mul(dtype.size()))
            .filter(|&bytes| i64::try_from(bytes).is_ok())
            .ok_or(ShapeError::Overflow {
                dtype,
                shape: *self,
            })
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.dims(), f)
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_scalar_has_one_element() {
        let scalar = Shape::new(&[]).unwrap();
        assert_eq!(scalar.byte_len(DType::Fp64), Ok(8));
        assert_eq!(scalar.rank(), 0);
    }

    #[test]
    fn nine_dimensions_are_refused() {
        assert_eq!(Shape::new(&[1; 9]), Err(ShapeError::Rank { rank: 9 }));
    }

    #[test]
    fn a_zero_dimension_wins_over_overflow() {
        let shape = Shape::new(&[u32::MAX, u32::MAX, u32::MAX, 0]).unwrap();
        assert_eq!(shape.byte_len(DType::Fp32), Ok(0));
    }

    proptest! {
        #[test]
        fn byte_length_agrees_with_wide_arithmetic(
            dims in prop::collection::vec(any::<u32>(), 0..=RANK_MAX),
            dtype in prop::sample::select(DType::ALL.to_vec()),
        ) {
            let wide = dims.iter().try_fold(u128::from(dtype.size()), |p, &d| p.checked_mul(u128::from(d)));
            let wide = if dims.contains(&0) { Some(0) } else { wide };
            let expected = wide.filter(|&b| b <= u128::from(i64::MAX.unsigned_abs()));
            let got = Shape::new(&dims).unwrap().byte_len(dtype).ok().map(u128::from);
            prop_assert_eq!(got, expected);
        }
    }
}
