//! The elements of a tensor as they came, given on in pieces of bytes as they lie in memory.

use std::borrow::Cow;

use bytes::Bytes;
use nn_tensor::{DType, Fault, Reason};

use super::inference::InferTensorContents;

/// The most bytes of a piece: what is copied before others have their turn.
pub const PIECE_BYTES: usize = 256 * 1024;

/// One tensor's.
#[derive(Debug)]
pub enum Contents {
    /// Bytes as they are, in the buffer that they came in.
    Raw(Bytes),
    /// Of UINT8, one number each.
    U8(Vec<u32>),
    /// Of INT32.
    I32(Vec<i32>),
    /// Of INT64.
    I64(Vec<i64>),
    /// Of FP32.
    Fp32(Vec<f32>),
    /// Of FP64.
    Fp64(Vec<f64>),
}

fn wrong(expected: impl Into<String>, got: impl Into<String>) -> Fault {
    Fault::of(Reason::ContentsWrong).expected(expected).got(got)
}

/// Elements `from..` of a list as bytes, as many as make a piece.
fn piece<T: Copy, const N: usize>(all: &[T], at: usize, bytes: fn(T) -> [u8; N]) -> Vec<u8> {
    let from = at.checked_div(N).unwrap_or_default();
    let rest = all.get(from..).unwrap_or_default();
    let count = PIECE_BYTES.checked_div(N).unwrap_or(1);
    rest.iter()
        .take(count)
        .flat_map(|&one| bytes(one))
        .collect()
}

// === impl Contents ===

impl Contents {
    /// What lies in the list that is for elements of a type.
    ///
    /// # Errors
    /// Where it lies in another, or in several, or elements of that type are sent raw alone.
    pub fn typed(dtype: DType, contents: InferTensorContents) -> Result<Self, Fault> {
        let lens = [
            ("bool_contents", contents.bool_contents.len()),
            ("int_contents", contents.int_contents.len()),
            ("int64_contents", contents.int64_contents.len()),
            ("uint_contents", contents.uint_contents.len()),
            ("uint64_contents", contents.uint64_contents.len()),
            ("fp32_contents", contents.fp32_contents.len()),
            ("fp64_contents", contents.fp64_contents.len()),
            ("bytes_contents", contents.bytes_contents.len()),
        ];
        let (list, typed) = match dtype {
            DType::U8 => {
                let values = contents.uint_contents;
                if let Some(beyond) = values.iter().find(|&&value| value > u8::MAX.into()) {
                    return Err(wrong("elements of 0 to 255", beyond.to_string()));
                }
                ("uint_contents", Self::U8(values))
            }
            DType::I32 => ("int_contents", Self::I32(contents.int_contents)),
            DType::I64 => ("int64_contents", Self::I64(contents.int64_contents)),
            DType::Fp32 => ("fp32_contents", Self::Fp32(contents.fp32_contents)),
            DType::Fp64 => ("fp64_contents", Self::Fp64(contents.fp64_contents)),
            DType::Fp16 | DType::Bf16 => {
                let name = super::datatype(dtype);
                let expected = format!("the bytes of a tensor of {name} in raw_input_contents");
                return Err(wrong(expected, "`contents`"));
            }
        };
        match lens.iter().find(|&&(name, len)| len > 0 && name != list) {
            Some((other, _)) => Err(wrong(format!("elements in {list} alone"), *other)),
            None => Ok(typed),
        }
    }

    /// How many bytes it has in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Raw(bytes) => bytes.len(),
            Self::U8(all) => all.len(),
            Self::I32(all) => all.len().saturating_mul(4),
            Self::Fp32(all) => all.len().saturating_mul(4),
            Self::I64(all) => all.len().saturating_mul(8),
            Self::Fp64(all) => all.len().saturating_mul(8),
        }
    }

    /// The piece that begins at a byte: behind the one before, or the first.
    #[must_use]
    pub fn piece(&self, at: usize) -> Cow<'_, [u8]> {
        match self {
            Self::Raw(bytes) => {
                let rest = bytes.get(at..).unwrap_or_default();
                Cow::Borrowed(rest.get(..PIECE_BYTES).unwrap_or(rest))
            }
            // All of them are in 0 to 255.
            Self::U8(all) => {
                Cow::Owned(piece(
                    all,
                    at,
                    |one| [u8::try_from(one).unwrap_or_default()],
                ))
            }
            Self::I32(all) => Cow::Owned(piece(all, at, i32::to_le_bytes)),
            Self::I64(all) => Cow::Owned(piece(all, at, i64::to_le_bytes)),
            Self::Fp32(all) => Cow::Owned(piece(all, at, f32::to_le_bytes)),
            Self::Fp64(all) => Cow::Owned(piece(all, at, f64::to_le_bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(contents: &Contents) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < contents.bytes() {
            let piece = contents.piece(all.len());
            assert!(!piece.is_empty() && piece.len() <= PIECE_BYTES);
            all.extend_from_slice(&piece);
        }
        all
    }

    #[test]
    fn elements_become_bytes_in_whatever_pieces() {
        let values: Vec<i64> = (0..100_000).collect();
        let contents = InferTensorContents {
            int64_contents: values.clone(),
            ..InferTensorContents::default()
        };
        let contents = Contents::typed(DType::I64, contents).unwrap();
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        assert_eq!((contents.bytes(), whole(&contents)), (800_000, bytes));
        let raw = Contents::Raw(vec![3; PIECE_BYTES + 1].into());
        assert_eq!(whole(&raw), vec![3; PIECE_BYTES + 1]);
    }

    #[test]
    fn elements_lie_in_the_list_of_their_type() {
        let of = |dtype| {
            let contents = InferTensorContents {
                fp32_contents: vec![1.0],
                ..InferTensorContents::default()
            };
            Contents::typed(dtype, contents).map_err(|fault| fault.reason)
        };
        assert!(of(DType::Fp32).is_ok());
        for dtype in [DType::Fp64, DType::U8, DType::Fp16, DType::Bf16, DType::I32] {
            assert_eq!(of(dtype).unwrap_err(), Some(Reason::ContentsWrong));
        }
    }

    #[test]
    fn a_byte_beyond_255_is_refused() {
        let contents = InferTensorContents {
            uint_contents: vec![256],
            ..InferTensorContents::default()
        };
        let fault = Contents::typed(DType::U8, contents).unwrap_err();
        assert_eq!(fault.got, "256");
    }
}
