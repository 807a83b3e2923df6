//! Arguments that are pointers, read from a guest's memory. Numbers are little-endian and 32 bits wide;
//! every access is checked, and only names, dimensions and positions are copied.

use std::ops::Range;

use nn_tensor::{DType, Fault, NAME_BYTES_MAX, RANK_MAX, Reason, Shape};

use crate::Dialect;

/// The most byte strings in one `load`.
pub const PARTS_MAX: usize = 16;

/// Bytes in a guest's memory, found to lie inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    ptr: u32,
    len: u32,
}

/// Where a guest wants a number written, found to lie inside its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutPtr(Span);

/// A tensor as a guest describes it. Its data are as many bytes as type and shape ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TensorRecord {
    /// Element type.
    pub dtype: DType,
    /// Dimensions.
    pub shape: Shape,
    /// Where its bytes are.
    pub data: Span,
}

fn outside(ptr: u32, len: u32, memory: &[u8]) -> Fault {
    Fault::of(Reason::PointerOutside)
        .expected(format!("an end within {} bytes", memory.len()))
        .got(format!("{len} bytes at {ptr}"))
}

// === impl Span ===

impl Span {
    /// `len` bytes at `ptr`; `invalid-argument` unless all of them lie in `memory`. None at all may lie
    /// at its very end, and not beyond.
    pub fn new(memory: &[u8], ptr: u32, len: u32) -> Result<Self, Fault> {
        let span = Self { ptr, len };
        span.bytes(memory)?;
        Ok(span)
    }

    /// How many bytes.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes. Fails where `memory` is not the one they were found in.
    pub fn bytes<'m>(&self, memory: &'m [u8]) -> Result<&'m [u8], Fault> {
        let found = self.range().and_then(|range| memory.get(range));
        found.ok_or_else(|| outside(self.ptr, self.len, memory))
    }

    /// The first `len` of the bytes, to be written. Fails where there are fewer.
    pub fn bytes_mut<'m>(&self, memory: &'m mut [u8], len: u32) -> Result<&'m mut [u8], Fault> {
        let shorter = Self { ptr: self.ptr, len };
        if len > self.len || shorter.bytes(memory).is_err() {
            return Err(outside(self.ptr, len, memory));
        }
        let fault = outside(self.ptr, len, &[]);
        let found = shorter.range().and_then(|range| memory.get_mut(range));
        found.ok_or(fault)
    }

    fn range(&self) -> Option<Range<usize>> {
        let start = usize::try_from(self.ptr).ok()?;
        let len = usize::try_from(self.len).ok()?;
        Some(start..start.checked_add(len)?)
    }

    /// Its 32-bit words; a rest of less than one is left out.
    fn words<'m>(&self, memory: &'m [u8]) -> Result<impl Iterator<Item = u32> + 'm, Fault> {
        let (words, _) = self.bytes(memory)?.as_chunks();
        Ok(words.iter().map(|word| u32::from_le_bytes(*word)))
    }
}

// === impl OutPtr ===

impl OutPtr {
    const LEN: u32 = 4;

    /// Checks a pointer before anything is done that its number would report.
    pub fn new(memory: &[u8], ptr: u32) -> Result<Self, Fault> {
        Span::new(memory, ptr, Self::LEN).map(Self)
    }

    /// Writes the number.
    pub fn write(&self, memory: &mut [u8], number: u32) -> Result<(), Fault> {
        let to = self.0.bytes_mut(memory, Self::LEN)?;
        to.copy_from_slice(&number.to_le_bytes());
        Ok(())
    }
}

// === arguments ===

/// Reads the tensor record at `ptr`: dimensions (pointer at 0, their number at 4), type (the byte at 8),
/// data (pointer at 12, length at 16).
///
/// Fails with `invalid-argument` for pointers out of memory, a rank beyond 8, a type that the dialect does
/// not have, and a length that is not that of the shape.
pub fn tensor_record(memory: &[u8], ptr: u32, dialect: Dialect) -> Result<TensorRecord, Fault> {
    let record = Span::new(memory, ptr, 20)?.bytes(memory)?;
    let (&[dims, rank, [dtype, ..], data, len], _) = record.as_chunks::<4>() else {
        return Err(outside(ptr, 20, memory));
    };
    let [dims, rank, data, len] = [dims, rank, data, len].map(u32::from_le_bytes);
    let dtype = dialect.dtype(dtype)?;
    let shape = shape(memory, dims, rank)?;
    let data = Span::new(memory, data, len)?;
    let expected = shape.byte_len(dtype).map_err(|error| {
        Fault::of(Reason::TensorSize)
            .message(error.to_string())
            .got(format!("{len} bytes"))
    })?;
    if u64::from(len) != expected {
        return Err(Fault::of(Reason::TensorLength)
            .expected(format!("{expected} bytes for {dtype} {shape}"))
            .got(format!("{len} bytes")));
    }
    Ok(TensorRecord { dtype, shape, data })
}

/// Reads the list of byte strings at `ptr`: `count` pairs of pointer and length.
///
/// Fails with `invalid-argument` for none or more than [`PARTS_MAX`], and for pointers out of memory.
pub fn builders(memory: &[u8], ptr: u32, count: u32) -> Result<Vec<Span>, Fault> {
    let in_bounds = usize::try_from(count).is_ok_and(|count| (1..=PARTS_MAX).contains(&count));
    let bytes = count.checked_mul(8).filter(|_| in_bounds).ok_or_else(|| {
        Fault::of(Reason::PartsWrong)
            .message("a model consists of too many or too few parts")
            .expected(format!("1 to {PARTS_MAX}"))
            .got(count.to_string())
    })?;
    let mut words = Span::new(memory, ptr, bytes)?.words(memory)?;
    let mut parts = Vec::with_capacity(PARTS_MAX);
    while let Some((ptr, len)) = words.next().zip(words.next()) {
        parts.push(Span::new(memory, ptr, len)?);
    }
    Ok(parts)
}

/// Reads a name of at most [`NAME_BYTES_MAX`] bytes; `invalid-argument` for one that is longer, lies
/// outside memory or is not UTF-8.
pub fn text(memory: &[u8], ptr: u32, len: u32) -> Result<&str, Fault> {
    // Before its bytes are looked at: a guest may say a gigabyte.
    if usize::try_from(len).map_or(true, |len| len > NAME_BYTES_MAX) {
        return Err(Fault::of(Reason::TextWrong)
            .message("a name is too long")
            .expected(format!("at most {NAME_BYTES_MAX} bytes"))
            .got(format!("{len} bytes")));
    }
    let bytes = Span::new(memory, ptr, len)?.bytes(memory)?;
    std::str::from_utf8(bytes).map_err(|error| {
        Fault::of(Reason::TextWrong)
            .message("a name is not UTF-8")
            .got(error.to_string())
    })
}

fn shape(memory: &[u8], ptr: u32, rank: u32) -> Result<Shape, Fault> {
    let refused = || {
        Fault::of(Reason::TensorRank)
            .expected(format!("at most {RANK_MAX}"))
            .got(rank.to_string())
    };
    let words = usize::try_from(rank)
        .ok()
        .filter(|&rank| rank <= RANK_MAX)
        .ok_or_else(refused)?;
    let bytes = rank.checked_mul(4).ok_or_else(refused)?;
    let mut dims = [0; RANK_MAX];
    let dims = dims.get_mut(..words).ok_or_else(refused)?;
    let read = Span::new(memory, ptr, bytes)?.words(memory)?;
    dims.iter_mut()
        .zip(read)
        .for_each(|(dim, word)| *dim = word);
    Shape::new(dims).map_err(|_| refused())
}

#[cfg(test)]
mod tests;
