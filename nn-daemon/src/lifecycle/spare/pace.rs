//! How long until a spare is tried again. Pure.

use std::time::Duration;

use crate::lifecycle::serve::HEALTHY;
use crate::lifecycle::state::backoff;

/// So many in a row a spare counts for that went, or did not come, for want of room: its pauses begin at 800 ms. Whoever
/// took the room would be disturbed by one that is back at once.
const ROOM_FIRST: u32 = 5;

/// What the next one is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lifecycle) enum Wants {
    /// There is none: not yet, or it has taken over, or died.
    Worker,
    /// There was no room for it.
    Room,
}

/// Attempts in a row.
#[derive(Debug)]
pub(in crate::lifecycle) struct Pace {
    in_a_row: u32,
    max: Duration,
}

// === impl Pace ===

impl Pace {
    pub(in crate::lifecycle) fn new(max: Duration) -> Self {
        Self { in_a_row: 0, max }
    }

    /// It has come: the next attempt is a new story.
    pub(in crate::lifecycle) fn forget(&mut self) {
        self.in_a_row = 0;
    }

    /// The pause before the next attempt. The last one, if it came to a spare, began so long ago.
    pub(in crate::lifecycle) fn pause(
        &mut self,
        wants: Wants,
        lived: Option<Duration>,
    ) -> Duration {
        if lived.is_some_and(|lived| lived > HEALTHY) {
            // It has waited so long in peace that the next one is a new story.
            self.in_a_row = 0;
        }
        if wants == Wants::Room {
            self.in_a_row = self.in_a_row.max(ROOM_FIRST);
        }
        let pause = backoff(self.in_a_row, self.max);
        self.in_a_row = self.in_a_row.saturating_add(1);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: Duration = Duration::from_secs(30);

    fn pauses(pace: &mut Pace, wants: Wants, times: usize) -> Vec<u128> {
        let pause = |_| pace.pause(wants, None).as_millis();
        (0..times).map(pause).collect()
    }

    #[test]
    fn without_room_the_pauses_grow_from_nearly_a_second_to_the_bound() {
        let mut pace = Pace::new(MAX);
        let expected = [800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000];
        assert_eq!(pauses(&mut pace, Wants::Room, 8), expected);
    }

    #[test]
    fn one_that_lived_long_is_replaced_at_once_and_one_after_the_other_with_pauses() {
        let mut pace = Pace::new(MAX);
        assert_eq!(pauses(&mut pace, Wants::Worker, 5), [0, 0, 100, 200, 400]);
        let lived = Some(HEALTHY * 2);
        assert_eq!(pace.pause(Wants::Worker, lived), Duration::ZERO);
    }

    #[test]
    fn one_that_gives_way_after_a_long_life_is_back_soon_and_one_that_never_came_is_not() {
        let mut pace = Pace::new(MAX);
        pauses(&mut pace, Wants::Room, 8);
        assert_eq!(pace.pause(Wants::Room, None), MAX);
        let first = pace.pause(Wants::Room, Some(HEALTHY * 2));
        assert_eq!(first.as_millis(), 800);
    }
}
