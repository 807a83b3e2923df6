//! The largest of each row, largest first; of equals the first. What is no number comes last.

use std::cmp::Ordering;

use crate::element::{Element, Wide};

/// The largest, and where they were.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Largest {
    pub(crate) values: Vec<u8>,
    pub(crate) indices: Vec<u32>,
}

/// Of rows of `len` elements, `k` each. `k` is at most `len`.
pub(crate) fn top_k<T: Element>(bytes: &[u8], len: usize, k: usize) -> Largest {
    let mut largest = Largest::default();
    let row_bytes = len.saturating_mul(T::SIZE);
    if row_bytes == 0 {
        return largest;
    }
    let mut row: Vec<(u32, Wide)> = Vec::with_capacity(len);
    for bytes in bytes.chunks_exact(row_bytes) {
        row.clear();
        let numbers = bytes
            .chunks_exact(T::SIZE)
            .map(|bytes| T::read(bytes).wide());
        row.extend((0..).zip(numbers));
        if k < row.len() {
            row.select_nth_unstable_by(k, |a, b| order(*a, *b));
            row.truncate(k);
        }
        row.sort_unstable_by(|a, b| order(*a, *b));
        for &(index, _) in &row {
            let at = usize::try_from(index).unwrap_or(usize::MAX);
            let place = at.saturating_mul(T::SIZE);
            let value = bytes.get(place..).and_then(|bytes| bytes.get(..T::SIZE));
            largest.values.extend_from_slice(value.unwrap_or_default());
            largest.indices.push(index);
        }
    }
    largest
}

fn order(a: (u32, Wide), b: (u32, Wide)) -> Ordering {
    let by_value = match (a.1, b.1) {
        (Wide::Int(a), Wide::Int(b)) => b.cmp(&a),
        (Wide::Real(a), Wide::Real(b)) => match (a.is_nan(), b.is_nan()) {
            // Not by `total_cmp`: to it −0 is less than 0.
            (false, false) => b.partial_cmp(&a).unwrap_or(Ordering::Equal),
            (a, b) => a.cmp(&b),
        },
        // A row is of one type.
        (Wide::Int(_), Wide::Real(_)) | (Wide::Real(_), Wide::Int(_)) => Ordering::Equal,
    };
    by_value.then(a.0.cmp(&b.0))
}

#[cfg(test)]
mod tests;
