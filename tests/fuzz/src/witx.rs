//! Arguments of core modules' wasi-nn: pointers into a memory that the guest wrote. What nn-witx finds is compared
//! with what a second, plainer reading finds.
//!
//! The bytes: a call, a dialect, two unused, two arguments of 32 bits, then the memory.

use nn_tensor::{Fault, NAME_BYTES_MAX, RANK_MAX};
use nn_witx::{Dialect, Errno, OutPtr, PARTS_MAX, Span, builders, tensor_record, text};

const HEAD_BYTES: usize = 12;

/// A call with its arguments.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Counts what is called: 0 a tensor, 1 builders, 2 text, 3 the number to write, 4 the numbers of enumerations.
    pub function: u8,
    /// Counts the dialects.
    pub dialect: u8,
    /// The first argument.
    pub a: u32,
    /// The second argument.
    pub b: u32,
}

/// Makes the call that the first bytes describe, over the memory that the others are.
pub fn run(bytes: &[u8]) {
    let Some((head, memory)) = bytes.split_at_checked(HEAD_BYTES) else {
        return;
    };
    let &[function, dialect, _, _, a0, a1, a2, a3, b0, b1, b2, b3] = head else {
        return;
    };
    let dialect = Dialect::ALL[usize::from(dialect) % Dialect::ALL.len()];
    let a = u32::from_le_bytes([a0, a1, a2, a3]);
    let b = u32::from_le_bytes([b0, b1, b2, b3]);
    match function % 5 {
        0 => tensor(memory, a, dialect),
        1 => parts(memory, a, b, dialect),
        2 => name(memory, a, b, dialect),
        3 => out(memory, a, b, dialect),
        _ => numbers(a, dialect),
    }
}

/// A seed, as [`run`] takes it.
#[must_use]
pub fn seed(call: Call, memory: &[u8]) -> Vec<u8> {
    let head = [call.function, call.dialect, 0, 0];
    [&head, &call.a.to_le_bytes(), &call.b.to_le_bytes(), memory].concat()
}

/// What the guest is told is a failure, in its own numbering.
fn refused(fault: &Fault, dialect: Dialect) {
    let errno = dialect.errno(fault.code);
    assert_ne!(errno, Errno::Success);
    assert!(dialect != Dialect::V04 || errno.number() <= 5);
    // The log's line; a text of the guest's own never makes it long.
    assert!(fault.to_string().len() <= 2048);
}

/// The plain reading: no bytes are found beyond the end, however pointer and length are made.
fn bytes(memory: &[u8], ptr: u32, len: u64) -> Option<&[u8]> {
    let end = u64::from(ptr).checked_add(len)?;
    let range = usize::try_from(ptr).ok()?..usize::try_from(end).ok()?;
    memory.get(range)
}

fn word(memory: &[u8], ptr: u64) -> Option<u32> {
    let bytes = bytes(memory, u32::try_from(ptr).ok()?, 4)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

/// Type, dimensions and data of the tensor at `ptr`.
fn plain_tensor(memory: &[u8], ptr: u32, dialect: Dialect) -> Option<(u8, Vec<u32>, &[u8])> {
    bytes(memory, ptr, 20)?;
    let at = |offset: u64| word(memory, u64::from(ptr) + offset);
    let (dims, rank, data, len) = (at(0)?, at(4)?, at(12)?, at(16)?);
    let kind = bytes(memory, ptr, 20)?[8];
    let size = u128::from(dialect.dtype(kind).ok()?.size());
    if usize::try_from(rank).is_ok_and(|rank| rank > RANK_MAX) {
        return None;
    }
    bytes(memory, dims, u64::from(rank) * 4)?;
    let dims: Option<Vec<u32>> = (0..u64::from(rank))
        .map(|n| word(memory, u64::from(dims) + n * 4))
        .collect();
    let dims = dims?;
    // A zero anywhere makes nothing of the rest, however large.
    let elements = if dims.contains(&0) {
        0
    } else {
        dims.iter()
            .try_fold(1_u128, |all, &dim| all.checked_mul(u128::from(dim)))?
    };
    let data = bytes(memory, data, u64::from(len))?;
    (elements.checked_mul(size)? == u128::from(len)).then_some((kind, dims, data))
}

fn tensor(memory: &[u8], ptr: u32, dialect: Dialect) {
    let plain = plain_tensor(memory, ptr, dialect);
    match tensor_record(memory, ptr, dialect) {
        Ok(record) => {
            let (kind, dims, data) = plain.expect("the plain reading agrees");
            assert_eq!(Ok(record.dtype), dialect.dtype(kind));
            assert_eq!(record.shape.dims(), dims);
            assert_eq!(record.data.bytes(memory), Ok(data));
        }
        Err(fault) => {
            refused(&fault, dialect);
            assert_eq!(plain, None, "{fault}");
        }
    }
}

fn parts(memory: &[u8], ptr: u32, count: u32, dialect: Dialect) {
    let plain = || {
        if !usize::try_from(count).is_ok_and(|count| (1..=PARTS_MAX).contains(&count)) {
            return None;
        }
        let part = |n: u64| {
            let at = u64::from(ptr) + n * 8;
            bytes(memory, word(memory, at)?, u64::from(word(memory, at + 4)?))
        };
        (0..u64::from(count)).map(part).collect::<Option<Vec<_>>>()
    };
    match builders(memory, ptr, count) {
        Ok(spans) => {
            let found: Result<Vec<_>, _> = spans.iter().map(|span| span.bytes(memory)).collect();
            assert_eq!(found.ok(), plain());
        }
        Err(fault) => {
            refused(&fault, dialect);
            assert_eq!(plain(), None, "{fault}");
        }
    }
}

fn name(memory: &[u8], ptr: u32, len: u32, dialect: Dialect) {
    let short = usize::try_from(len).is_ok_and(|len| len <= NAME_BYTES_MAX);
    let plain = bytes(memory, ptr, u64::from(len)).filter(|_| short);
    let plain = plain.and_then(|bytes| std::str::from_utf8(bytes).ok());
    match text(memory, ptr, len) {
        Ok(name) => assert_eq!(Some(name), plain),
        Err(fault) => {
            refused(&fault, dialect);
            assert_eq!(plain, None, "{fault}");
        }
    }
}

/// Writes a number, then as many bytes as a span has room for; nothing else may change.
fn out(memory: &[u8], ptr: u32, number: u32, dialect: Dialect) {
    let mut written = memory.to_vec();
    match OutPtr::new(memory, ptr) {
        Ok(out) => {
            out.write(&mut written, number).expect("room was found");
            let start = usize::try_from(ptr).expect("as many bits");
            assert_eq!(written[start..start + 4], number.to_le_bytes());
            written[start..start + 4].copy_from_slice(&memory[start..start + 4]);
            assert_eq!(written, memory);
            // Another memory than the one it was found in.
            assert!(out.write(&mut written[..start + 3], number).is_err());
        }
        Err(fault) => {
            refused(&fault, dialect);
            assert_eq!(bytes(memory, ptr, 4), None, "{fault}");
        }
    }
    let len = number % 64;
    if let Ok(span) = Span::new(memory, ptr, len) {
        assert_eq!((span.len(), span.is_empty()), (len, len == 0));
        assert!(span.bytes_mut(&mut written, len + 1).is_err());
        let room = span.bytes_mut(&mut written, len).expect("room was found");
        assert_eq!(Some(&*room), bytes(memory, ptr, u64::from(len)));
    } else {
        assert_eq!(bytes(memory, ptr, u64::from(len)), None);
    }
}

fn numbers(number: u32, dialect: Dialect) {
    let known = [
        dialect.dtype(number.to_le_bytes()[0]).map(|_| ()),
        dialect.encoding(number).map(|_| ()),
        dialect.target(number).map(|_| ()),
    ];
    for fault in known.into_iter().filter_map(Result::err) {
        refused(&fault, dialect);
    }
}
