//! The bytes of a tensor from a short word for them: a number, `ramp`, `seed:N`, `unit:N`, `lcg:N`. Pure and the same
//! for ever.

use crate::{DType, SpecError};
use half::{bf16, f16};

/// A guest has at most 4 GiB of memory; beyond this the argument is a typing error.
const BYTES_MAX: usize = 1 << 30;

/// Marsaglia's xorshift64, so that a test in any language can make the same numbers in three lines.
struct Xorshift(u64);

/// The generator of numbers that every language can make in one line: x = x · 1664525 + 1013904223, modulo 2^32.
struct Lcg(u32);

/// As many elements as the dimensions hold, filled as told.
///
/// # Errors
/// [`SpecError`] when the word fills no element of that type, or when there are more bytes than a guest can have.
pub fn bytes(ty: DType, dimensions: &[u32], fill: &str) -> Result<Vec<u8>, SpecError> {
    let count = dimensions
        .iter()
        .try_fold(1_usize, |count, &extent| {
            count.checked_mul(usize::try_from(extent).ok()?)
        })
        .filter(|&count| count <= BYTES_MAX / ty.size())
        .ok_or_else(|| SpecError::Dimensions(format!("{dimensions:?}")))?;
    let refused = || SpecError::Fill {
        fill: fill.to_owned(),
        count,
        ty: ty.name(),
    };

    let seed = |text: &str| text.parse().map(Xorshift::new).map_err(|_| refused());
    if let Some(text) = fill.strip_prefix("seed:") {
        let mut random = seed(text)?;
        let words = std::iter::repeat_with(|| random.next().to_le_bytes());
        return Ok(words.flatten().take(count * ty.size()).collect());
    }
    let mut filled = Vec::with_capacity(count * ty.size());
    if let Some(text) = fill.strip_prefix("unit:") {
        let mut random = seed(text)?;
        for _ in 0..count {
            put_float(&mut filled, ty, random.unit()).ok_or_else(refused)?;
        }
    } else if let Some(text) = fill.strip_prefix("lcg:") {
        let mut random = Lcg(text.parse().map_err(|_| refused())?);
        for _ in 0..count {
            put_float(&mut filled, ty, random.unit()).ok_or_else(refused)?;
        }
    } else if fill == "ramp" {
        (0_u32..)
            .take(count)
            .for_each(|index| put_index(&mut filled, ty, index));
    } else {
        let element = constant(ty, fill).ok_or_else(refused)?;
        (0..count).for_each(|_| filled.extend_from_slice(&element));
    }
    Ok(filled)
}

fn constant(ty: DType, text: &str) -> Option<Vec<u8>> {
    let mut element = Vec::new();
    match ty {
        DType::U8 => element.push(text.parse().ok()?),
        DType::I32 => element.extend(text.parse::<i32>().ok()?.to_le_bytes()),
        DType::I64 => element.extend(text.parse::<i64>().ok()?.to_le_bytes()),
        DType::Fp16 | DType::Bf16 | DType::Fp32 | DType::Fp64 => {
            put_float(&mut element, ty, text.parse().ok()?)?;
        }
    }
    Some(element)
}

/// An index wraps in the types that are too narrow for it, and is rounded in those that are too coarse.
fn put_index(bytes: &mut Vec<u8>, ty: DType, index: u32) {
    match ty {
        DType::U8 => bytes.push(index.to_le_bytes()[0]),
        DType::I32 => bytes.extend(index.to_le_bytes()),
        DType::I64 => bytes.extend(i64::from(index).to_le_bytes()),
        DType::Fp16 | DType::Bf16 | DType::Fp32 | DType::Fp64 => {
            let _ = put_float(bytes, ty, f64::from(index));
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding to the type that was asked for"
)]
fn put_float(bytes: &mut Vec<u8>, ty: DType, value: f64) -> Option<()> {
    match ty {
        DType::Fp16 => bytes.extend(f16::from_f64(value).to_le_bytes()),
        DType::Bf16 => bytes.extend(bf16::from_f64(value).to_le_bytes()),
        DType::Fp32 => bytes.extend((value as f32).to_le_bytes()),
        DType::Fp64 => bytes.extend(value.to_le_bytes()),
        DType::U8 | DType::I32 | DType::I64 => return None,
    }
    Some(())
}

// === impl Xorshift ===

impl Xorshift {
    /// The state must not be 0, which would stay 0; seed 0 stands for a fixed other one.
    fn new(seed: u64) -> Self {
        Self(if seed == 0 {
            0x9e37_79b9_7f4a_7c15
        } else {
            seed
        })
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// From 0 up to 1 in steps of 2^-8, which every floating-point type holds exactly.
    fn unit(&mut self) -> f64 {
        f64::from(self.next().to_be_bytes()[0]) / 256.0
    }
}

// === impl Lcg ===

impl Lcg {
    /// The top byte of the next state, over 256: every floating-point type holds it exactly.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(self.0.to_be_bytes()[0]) / 256.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ramp_wraps_in_bytes() {
        let ramp = bytes(DType::U8, &[258], "ramp").unwrap();
        assert_eq!(ramp[254..], [254, 255, 0, 1]);
    }

    #[test]
    fn half_precision_numbers_are_encoded() {
        assert_eq!(bytes(DType::Fp16, &[1], "1.5"), Ok(vec![0x00, 0x3e]));
        assert_eq!(bytes(DType::Bf16, &[1], "1.5"), Ok(vec![0xc0, 0x3f]));
    }

    #[test]
    fn seed_gives_the_known_bytes() {
        // x ^= x << 13, x ^= x >> 7, x ^= x << 17 from 1 is 0x40822041.
        let first = bytes(DType::I64, &[1], "seed:1");
        assert_eq!(first, Ok(vec![0x41, 0x20, 0x82, 0x40, 0, 0, 0, 0]));
    }

    #[test]
    fn unit_stays_below_one() {
        let bytes = bytes(DType::Fp64, &[1000], "unit:7").unwrap();
        let (values, _) = bytes.as_chunks();
        assert!(
            values
                .iter()
                .map(|&value| f64::from_le_bytes(value))
                .all(|v| (0.0..1.0).contains(&v))
        );
    }

    #[test]
    fn lcg_gives_the_known_numbers() {
        // From 7: 1025555898, 3923423697, 2630631676; their top bytes are 61, 233, 156.
        let expected: Vec<u8> = [61.0_f32, 233.0, 156.0]
            .iter()
            .flat_map(|byte| (byte / 256.0).to_le_bytes())
            .collect();
        assert_eq!(bytes(DType::Fp32, &[3], "lcg:7"), Ok(expected));
    }

    #[test]
    fn fraction_in_an_integer_tensor_is_refused() {
        let expected = SpecError::Fill {
            fill: "0.5".to_owned(),
            count: 2,
            ty: "i32",
        };
        assert_eq!(bytes(DType::I32, &[2], "0.5"), Err(expected));
    }

    #[test]
    fn dimensions_beyond_memory_are_refused() {
        assert!(bytes(DType::U8, &[u32::MAX, u32::MAX, u32::MAX], "0").is_err());
    }
}
