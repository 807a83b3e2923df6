//! Numbers to probabilities along one dimension, without overflow: the largest is taken from each first.

use crate::element::Element;

/// A tensor as three dimensions, of which the middle one is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Along {
    pub(crate) len: usize,
    /// Elements from one of them to the next.
    pub(crate) stride: usize,
}

/// What is computed with.
pub(crate) trait Real: Element {
    fn number(self) -> f64;

    /// e to the power of `self − largest`.
    fn exp_of(self, largest: Self) -> Self;

    fn divided(self, sum: f64) -> Self;

    fn larger(self, other: Self) -> Self;

    const LEAST: Self;
}

macro_rules! real {
    ($type:ty) => {
        impl Real for $type {
            const LEAST: Self = Self::NEG_INFINITY;

            fn number(self) -> f64 {
                f64::from(self)
            }

            fn exp_of(self, largest: Self) -> Self {
                (self - largest).exp()
            }

            #[expect(
                clippy::allow_attributes,
                reason = "only one of the types is narrower than the sum"
            )]
            #[allow(
                clippy::cast_possible_truncation,
                trivial_numeric_casts,
                reason = "rounding is what is asked for"
            )]
            fn divided(self, sum: f64) -> Self {
                (f64::from(self) / sum) as Self
            }

            fn larger(self, other: Self) -> Self {
                self.max(other)
            }
        }
    };
}

real!(f32);
real!(f64);

/// In place.
pub(crate) fn softmax<T: Real>(bytes: &mut [u8], along: Along) {
    let Along { len, stride } = along;
    let block = len.saturating_mul(stride).saturating_mul(T::SIZE);
    if block == 0 {
        return;
    }
    let mut row = vec![T::default(); len];
    for block in bytes.chunks_exact_mut(block) {
        for at in 0..stride {
            let skipped = at.saturating_mul(T::SIZE);
            let step = stride.saturating_mul(T::SIZE);
            let places = block.get(skipped..).unwrap_or_default().chunks(step);
            for (number, bytes) in row.iter_mut().zip(places) {
                *number = T::read(bytes);
            }
            probabilities(&mut row);
            let places = block.get_mut(skipped..).unwrap_or_default();
            for (number, bytes) in row.iter().zip(places.chunks_mut(step)) {
                number.write(bytes);
            }
        }
    }
}

fn probabilities<T: Real>(row: &mut [T]) {
    let largest = row.iter().fold(T::LEAST, |max, &next| max.larger(next));
    let mut sum = 0.0;
    for number in row.iter_mut() {
        *number = number.exp_of(largest);
        sum += number.number();
    }
    for number in row.iter_mut() {
        *number = number.divided(sum);
    }
}

#[cfg(test)]
mod tests;
