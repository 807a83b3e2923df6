//! Tensors and failures to lines. Pure, but for reading the tensors: every line is a function of what the host answered.

use half::{bf16, f16};
use nn_guest::{Failure, NamedTensor, TensorType, code_name, type_name};

/// How many elements of an output a line shows.
const SHOWN: usize = 8;

/// FNV-1a, 64 bits: enough to tell replies apart, and five lines in any language.
pub(crate) struct Fnv(u64);

/// `error CODE TEXT`, whatever the text holds.
pub(crate) fn failure(failure: &Failure) -> String {
    format!(
        "error {} {}",
        code_name(failure.code),
        one_line(&failure.text)
    )
}

/// `ok NAME DTYPE DIMS CHECKSUM VALUES`
pub(crate) fn output((name, tensor): &NamedTensor) -> String {
    let (ty, bytes) = (tensor.ty(), tensor.data());
    let mut checksum = Fnv::new();
    checksum.add(&bytes);
    let dims = dimensions(&tensor.dimensions());
    let (name, ty_name) = (one_line(name), type_name(ty));
    format!(
        "ok {name} {ty_name} {dims} {} {}",
        checksum.hex(),
        values(ty, &bytes)
    )
}

/// One checksum for a whole reply: names, types, dimensions and bytes of all its outputs.
pub(crate) fn reply_checksum(outputs: &[NamedTensor]) -> String {
    let mut checksum = Fnv::new();
    for (name, tensor) in outputs {
        checksum.add(name.as_bytes());
        checksum.add(type_name(tensor.ty()).as_bytes());
        checksum.add(dimensions(&tensor.dimensions()).as_bytes());
        checksum.add(&tensor.data());
    }
    checksum.hex()
}

pub(crate) fn dimensions(dimensions: &[u32]) -> String {
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
pub(crate) fn one_line(text: &str) -> String {
    let escape = |letter: char| -> String {
        if letter.is_control() {
            letter.escape_default().collect()
        } else {
            letter.to_string()
        }
    };
    text.chars().map(escape).collect()
}

fn values(ty: TensorType, bytes: &[u8]) -> String {
    match ty {
        TensorType::Fp16 => list(bytes, |element| f16::from_le_bytes(element).to_f32()),
        TensorType::Bf16 => list(bytes, |element| bf16::from_le_bytes(element).to_f32()),
        TensorType::Fp32 => list(bytes, f32::from_le_bytes),
        TensorType::Fp64 => list(bytes, f64::from_le_bytes),
        TensorType::U8 => list(bytes, u8::from_le_bytes),
        TensorType::I32 => list(bytes, i32::from_le_bytes),
        TensorType::I64 => list(bytes, i64::from_le_bytes),
    }
}

/// The first values with commas between them, `…` when there are more, `-` when there are none.
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

// === impl Fnv ===

impl Fnv {
    pub(crate) const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    pub(crate) fn hex(&self) -> String {
        format!("{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_is_the_published_one() {
        let mut checksum = Fnv::new();
        checksum.add(b"foobar");
        assert_eq!(checksum.hex(), "85944171f73967e8");
    }

    #[test]
    fn values_are_shown_in_their_type() {
        let bytes = [1.5_f32, -0.0, f32::NAN, f32::INFINITY]
            .map(f32::to_le_bytes)
            .concat();
        assert_eq!(values(TensorType::Fp32, &bytes), "1.5,-0,NaN,inf");
        assert_eq!(values(TensorType::Fp16, &[0x00, 0x3e]), "1.5");
        assert_eq!(values(TensorType::I64, &(-3_i64).to_le_bytes()), "-3");
    }

    #[test]
    fn many_values_are_cut_and_none_are_a_dash() {
        assert_eq!(values(TensorType::U8, &[1; 9]), "1,1,1,1,1,1,1,1,…");
        assert_eq!(values(TensorType::U8, &[1; 8]), "1,1,1,1,1,1,1,1");
        assert_eq!(values(TensorType::U8, &[]), "-");
    }

    #[test]
    fn line_breaks_are_escaped() {
        assert_eq!(one_line("a\nb\tc é"), "a\\nb\\tc é");
    }

    #[test]
    fn no_dimensions_are_a_scalar() {
        assert_eq!(dimensions(&[]), "scalar");
        assert_eq!(dimensions(&[2, 0, 3]), "2x0x3");
    }
}
