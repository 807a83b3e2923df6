//! Percentiles and medians. Pure.

/// What a way took, over all turns.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples {
    /// Nanoseconds of each call, a list a turn.
    pub(crate) turns: Vec<Vec<u64>>,
    /// Nanoseconds of all processors, of all calls.
    pub(crate) cpu_ns: u64,
}

/// The value that `percent` of the others do not exceed; 0 of nothing.
pub(crate) fn percentile(values: &[u64], percent: usize) -> u64 {
    quantile(values, percent * 10)
}

/// The value that so many of a thousand do not exceed; 0 of nothing.
pub(crate) fn quantile(values: &[u64], per_mille: usize) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * per_mille).div_ceil(1000).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0)
}

fn median(values: Vec<f64>) -> Option<f64> {
    Some(Middle::of(values)?.median)
}

/// Where the middle half of some values lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Middle {
    pub(crate) lower: f64,
    pub(crate) median: f64,
    pub(crate) upper: f64,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "nanoseconds of a call are far below 2^53"
)]
pub(crate) fn micros(ns: u64) -> f64 {
    ns as f64 / 1000.0
}

// === impl Middle ===

impl Middle {
    /// `None` of nothing.
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_unstable_by(f64::total_cmp);
        let quarter = |quarters: usize| values.get(values.len() * quarters / 4).copied();
        Some(Self {
            lower: quarter(1)?,
            median: quarter(2)?,
            upper: quarter(3)?,
        })
    }
}

// === impl Samples ===

impl Samples {
    /// All of one turn.
    pub(crate) fn of(times: &[u64]) -> Self {
        Self {
            turns: vec![times.to_vec()],
            cpu_ns: 0,
        }
    }

    fn all(&self) -> Vec<u64> {
        self.turns.concat()
    }

    pub(crate) fn p50_us(&self) -> f64 {
        micros(percentile(&self.all(), 50))
    }

    pub(crate) fn p95_us(&self) -> f64 {
        micros(percentile(&self.all(), 95))
    }

    pub(crate) fn p99_us(&self) -> f64 {
        micros(percentile(&self.all(), 99))
    }

    pub(crate) fn calls(&self) -> usize {
        self.turns.iter().map(Vec::len).sum()
    }

    /// Processor time of one call.
    pub(crate) fn cpu_us(&self) -> f64 {
        let calls = u64::try_from(self.calls()).unwrap_or(u64::MAX).max(1);
        micros(self.cpu_ns / calls)
    }

    /// How many times as long as the other, turn by turn: the median of the turns' medians' ratios, so that what slows one
    /// turn slows both sides.
    pub(crate) fn ratio(&self, other: &Self) -> Option<f64> {
        Some(self.ratios(other)?.median)
    }

    /// The same, and how far the turns lie apart.
    pub(crate) fn ratios(&self, other: &Self) -> Option<Middle> {
        let pairs = self.medians().zip(other.medians());
        Middle::of(pairs.map(|(own, other)| own / other).collect())
    }

    /// How much longer than the other, turn by turn, in microseconds.
    pub(crate) fn added_us(&self, other: &Self) -> Option<f64> {
        let pairs = self.medians().zip(other.medians());
        median(pairs.map(|(own, other)| own - other).collect())
    }

    /// Of each turn, in microseconds.
    fn medians(&self) -> impl Iterator<Item = f64> {
        self.turns.iter().map(|turn| micros(percentile(turn, 50)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_little_and_nothing() {
        assert_eq!(percentile(&[], 50), 0);
        assert_eq!(percentile(&[7], 99), 7);
        let hundred: Vec<u64> = (1..=100).rev().collect();
        assert_eq!(percentile(&hundred, 50), 50);
        assert_eq!(percentile(&hundred, 99), 99);
        assert_eq!(quantile(&hundred, 999), 100);
    }

    #[test]
    fn the_middle_of_eight_values_leaves_two_out_at_each_end() {
        let middle = Middle::of((0..8).rev().map(f64::from).collect());
        let expected = Middle {
            lower: 2.0,
            median: 4.0,
            upper: 6.0,
        };
        assert_eq!(middle, Some(expected));
        assert_eq!(Middle::of(Vec::new()), None);
    }

    #[test]
    fn a_slow_turn_does_not_change_the_ratio() {
        let samples = |turns: &[u64]| Samples {
            turns: turns.iter().map(|&ns| vec![ns; 3]).collect(),
            cpu_ns: 0,
        };
        let (own, other) = (samples(&[20, 2000, 20]), samples(&[10, 1000, 10]));
        assert_eq!(own.ratio(&other), Some(2.0));
    }
}
