//! Values to text, for lines that machines compare. Pure.

use half::{bf16, f16};

use crate::DType;

/// How many elements of an output a line shows.
const SHOWN: usize = 8;

/// `2x3`, or `scalar`.
#[must_use]
pub fn join_dimensions(dimensions: &[u32]) -> String {
    if dimensions.is_empty() {
        return "scalar".to_owned();
    }
    dimensions
        .iter()
        .map(u32::to_string)
        .collect::<Vec<_>>()
        .join("x")
}

/// Line breaks and other control characters would make two lines of one.
#[must_use]
pub fn one_line(text: &str) -> String {
    let escape = |letter: char| -> String {
        if letter.is_control() {
            letter.escape_default().collect()
        } else {
            letter.to_string()
        }
    };
    text.chars().map(escape).collect()
}

/// The first values with commas between them, `…` when there are more, `-` when there are none.
#[must_use]
pub fn values(ty: DType, bytes: &[u8]) -> String {
    match ty {
        DType::Fp16 => list(bytes, |element| f16::from_le_bytes(element).to_f32()),
        DType::Bf16 => list(bytes, |element| bf16::from_le_bytes(element).to_f32()),
        DType::Fp32 => list(bytes, f32::from_le_bytes),
        DType::Fp64 => list(bytes, f64::from_le_bytes),
        DType::U8 => list(bytes, u8::from_le_bytes),
        DType::I32 => list(bytes, i32::from_le_bytes),
        DType::I64 => list(bytes, i64::from_le_bytes),
    }
}

fn list<const N: usize, T: ToString>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> String {
    let (elements, _rest) = bytes.as_chunks::<N>();
    if elements.is_empty() {
        return "-".to_owned();
    }
    let shown = elements
        .iter()
        .take(SHOWN)
        .map(|&element| read(element).to_string());
    let more = (elements.len() > SHOWN).then(|| "…".to_owned());
    shown.chain(more).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_in_their_type() {
        let bytes = [1.5_f32, -0.0, f32::NAN, f32::INFINITY]
            .map(f32::to_le_bytes)
            .concat();
        assert_eq!(values(DType::Fp32, &bytes), "1.5,-0,NaN,inf");
        assert_eq!(values(DType::Fp16, &[0x00, 0x3e]), "1.5");
        assert_eq!(values(DType::I64, &(-3_i64).to_le_bytes()), "-3");
    }

    #[test]
    fn many_values_are_cut_and_none_are_a_dash() {
        assert_eq!(values(DType::U8, &[1; 9]), "1,1,1,1,1,1,1,1,…");
        assert_eq!(values(DType::U8, &[1; 8]), "1,1,1,1,1,1,1,1");
        assert_eq!(values(DType::U8, &[]), "-");
    }

    #[test]
    fn line_breaks_are_escaped() {
        assert_eq!(one_line("a\nb\tc é"), "a\\nb\\tc é");
    }

    #[test]
    fn no_dimensions_are_a_scalar() {
        assert_eq!(join_dimensions(&[]), "scalar");
        assert_eq!(join_dimensions(&[2, 0, 3]), "2x0x3");
    }
}
