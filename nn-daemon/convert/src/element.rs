//! Element types as Rust has them, and what each number is in another of them.

use half::{bf16, f16};

/// Something that a tensor is made of, little-endian.
pub(crate) trait Element: Copy + Default {
    const SIZE: usize;

    fn read(bytes: &[u8]) -> Self;

    fn write(self, to: &mut [u8]);

    /// The same number, without loss.
    fn wide(self) -> Wide;

    /// The nearest number of this type, a tie going to the even one; `None` where there is none: beyond the bounds, or no
    /// number where only numbers are.
    fn narrow(wide: Wide) -> Option<Self>;
}

/// Any number of any element type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Wide {
    Int(i64),
    Real(f64),
}

impl std::fmt::Display for Wide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Int(int) => write!(f, "{int}"),
            Self::Real(real) => write!(f, "{real:?}"),
        }
    }
}

/// 2^63: the first whole number above every i64.
const I64_END: f64 = 9_223_372_036_854_775_808.0;

/// The nearest whole number; `None` beyond an i64, for infinities and for what is no number.
#[expect(
    clippy::cast_possible_truncation,
    reason = "within the bounds, which are checked"
)]
fn whole(real: f64) -> Option<i64> {
    let nearest = real.round_ties_even();
    (-I64_END..I64_END)
        .contains(&nearest)
        .then_some(nearest as i64)
}

/// A single that keeps what a further rounding has to know: where the number lies between two singles it is the one with
/// the odd fraction, which no rounding to fewer bits takes for a tie.
#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding is what is asked for"
)]
fn odd_of_real(real: f64) -> f32 {
    let near = real as f32;
    let back = f64::from(near);
    odd(near, back.abs().partial_cmp(&real.abs()))
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "rounding is what is asked for; every single from 2^24 up to 2^63 is a whole number"
)]
fn odd_of_int(int: i64) -> f32 {
    let near = int as f32;
    let back = near as i128;
    let order = back.unsigned_abs().cmp(&u128::from(int.unsigned_abs()));
    odd(near, Some(order))
}

/// `near`, or its neighbour on the other side of the number that it stands for. `order`: of the two without their signs.
fn odd(near: f32, order: Option<std::cmp::Ordering>) -> f32 {
    let bits = near.to_bits();
    match order {
        Some(std::cmp::Ordering::Less) if bits & 1 == 0 => f32::from_bits(bits.wrapping_add(1)),
        Some(std::cmp::Ordering::Greater) if bits & 1 == 0 => f32::from_bits(bits.wrapping_sub(1)),
        _ => near,
    }
}

macro_rules! bytes_of {
    ($type:ty) => {
        const SIZE: usize = size_of::<$type>();

        fn read(bytes: &[u8]) -> Self {
            bytes
                .first_chunk()
                .map_or_else(Self::default, |bytes| Self::from_le_bytes(*bytes))
        }

        fn write(self, to: &mut [u8]) {
            if let Some(to) = to.first_chunk_mut() {
                *to = self.to_le_bytes();
            }
        }
    };
}

macro_rules! integer {
    ($type:ty) => {
        impl Element for $type {
            bytes_of!($type);

            fn wide(self) -> Wide {
                Wide::Int(i64::from(self))
            }

            fn narrow(wide: Wide) -> Option<Self> {
                let int = match wide {
                    Wide::Int(int) => int,
                    Wide::Real(real) => whole(real)?,
                };
                Self::try_from(int).ok()
            }
        }
    };
}

integer!(u8);
integer!(i32);
integer!(i64);

impl Element for f64 {
    bytes_of!(f64);

    fn wide(self) -> Wide {
        Wide::Real(self)
    }

    #[expect(clippy::cast_precision_loss, reason = "rounding is what is asked for")]
    fn narrow(wide: Wide) -> Option<Self> {
        Some(match wide {
            Wide::Int(int) => int as Self,
            Wide::Real(real) => real,
        })
    }
}

impl Element for f32 {
    bytes_of!(f32);

    fn wide(self) -> Wide {
        Wide::Real(f64::from(self))
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "rounding is what is asked for"
    )]
    fn narrow(wide: Wide) -> Option<Self> {
        match wide {
            Wide::Int(int) => Some(int as Self),
            Wide::Real(real) => {
                let near = real as Self;
                (near.is_finite() || !real.is_finite()).then_some(near)
            }
        }
    }
}

macro_rules! half_precision {
    ($type:ty) => {
        impl Element for $type {
            bytes_of!($type);

            fn wide(self) -> Wide {
                Wide::Real(f64::from(self.to_f32()))
            }

            fn narrow(wide: Wide) -> Option<Self> {
                let (odd, is_finite) = match wide {
                    Wide::Int(int) => (odd_of_int(int), true),
                    Wide::Real(real) => (odd_of_real(real), real.is_finite()),
                };
                let near = Self::from_f32(odd);
                (near.is_finite() || !is_finite).then_some(near)
            }
        }
    };
}

half_precision!(f16);
half_precision!(bf16);
