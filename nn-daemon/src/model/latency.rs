//! How long a version's computes took: a histogram of fixed size, for whoever has to know what to expect. It counts and
//! judges nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Parts of an octave: a bucket is at most an eighth as wide as what it holds is long.
const PARTS: u64 = 8;

/// By number: 0 to 7 us exactly, then the octaves up to the one that begins at 2^31 us, 36 minutes.
const BUCKETS: usize = 8 * 30;

/// How often each length was seen.
#[derive(Debug)]
pub(crate) struct Latencies {
    buckets: [AtomicU64; BUCKETS],
    max_us: AtomicU64,
}

/// What that says. A length is rounded up to its bucket's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) computes: u64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    /// Exact.
    pub(crate) max_us: u64,
}

// === impl Latencies ===

impl Default for Latencies {
    fn default() -> Self {
        Self {
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            max_us: AtomicU64::new(0),
        }
    }
}

impl Latencies {
    /// One more compute that gave outputs.
    pub(crate) fn add(&self, took: Duration) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get(bucket_of(took_us)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.max_us.fetch_max(took_us, Ordering::Relaxed);
    }

    /// `None` before the first.
    pub(crate) fn seen(&self) -> Option<Seen> {
        let counts: Vec<u64> = self
            .buckets
            .iter()
            .map(|bucket| bucket.load(Ordering::Relaxed))
            .collect();
        let computes = counts.iter().sum::<u64>();
        // A compute that is being added may have no longest yet.
        let max_us = self.max_us.load(Ordering::Relaxed);
        (computes > 0).then(|| Seen {
            computes,
            p50_us: quantile_us(&counts, computes.div_ceil(2)).min(max_us),
            p99_us: quantile_us(&counts, computes.saturating_mul(99).div_ceil(100)).min(max_us),
            max_us,
        })
    }
}

/// The longest length of the bucket that holds the compute of this rank, from 1.
fn quantile_us(counts: &[u64], rank: u64) -> u64 {
    let mut below = 0_u64;
    let bucket = counts.iter().position(|count| {
        below = below.saturating_add(*count);
        below >= rank
    });
    longest_us(bucket.unwrap_or(BUCKETS - 1))
}

fn bucket_of(took_us: u64) -> usize {
    let Some(octave) = took_us.checked_ilog2().filter(|_| took_us >= PARTS) else {
        return usize::try_from(took_us).unwrap_or(0);
    };
    // The octave that begins at 8 us is the first with parts.
    let part = (took_us >> (octave - 3)) & (PARTS - 1);
    let bucket = u64::from(octave - 2) * PARTS + part;
    usize::try_from(bucket).map_or(BUCKETS - 1, |bucket| bucket.min(BUCKETS - 1))
}

fn longest_us(bucket: usize) -> u64 {
    let bucket = u64::try_from(bucket).unwrap_or(u64::MAX);
    let (octave, part) = (bucket / PARTS, bucket % PARTS);
    match octave {
        0 => part,
        octave => ((PARTS + part + 1) << (octave - 1)) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_length_is_in_the_bucket_that_ends_at_it_or_up_to_an_eighth_behind() {
        let lengths = (0..40_000).chain((0..32).map(|octave| 1 << octave));
        let wrong = lengths.filter(|&length: &u64| {
            let longest = longest_us(bucket_of(length));
            longest < length || longest > length + length / 8
        });
        assert_eq!(wrong.collect::<Vec<u64>>(), Vec::<u64>::new());
    }

    #[test]
    fn what_is_longer_than_any_bucket_is_in_the_last() {
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
        assert_eq!(bucket_of(u64::from(u32::MAX)), BUCKETS - 1);
    }

    #[test]
    fn nothing_is_seen_before_the_first() {
        assert_eq!(Latencies::default().seen(), None);
    }

    #[test]
    fn one_slow_compute_of_a_hundred_and_one_is_the_longest_and_nothing_else() {
        let latencies = Latencies::default();
        (0..100).for_each(|_| latencies.add(Duration::from_micros(1000)));
        latencies.add(Duration::from_secs(3));
        let seen = latencies.seen().unwrap();
        assert_eq!((seen.computes, seen.max_us), (101, 3_000_000));
        assert_eq!((seen.p50_us, seen.p99_us), (1023, 1023));
    }

    #[test]
    fn a_single_compute_is_told_exactly() {
        let latencies = Latencies::default();
        latencies.add(Duration::from_micros(1000));
        let seen = latencies.seen().unwrap();
        assert_eq!((seen.p50_us, seen.p99_us, seen.max_us), (1000, 1000, 1000));
    }
}
