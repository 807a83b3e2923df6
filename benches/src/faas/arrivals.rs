//! When requests are to be sent: lists that are made before the first one is. Pure, and the same in every run.

use std::time::Duration;

/// At even distances.
pub(crate) fn fixed(per_second: f64, window: Duration) -> Vec<Duration> {
    let gap = 1.0 / per_second;
    gathered(window, || gap)
}

/// As many independent clients would send them: the distances are exponential, of a generator started from `seed`.
pub(crate) fn poisson(per_second: f64, window: Duration, seed: u64) -> Vec<Duration> {
    let mut state = seed;
    gathered(window, || -unit(&mut state).ln() / per_second)
}

fn gathered(window: Duration, mut gap: impl FnMut() -> f64) -> Vec<Duration> {
    let mut list = Vec::new();
    let mut at = 0.0;
    while at < window.as_secs_f64() {
        list.push(Duration::from_secs_f64(at));
        at += gap();
    }
    list
}

/// Above 0, up to 1. SplitMix64, whose upper 32 bits are as good as any.
fn unit(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut bits = *state;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    let upper = u32::try_from(bits >> 32).unwrap_or(u32::MAX);
    (f64::from(upper) + 1.0) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(100);

    #[test]
    fn even_arrivals_are_as_many_as_the_rate_says_and_as_far_apart() {
        let list = fixed(4.0, WINDOW);
        assert_eq!(list.len(), 400);
        assert_eq!(list[1] - list[0], Duration::from_millis(250));
        assert!(list.iter().all(|at| *at < WINDOW));
    }

    #[test]
    fn random_arrivals_have_the_rate_and_the_spread_of_a_poisson_process() {
        let list = poisson(50.0, WINDOW, 7);
        let gaps = list.windows(2).map(|two| (two[1] - two[0]).as_secs_f64());
        let gaps: Vec<f64> = gaps.collect();
        let count = f64::from(u32::try_from(gaps.len()).unwrap());
        let mean = gaps.iter().sum::<f64>() / count;
        let spread = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / count;
        assert!((mean - 0.02).abs() < 0.001, "{mean}");
        // Of an exponential distribution the deviation is the mean.
        assert!((spread.sqrt() - mean).abs() < 0.002, "{spread}");
    }

    #[test]
    fn a_seed_gives_the_same_list_again_and_another_another() {
        assert_eq!(poisson(9.0, WINDOW, 1), poisson(9.0, WINDOW, 1));
        assert_ne!(poisson(9.0, WINDOW, 1), poisson(9.0, WINDOW, 2));
    }
}
