//! So many in a second, evenly; a second without any leaves as many for one moment, and no more. Pure, but for the clock
//! that it is given.

use std::time::Duration;

const SECOND: u64 = 1_000_000_000;

/// When the next one would be due if they came evenly, in nanoseconds since some beginning.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rate {
    due: u64,
}

impl Rate {
    /// Takes one at a moment since that beginning, of so many a second; false if there have been as many.
    pub(super) fn take(&mut self, per_second: u64, now: Duration) -> bool {
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let apart = SECOND.checked_div(per_second).unwrap_or(SECOND).max(1);
        let due = self.due.max(now);
        if due.saturating_add(apart) > now.saturating_add(SECOND) {
            return false;
        }
        self.due = due.saturating_add(apart);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(rate: &mut Rate, per_second: u64, now: Duration) -> usize {
        std::iter::repeat_with(|| rate.take(per_second, now))
            .take(1000)
            .filter(|taken| *taken)
            .count()
    }

    #[test]
    fn a_second_has_as_many_as_it_may_and_the_next_as_many_again() {
        let mut rate = Rate::default();
        let begin = Duration::from_secs(7);
        assert_eq!(taken(&mut rate, 10, begin), 10);
        assert_eq!(taken(&mut rate, 10, begin + Duration::from_millis(99)), 0);
        assert_eq!(taken(&mut rate, 10, begin + Duration::from_millis(100)), 1);
        assert_eq!(
            taken(&mut rate, 10, begin + Duration::from_millis(1100)),
            10
        );
    }

    #[test]
    fn time_without_any_saves_up_one_second_and_no_more() {
        let mut rate = Rate::default();
        assert_eq!(taken(&mut rate, 3, Duration::from_secs(1000)), 3);
        assert_eq!(taken(&mut rate, 3, Duration::from_secs(5000)), 3);
    }

    #[test]
    fn what_is_refused_costs_nothing() {
        let mut rate = Rate::default();
        let now = Duration::from_secs(1);
        assert_eq!(taken(&mut rate, 1, now), 1);
        assert_eq!(taken(&mut rate, 1, now + Duration::from_secs(1)), 1);
    }
}
