//! Numbers of one element type as those of another: each the nearest that there is, a tie going to the even one. One that
//! has no place in the new type ends it all, told with where it is.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use nn_tensor::DType;

use crate::element::{Element, Wide};

/// Elements that are converted at a time where there are instructions for it.
const BLOCK: usize = 512;

/// A number that the new type does not have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Misfit {
    /// Which element.
    pub(crate) index: usize,
    pub(crate) value: Wide,
}

/// Writes what `bytes` holds into `to`, which has room for exactly as many elements.
pub(crate) fn cast(
    (from, bytes): (DType, &[u8]),
    (into, to): (DType, &mut [u8]),
) -> Result<(), Misfit> {
    match (from, into) {
        (same, other) if same == other => {
            for (to, byte) in to.iter_mut().zip(bytes) {
                *to = *byte;
            }
            Ok(())
        }
        (DType::Fp16, DType::Fp32) => widen::<f16>(bytes, to),
        (DType::Bf16, DType::Fp32) => widen::<bf16>(bytes, to),
        (DType::Fp32, DType::Fp16) => shorten::<f16>(bytes, to),
        (DType::Fp32, DType::Bf16) => shorten::<bf16>(bytes, to),
        (DType::U8, _) => from_type::<u8>(bytes, into, to),
        (DType::I32, _) => from_type::<i32>(bytes, into, to),
        (DType::I64, _) => from_type::<i64>(bytes, into, to),
        (DType::Fp64, _) => from_type::<f64>(bytes, into, to),
        (DType::Fp32, _) => from_type::<f32>(bytes, into, to),
        (DType::Fp16, _) => from_type::<f16>(bytes, into, to),
        (DType::Bf16, _) => from_type::<bf16>(bytes, into, to),
    }
}

/// The number as an element of that type, in the first of eight bytes.
pub(crate) fn element(value: f64, dtype: DType) -> Option<[u8; 8]> {
    let mut bytes = [0; 8];
    let wide = Wide::Real(value);
    match dtype {
        DType::U8 => u8::narrow(wide)?.write(&mut bytes),
        DType::I32 => i32::narrow(wide)?.write(&mut bytes),
        DType::I64 => i64::narrow(wide)?.write(&mut bytes),
        DType::Fp64 => f64::narrow(wide)?.write(&mut bytes),
        DType::Fp32 => f32::narrow(wide)?.write(&mut bytes),
        DType::Fp16 => f16::narrow(wide)?.write(&mut bytes),
        DType::Bf16 => bf16::narrow(wide)?.write(&mut bytes),
    }
    Some(bytes)
}

fn from_type<A: Element>(bytes: &[u8], into: DType, to: &mut [u8]) -> Result<(), Misfit> {
    match into {
        DType::U8 => each::<A, u8>(bytes, to),
        DType::I32 => each::<A, i32>(bytes, to),
        DType::I64 => each::<A, i64>(bytes, to),
        DType::Fp64 => each::<A, f64>(bytes, to),
        DType::Fp32 => each::<A, f32>(bytes, to),
        DType::Fp16 => each::<A, f16>(bytes, to),
        DType::Bf16 => each::<A, bf16>(bytes, to),
    }
}

fn each<A: Element, B: Element>(bytes: &[u8], to: &mut [u8]) -> Result<(), Misfit> {
    let pairs = bytes
        .chunks_exact(A::SIZE)
        .zip(to.chunks_exact_mut(B::SIZE));
    for (index, (from, to)) in pairs.enumerate() {
        let value = A::read(from).wide();
        let narrow = B::narrow(value).ok_or(Misfit { index, value })?;
        narrow.write(to);
    }
    Ok(())
}

/// Half precision by the processor's own instructions, where it has them.
fn widen<H: Element>(bytes: &[u8], to: &mut [u8]) -> Result<(), Misfit>
where
    [H]: HalfFloatSliceExt,
{
    let mut halves = [H::default(); BLOCK];
    let mut singles = [0_f32; BLOCK];
    let blocks = bytes.chunks(BLOCK.saturating_mul(H::SIZE));
    for (from, to) in blocks.zip(to.chunks_mut(BLOCK.saturating_mul(f32::SIZE))) {
        for (half, bytes) in halves.iter_mut().zip(from.chunks_exact(H::SIZE)) {
            *half = H::read(bytes);
        }
        halves.convert_to_f32_slice(&mut singles);
        for (single, to) in singles.iter().zip(to.chunks_exact_mut(f32::SIZE)) {
            single.write(to);
        }
    }
    Ok(())
}

fn shorten<H: Element>(bytes: &[u8], to: &mut [u8]) -> Result<(), Misfit>
where
    [H]: HalfFloatSliceExt,
{
    let mut halves = [H::default(); BLOCK];
    let blocks = bytes.chunks(BLOCK.saturating_mul(f32::SIZE));
    let mut first = 0_usize;
    for (from, to) in blocks.zip(to.chunks_mut(BLOCK.saturating_mul(H::SIZE))) {
        let mut singles = [0_f32; BLOCK];
        for (single, bytes) in singles.iter_mut().zip(from.chunks_exact(f32::SIZE)) {
            *single = f32::read(bytes);
        }
        halves.convert_from_f32_slice(&singles);
        let is_misfit = |(single, half): (&f32, &H)| {
            single.is_finite() && !matches!(half.wide(), Wide::Real(real) if real.is_finite())
        };
        if let Some(at) = singles.iter().zip(&halves).position(is_misfit) {
            let value = singles.get(at).copied().unwrap_or_default().wide();
            let index = first.saturating_add(at);
            return Err(Misfit { index, value });
        }
        for (half, to) in halves.iter().zip(to.chunks_exact_mut(H::SIZE)) {
            half.write(to);
        }
        first = first.saturating_add(BLOCK);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
