//! How often something took how long: fixed buckets of plain atomics, for the path of a compute. No lock, no memory of its
//! own per count.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::worker::micros;

/// The longest of each bucket, in microseconds. What is longer than the last is in one more.
pub(super) const BOUNDS_US: [u64; 20] = [
    50,
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    120_000_000,
];

/// Counts by length, and the sum of all lengths.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    counts: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

/// What it says at one moment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Up to each bound, all shorter ones included; the last are all.
    pub(super) up_to: [u64; BOUNDS_US.len() + 1],
    pub(super) sum_us: u64,
}

// === impl Histogram ===

impl Histogram {
    /// One more.
    pub(crate) fn add(&self, took: Duration) {
        self.add_us(micros(took));
    }

    /// One more, in microseconds.
    pub(crate) fn add_us(&self, took_us: u64) {
        let bucket = BOUNDS_US.partition_point(|bound| *bound < took_us);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_us.fetch_add(took_us, Ordering::Relaxed);
    }

    /// Takes over what another has counted.
    pub(super) fn fold(&self, other: &Self) {
        for (own, other) in self.counts.iter().zip(&other.counts) {
            own.fetch_add(other.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        let sum_us = other.sum_us.load(Ordering::Relaxed);
        self.sum_us.fetch_add(sum_us, Ordering::Relaxed);
    }

    pub(super) fn seen(&self) -> Seen {
        let mut all = 0_u64;
        let up_to = self.counts.each_ref().map(|count| {
            all = all.saturating_add(count.load(Ordering::Relaxed));
            all
        });
        Seen {
            up_to,
            sum_us: self.sum_us.load(Ordering::Relaxed),
        }
    }
}

impl Seen {
    pub(super) fn all(&self) -> u64 {
        self.up_to.last().copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_in_every_bucket_that_is_not_shorter() {
        let histogram = Histogram::default();
        [0, 50, 51, 120_000_000, u64::from(u32::MAX)]
            .into_iter()
            .for_each(|us| histogram.add_us(us));
        let seen = histogram.seen();
        assert_eq!(seen.up_to[..2], [2, 3]);
        assert_eq!((seen.up_to[19], seen.all()), (4, 5));
        assert_eq!(seen.sum_us, 101 + 120_000_000 + u64::from(u32::MAX));
    }

    #[test]
    fn the_bounds_rise() {
        assert!(BOUNDS_US.is_sorted());
    }

    #[test]
    fn what_is_folded_in_is_added_bucket_by_bucket() {
        let (first, second) = (Histogram::default(), Histogram::default());
        first.add_us(60);
        second.add_us(60);
        second.add_us(700);
        first.fold(&second);
        let seen = first.seen();
        assert_eq!((seen.up_to[1], seen.all(), seen.sum_us), (2, 3, 820));
    }
}
