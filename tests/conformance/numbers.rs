//! Whether what came out is what had to. Integers to the bit; other numbers as far apart as ONNX's own runner lets them be: 1e-3 of
//! the number, or 1e-7; half precisions are compared as the numbers they stand for; NaN is NaN.

use nn_tensor::DType;

use crate::wire::Tensor;

/// How far a number may be off, in parts of it and for itself.
const RELATIVE: f64 = 1e-3;
const ABSOLUTE: f64 = 1e-7;

/// How an output is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    Missing,
    Type,
    Shape,
    Numbers,
}

/// What is wrong with outputs, where something is. Those that tell their names are found by them, others by their places.
pub(crate) fn judge(got: &[Tensor], expected: &[Tensor], order: &[String]) -> Option<Wrong> {
    expected.iter().find_map(|expected| {
        let named = got.iter().find(|got| got.name == expected.name);
        let place = order.iter().position(|name| *name == expected.name);
        let nameless = place
            .and_then(|place| got.get(place))
            .filter(|got| got.name.is_empty());
        match named.or(nameless) {
            Some(got) => judge_one(got, expected),
            None => Some(Wrong::Missing),
        }
    })
}

fn judge_one(got: &Tensor, expected: &Tensor) -> Option<Wrong> {
    let Some(dtype) = expected.dtype else {
        return Some(Wrong::Type);
    };
    if got.dtype.is_some_and(|got| got != dtype) {
        return Some(Wrong::Type);
    }
    let told = got.dims.is_some();
    if (told && got.dims != expected.dims) || got.bytes.len() != expected.bytes.len() {
        return Some(Wrong::Shape);
    }
    if got.bytes == expected.bytes {
        return None;
    }
    let numbers = |tensor: &Tensor| numbers(dtype, &tensor.bytes);
    let right = match (numbers(got), numbers(expected)) {
        (Some(got), Some(expected)) => got
            .iter()
            .zip(&expected)
            .all(|(got, expected)| is_close(*got, *expected)),
        _ => false,
    };
    (!right).then_some(Wrong::Numbers)
}

fn is_close(got: f64, expected: f64) -> bool {
    if got.is_nan() || expected.is_nan() {
        return got.is_nan() && expected.is_nan();
    }
    if got.is_infinite() || expected.is_infinite() {
        return got.total_cmp(&expected).is_eq();
    }
    (got - expected).abs() <= ABSOLUTE + RELATIVE * expected.abs()
}

/// `None` for integers, of which only the bytes count.
fn numbers(dtype: DType, bytes: &[u8]) -> Option<Vec<f64>> {
    let halves = || {
        bytes
            .as_chunks()
            .0
            .iter()
            .map(|bytes| u16::from_le_bytes(*bytes))
    };
    Some(match dtype {
        DType::Fp64 => bytes
            .as_chunks()
            .0
            .iter()
            .map(|bytes| f64::from_le_bytes(*bytes))
            .collect(),
        DType::Fp32 => {
            let singles = bytes.as_chunks().0.iter();
            singles
                .map(|bytes| f32::from_le_bytes(*bytes).into())
                .collect()
        }
        DType::Bf16 => halves()
            .map(|bits| f32::from_bits(u32::from(bits) << 16).into())
            .collect(),
        DType::Fp16 => halves().map(half).collect(),
        DType::U8 | DType::I32 | DType::I64 => return None,
    })
}

/// IEEE half precision: a sign, 5 bits of exponent, 10 of fraction.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (
        i32::from(bits >> 10 & 0x1f),
        f64::from(bits & 0x3ff) / 1024.0,
    );
    sign * match exponent {
        0 => fraction * 2_f64.powi(-14),
        0x1f if fraction > 0.0 => f64::NAN,
        0x1f => f64::INFINITY,
        exponent => (1.0 + fraction) * 2_f64.powi(exponent - 15),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(name: &str, dtype: DType, dims: &[u32], bytes: &[u8]) -> Tensor {
        Tensor {
            name: name.to_owned(),
            dtype: Some(dtype),
            dims: Some(dims.to_vec()),
            bytes: bytes.to_vec(),
        }
    }

    fn f32s(values: &[f32]) -> Tensor {
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        let count = u32::try_from(values.len()).unwrap();
        tensor("y", DType::Fp32, &[count], &bytes)
    }

    fn alone(got: &Tensor, expected: &Tensor) -> Option<Wrong> {
        judge(
            std::slice::from_ref(got),
            std::slice::from_ref(expected),
            &["y".to_owned()],
        )
    }

    #[test]
    fn numbers_may_be_a_thousandth_off_and_no_more() {
        let expected = f32s(&[1000.0, f32::NAN, f32::INFINITY, 0.0]);
        assert_eq!(
            alone(&f32s(&[1000.9, f32::NAN, f32::INFINITY, 5e-8]), &expected),
            None
        );
        let wrong = [
            f32s(&[1001.1, f32::NAN, f32::INFINITY, 0.0]),
            f32s(&[1000.0, 1.0, f32::INFINITY, 0.0]),
            f32s(&[1000.0, f32::NAN, f32::NEG_INFINITY, 0.0]),
            f32s(&[1000.0, f32::NAN, f32::MAX, 0.0]),
            f32s(&[1000.0, f32::NAN, f32::INFINITY, 2e-7]),
        ];
        let judged = wrong.map(|got| alone(&got, &expected));
        assert_eq!(judged, [Some(Wrong::Numbers); 5]);
    }

    #[test]
    fn integers_are_exact() {
        let of = |value: i64| tensor("y", DType::I64, &[1], &value.to_le_bytes());
        assert_eq!(alone(&of(1 << 40), &of(1 << 40)), None);
        assert_eq!(
            alone(&of((1 << 40) + 1), &of(1 << 40)),
            Some(Wrong::Numbers)
        );
    }

    #[test]
    fn half_precisions_are_the_numbers_they_stand_for() {
        let bits: [u16; 6] = [0x3c00, 0xc000, 0x0001, 0x7bff, 0xfc00, 0x3555];
        let numbers = bits.map(half);
        let right = [
            1.0,
            -2.0,
            2_f64.powi(-24),
            65_504.0,
            f64::NEG_INFINITY,
            0.333_251_953_125,
        ];
        assert_eq!(numbers, right);
        assert!(half(0x7e00).is_nan());
        let bf16 = |bits: u16| tensor("y", DType::Bf16, &[1], &bits.to_le_bytes());
        assert_eq!(
            alone(&bf16(0x3f81), &bf16(0x3f80)),
            Some(Wrong::Numbers),
            "1.0078 is not 1"
        );
        assert_eq!(
            alone(&bf16(0x8000), &bf16(0)),
            None,
            "nothing is as much as minus nothing"
        );
    }

    #[test]
    fn an_output_is_found_by_name_or_by_place_and_its_type_and_shape_count() {
        let order = ["x".to_owned(), "y".to_owned()];
        let expected = [f32s(&[1.0, 2.0])];
        let other = tensor("x", DType::U8, &[], &[1]);
        let nameless = Tensor {
            name: String::new(),
            dtype: None,
            dims: None,
            bytes: expected[0].bytes.clone(),
        };
        let found = |got: &[Tensor]| judge(got, &expected, &order);
        assert_eq!(found(&[expected[0].clone(), other.clone()]), None);
        assert_eq!(found(&[nameless.clone(), nameless.clone()]), None);
        assert_eq!(found(std::slice::from_ref(&other)), Some(Wrong::Missing));
        let bytes = expected[0].bytes.as_slice();
        assert_eq!(
            found(&[tensor("y", DType::Fp32, &[2, 1], bytes)]),
            Some(Wrong::Shape)
        );
        assert_eq!(
            found(&[tensor("y", DType::I32, &[2], bytes)]),
            Some(Wrong::Type)
        );
    }
}
