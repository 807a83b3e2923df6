//! The bytes that the guests fill tensors with, made once more: from the words of their table language.

use nn_tensor::DType;

/// A tensor as a step specifies it.
#[derive(Clone, Debug)]
pub(crate) struct Filled {
    pub(crate) dtype: DType,
    pub(crate) dims: Vec<u32>,
    pub(crate) bytes: Vec<u8>,
}

/// FNV-1a, 64 bits, as the guests print it.
pub(crate) fn checksum(bytes: &[u8]) -> String {
    let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{:016x}", bytes.iter().fold(0xcbf2_9ce4_8422_2325, step))
}

/// `DTYPE:DIMS:FILL`.
pub(crate) fn parse(text: &str) -> Filled {
    let mut parts = text.splitn(3, ':');
    let mut part = || parts.next().expect("DTYPE:DIMS:FILL");
    let (dtype, dims, fill) = (part(), part(), part());
    let dtype = DType::ALL
        .into_iter()
        .find(|ty| ty.to_string() == dtype)
        .expect("a dtype");
    let dims: Vec<u32> = match dims {
        "scalar" => Vec::new(),
        dims => dims.split('x').map(|dim| dim.parse().unwrap()).collect(),
    };
    let count = dims
        .iter()
        .map(|&dim| usize::try_from(dim).unwrap())
        .product();
    Filled {
        bytes: bytes(dtype, count, fill),
        dtype,
        dims,
    }
}

fn bytes(dtype: DType, count: usize, fill: &str) -> Vec<u8> {
    if let Some(seed) = fill.strip_prefix("seed:") {
        let mut state: u64 = seed.parse().unwrap();
        let next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        };
        let len = count * usize::try_from(dtype.size()).unwrap();
        return std::iter::repeat_with(next).flatten().take(len).collect();
    }
    if let Some(seed) = fill.strip_prefix("lcg:") {
        let mut state: u32 = seed.parse().unwrap();
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state.to_be_bytes()[0]) / 256.0
        };
        return std::iter::repeat_with(next)
            .take(count)
            .flat_map(|value| element(dtype, value))
            .collect();
    }
    let value = |index: u32| match fill {
        "ramp" => f64::from(index),
        number => number.parse().unwrap(),
    };
    (0..u32::try_from(count).unwrap())
        .flat_map(|index| element(dtype, value(index)))
        .collect()
}

/// One element; the tables' numbers are exact in every type that they are used with.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the tables' numbers fit"
)]
fn element(dtype: DType, value: f64) -> Vec<u8> {
    match dtype {
        DType::Fp16 => half(value as f32).to_le_bytes().into(),
        DType::Bf16 => (value as f32).to_le_bytes()[2..].into(),
        DType::Fp32 => (value as f32).to_le_bytes().into(),
        DType::Fp64 => value.to_le_bytes().into(),
        DType::U8 => vec![(value as u64).to_le_bytes()[0]],
        DType::I32 => (value as i32).to_le_bytes().into(),
        DType::I64 => (value as i64).to_le_bytes().into(),
    }
}

/// Half precision of a number that has it exactly and is not negative.
fn half(value: f32) -> u16 {
    if value == 0.0 {
        return 0;
    }
    let bits = value.to_bits();
    let exponent = (bits >> 23) + 15 - 127;
    u16::try_from(exponent << 10 | (bits & 0x007f_ffff) >> 13).unwrap()
}
