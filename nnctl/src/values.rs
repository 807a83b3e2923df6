//! Elements as numbers, for people to look at. Pure.

use std::fmt;

use nn_tensor::DType;
use serde::Serialize;

/// One element. JSON has no NaN and no infinity: they are `null` there.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Value {
    /// fp16, bf16 and fp32.
    Single(f32),
    /// fp64.
    Double(f64),
    /// The integers.
    Integer(i64),
}

/// The first `count` elements of `bytes`.
pub(crate) fn first(dtype: DType, bytes: &[u8], count: usize) -> Vec<Value> {
    let size = usize::try_from(dtype.size()).unwrap_or(usize::MAX);
    bytes
        .chunks_exact(size)
        .take(count)
        .filter_map(|element| value(dtype, element))
        .collect()
}

/// An element from its little-endian bytes; `None` where there are not enough of them.
fn value(dtype: DType, element: &[u8]) -> Option<Value> {
    Some(match dtype {
        DType::Fp16 => Value::Single(from_fp16(u16::from_le_bytes(element.try_into().ok()?))),
        DType::Bf16 => {
            let bits = u16::from_le_bytes(element.try_into().ok()?);
            Value::Single(f32::from_bits(u32::from(bits) << 16))
        }
        DType::Fp32 => Value::Single(f32::from_le_bytes(element.try_into().ok()?)),
        DType::Fp64 => Value::Double(f64::from_le_bytes(element.try_into().ok()?)),
        DType::U8 => Value::Integer(element.first().copied()?.into()),
        DType::I32 => Value::Integer(i32::from_le_bytes(element.try_into().ok()?).into()),
        DType::I64 => Value::Integer(i64::from_le_bytes(element.try_into().ok()?)),
    })
}

/// IEEE 754 half precision: 1 bit of sign, 5 of exponent (bias 15), 10 of fraction.
fn from_fp16(bits: u16) -> f32 {
    let sign = if bits >> 15 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from(bits >> 10 & 0x1f);
    let fraction = f32::from(bits & 0x3ff);
    match (exponent, bits & 0x3ff) {
        (0x1f, 0) => sign * f32::INFINITY,
        (0x1f, _) => f32::NAN,
        (0, _) => sign * fraction * 2_f32.powi(-24),
        _ => sign * (1024.0 + fraction) * 2_f32.powi(exponent - 25),
    }
}

// === impl Value ===

/// Rounded to what one can take in: six digits behind the point, or five significant ones.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = match *self {
            Self::Single(number) => f64::from(number),
            Self::Double(number) => number,
            Self::Integer(number) => return write!(f, "{number}"),
        };
        let plain = number == 0.0 || (1e-3..1e6).contains(&number.abs());
        if !plain && number.is_finite() {
            return write!(f, "{number:.4e}");
        }
        let digits = format!("{number:.6}");
        let short = digits.trim_end_matches('0');
        f.write_str(if short.ends_with('.') {
            short.trim_end_matches('.')
        } else {
            short
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_agrees_with_known_values() {
        let bits = [
            0x0000, 0x3c00, 0xc000, 0x7bff, 0x0001, 0x0400, 0xfc00, 0x3555,
        ];
        let expected = [
            0.0,
            1.0,
            -2.0,
            65504.0,
            5.960_464_5e-8,
            6.103_515_6e-5,
            f32::NEG_INFINITY,
            0.333_251_95,
        ];
        assert_eq!(bits.map(from_fp16), expected);
        assert!(from_fp16(0x7e00).is_nan());
    }

    #[test]
    fn each_dtype_reads_its_bytes() {
        let one = |dtype, bytes: &[u8]| first(dtype, bytes, 8);
        assert_eq!(one(DType::Bf16, &[0x80, 0x3f]), [Value::Single(1.0)]);
        assert_eq!(
            one(DType::Fp32, &1.5_f32.to_le_bytes()),
            [Value::Single(1.5)]
        );
        assert_eq!(
            one(DType::Fp64, &0.1_f64.to_le_bytes()),
            [Value::Double(0.1)]
        );
        assert_eq!(one(DType::U8, &[255]), [Value::Integer(255)]);
        assert_eq!(
            one(DType::I32, &(-1_i32).to_le_bytes()),
            [Value::Integer(-1)]
        );
        assert_eq!(
            one(DType::I64, &i64::MIN.to_le_bytes()),
            [Value::Integer(i64::MIN)]
        );
    }

    #[test]
    fn only_so_many_are_read() {
        assert_eq!(first(DType::U8, &[1, 2, 3], 2).len(), 2);
    }

    #[test]
    fn text_is_rounded() {
        let values = [0.0, 1.0, 0.1, -2.5, 0.001_031_938_7, 1e-9, 1e30, f32::NAN];
        let texts = values.map(|value| Value::Single(value).to_string());
        assert_eq!(
            texts,
            [
                "0",
                "1",
                "0.1",
                "-2.5",
                "0.001032",
                "1.0000e-9",
                "1.0000e30",
                "NaN"
            ]
        );
        assert_eq!(Value::Single(-f32::INFINITY).to_string(), "-inf");
        assert_eq!(Value::Double(100.0).to_string(), "100");
    }

    #[test]
    fn json_has_short_numbers_and_null_for_what_it_cannot_say() {
        let values = [
            Value::Single(0.1),
            Value::Single(f32::NAN),
            Value::Integer(3),
        ];
        assert_eq!(serde_json::to_string(&values).unwrap(), "[0.1,null,3]");
    }
}
