//! Whatever is seen, the number of instances stays between its bounds, and goes where the load is.

use proptest::prelude::*;

use super::*;

const TICK: Duration = Duration::from_millis(100);

fn rules(min: u32, max: u32) -> Rules {
    Rules {
        range: Instances { min, max },
        busy: Duration::from_millis(500),
        idle: Duration::from_secs(2),
    }
}

/// A pool over time: how many serve, and what is known of them.
#[derive(Debug, Default)]
struct Pool {
    serving: u32,
    is_coming: bool,
    busy: Busy,
    /// For how long the last one has been idle.
    idle: Duration,
}

impl Pool {
    /// A look at it, while that many calls are wanted; `comes` is whether one that is on the way has come.
    fn look(&mut self, rules: &Rules, calls: u32, comes: bool) -> Step {
        if self.is_coming && comes {
            self.serving += 1;
            self.is_coming = false;
        }
        // The fewest in flight first: the last one is idle where there are fewer calls than instances.
        let is_idle = calls < self.serving;
        self.idle = if is_idle {
            self.idle + TICK
        } else {
            Duration::ZERO
        };
        self.busy.add(calls >= self.serving * 2, TICK);
        let step = rules.step(Seen {
            serving: self.serving,
            is_coming: self.is_coming,
            is_room_wanted: false,
            busy: self.busy.time(),
            idle: self.idle,
        });
        match step {
            Step::Up => {
                self.is_coming = true;
                self.busy.forget();
            }
            Step::Down => {
                self.serving -= 1;
                self.idle = Duration::ZERO;
            }
            Step::Stay => {}
        }
        step
    }
}

fn bounds() -> impl Strategy<Value = (u32, u32)> {
    (1..=16_u32, 0..16_u32).prop_map(|(min, more)| (min, (min + more).min(16)))
}

proptest! {
    #[test]
    fn the_number_of_instances_never_leaves_its_bounds(
        (min, max) in bounds(),
        looks in prop::collection::vec((0..64_u32, any::<bool>()), 0..500),
    ) {
        let rules = rules(min, max);
        let mut pool = Pool { serving: min, ..Pool::default() };
        for (calls, comes) in looks {
            pool.look(&rules, calls, comes);
            let coming = pool.serving + u32::from(pool.is_coming);
            prop_assert!(pool.serving >= min && coming <= max, "{pool:?}");
        }
    }

    #[test]
    fn a_lasting_load_has_as_many_as_it_needs_and_afterwards_the_least_are_left(
        (min, max) in bounds(),
        calls in 1..64_u32,
    ) {
        let rules = rules(min, max);
        let mut pool = Pool { serving: min, ..Pool::default() };
        for _ in 0..2000 {
            pool.look(&rules, calls, true);
        }
        // One has no call waiting, or there may be no more.
        prop_assert!(pool.serving == max || calls < pool.serving * 2, "{pool:?}");
        prop_assert!(pool.serving == min || calls >= pool.serving, "{pool:?}");
        let steady = pool.serving;
        for _ in 0..100 {
            pool.look(&rules, calls, true);
            prop_assert_eq!(pool.serving, steady, "no more comes and goes");
        }
        for _ in 0..2000 {
            pool.look(&rules, 0, true);
        }
        prop_assert_eq!(pool.serving, min);
    }

    #[test]
    fn what_is_fixed_is_never_changed(
        count in 1..=16_u32,
        busy in 0..10_000_u64,
        idle in 0..10_000_u64,
        is_coming: bool,
        is_room_wanted: bool,
    ) {
        let step = rules(count, count).step(Seen {
            serving: count,
            is_coming,
            is_room_wanted,
            busy: Duration::from_millis(busy),
            idle: Duration::from_millis(idle),
        });
        prop_assert_eq!(step, Step::Stay);
    }

    #[test]
    fn none_is_started_before_all_were_busy_for_long_enough(
        looks in prop::collection::vec(any::<bool>(), 0..100),
    ) {
        let mut busy = Busy::default();
        for is_busy in &looks {
            busy.add(*is_busy, TICK);
        }
        let were = u32::try_from(looks.iter().filter(|is_busy| **is_busy).count()).unwrap();
        prop_assert!(busy.time() <= TICK * were);
    }
}

#[test]
fn while_none_serves_the_first_is_somebody_elses_to_start() {
    let seen = Seen {
        serving: 0,
        is_coming: false,
        is_room_wanted: false,
        busy: Duration::from_secs(9),
        idle: Duration::ZERO,
    };
    assert_eq!(rules(1, 4).step(seen), Step::Stay);
}

#[test]
fn where_room_is_wanted_none_is_started() {
    let mut seen = Seen {
        serving: 2,
        is_coming: false,
        is_room_wanted: true,
        busy: Duration::from_secs(9),
        idle: Duration::ZERO,
    };
    assert_eq!(rules(1, 4).step(seen), Step::Stay);
    seen.is_room_wanted = false;
    assert_eq!(rules(1, 4).step(seen), Step::Up);
}
