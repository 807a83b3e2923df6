//! The states of one model version, or of one tenant's unit of it. Pure: events in, next state out.
//!
//! ```text
//!            Wanted             Loaded
//!  Absent ───────────▶ Loading ────────▶ Ready ◀──────────┐
//!    ▲ ▲              ▲ │  │ ▲           │ │              │ Loaded
//!    │ └─ Unavailable │ │  └─┘ Crashed   │ │ Crashed      │
//!    │         Lifted │ ▼    (< 3 times) │ ▼              │
//!    │                Failed             │ Restarting ────┘   Restarting ─ Unavailable ─▶ Absent (relays)
//!    │                  ▲                │    │  └─▶ Restarting (Crashed)
//!    │                  └── Quarantined ─┼────┴── from Loading, Warming, Ready and Restarting
//!    └───────────────── Rested ──────────┘
//!   Loading ─ Warm ─▶ Warming ─ Loaded ─▶ Ready        (Warming ─ Crashed ─▶ Loading; else as Loading)
//!   Absent, Loading, Warming, Restarting ─ Refused ─▶ Failed
//!   any of them ─ Unload ─▶ Draining ── Drained ─▶ Gone
//! ```
//!
//! Warming is a first load whose worker has the model and runs it as its `model.toml` says. Workers that come later, a
//! restart's or a spare, are warmed as well; the state stays what it was meanwhile.
//!
//! It is Ready while any of its instances answers (`pool.rs`): only the end of the last one is Crashed.
//!
//! A version rests, its process gone, when nothing means it and nobody holds it, when it has not been used for as long as
//! its `model.toml` says, or to make room for another. Its next use loads it again; who waits does not see the difference.
//!
//! What stops a model that keeps crashing, from the nearest bound to the last:
//!
//! 1. Each end is charged to the model's bytes where model or input may have caused it. With so many within a window
//!    (3 in 60 s) the bytes are quarantined: every version that has them goes to Failed, no worker is started with
//!    them, by whatever name, also after a restart of the daemon, until `nnctl quarantine lift` (Lifted). ADR 17.
//! 2. A first load that ends three times in a row for whatever reason (also one that is charged to nobody: a jail
//!    that cannot be built) leaves the model Failed until it is unloaded. One that meets its deadline does so at once
//!    (Refused): the same bytes would take another worker as long, and whoever waits, a deadline more each time.
//! 3. Otherwise the pause before the next start grows (`backoff`), so what crashes more seldom than 1. forbids, or is
//!    killed from outside, costs a start in `limits.restart_backoff_ms_max` at worst.

use std::time::Duration;

/// How many times in a row a first load may crash before the model counts as bad.
pub(crate) const LOAD_CRASHES_MAX: u32 = 3;

const BACKOFF_FIRST: Duration = Duration::from_millis(100);

/// Where a model version stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// Known, not loaded; its first use loads it.
    #[default]
    Absent,
    /// A worker is loading it for the first time.
    Loading,
    /// That worker has it, and runs it for the first time.
    Warming,
    /// A worker answers.
    Ready,
    /// It has answered before; its last worker died and another is on the way.
    Restarting,
    /// It cannot be loaded, or is quarantined.
    Failed,
    /// No new jobs; those in flight may end.
    Draining,
    /// Nothing is left of it.
    Gone,
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Somebody needs it.
    Wanted,
    /// A worker has loaded it, and is to be warmed up.
    Warm,
    /// A worker has loaded it, and is warm.
    Loaded,
    /// The framework says that it is no model, or none that it can run; or its bytes are not what they were.
    Refused,
    /// A worker died or could not be started, and no other serves; so many in a row by now.
    Crashed(u32),
    /// No worker could be had for its first load, or no relay at all: not its doing.
    Unavailable,
    /// Its bytes have crashed too many workers.
    Quarantined,
    /// The operator lets them be tried again.
    Lifted,
    /// Nobody needs it at the moment: its worker goes.
    Rested,
    /// It is to go.
    Unload,
    /// No worker is left.
    Drained,
}

impl State {
    /// As people read it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Loading => "loading",
            Self::Warming => "warming",
            Self::Ready => "ready",
            Self::Restarting => "restarting",
            Self::Failed => "failed",
            Self::Draining => "draining",
            Self::Gone => "gone",
        }
    }

    /// Whether its first worker is on the way.
    pub(crate) const fn is_coming(self) -> bool {
        matches!(self, Self::Loading | Self::Warming)
    }

    /// The state after an event; `None` for an event that cannot happen in this state.
    pub(crate) fn after(self, event: Event) -> Option<Self> {
        match (self, event) {
            (Self::Absent, Event::Wanted) => Some(Self::Loading),
            (Self::Loading | Self::Warming | Self::Restarting, Event::Unavailable)
            | (Self::Ready, Event::Rested) => Some(Self::Absent),
            (Self::Loading, Event::Warm) => Some(Self::Warming),
            (
                Self::Loading | Self::Warming | Self::Ready | Self::Restarting,
                Event::Quarantined,
            ) => Some(Self::Failed),
            (Self::Failed, Event::Lifted) => Some(Self::Loading),
            (Self::Loading | Self::Warming | Self::Restarting, Event::Loaded) => Some(Self::Ready),
            (Self::Absent | Self::Loading | Self::Warming | Self::Restarting, Event::Refused) => {
                Some(Self::Failed)
            }
            (Self::Loading | Self::Warming, Event::Crashed(crashes))
                if crashes < LOAD_CRASHES_MAX =>
            {
                Some(Self::Loading)
            }
            (Self::Loading | Self::Warming, Event::Crashed(_)) => Some(Self::Failed),
            (Self::Ready | Self::Restarting, Event::Crashed(_)) => Some(Self::Restarting),
            (
                Self::Absent
                | Self::Loading
                | Self::Warming
                | Self::Ready
                | Self::Restarting
                | Self::Failed,
                Event::Unload,
            ) => Some(Self::Draining),
            (Self::Draining, Event::Drained) => Some(Self::Gone),
            _ => None,
        }
    }
}

/// The pause before the next start after so many crashes in a row: none after the first, then
/// 100 ms, doubled each time, at most `max`.
pub(crate) fn backoff(crashes: u32, max: Duration) -> Duration {
    match crashes {
        0 | 1 => Duration::ZERO,
        more => BACKOFF_FIRST
            .saturating_mul(2_u32.saturating_pow(more.saturating_sub(2)))
            .min(max),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(events: &[Event]) -> Option<State> {
        events
            .iter()
            .try_fold(State::Absent, |state, &event| state.after(event))
    }

    #[test]
    fn a_crash_while_serving_restarts_however_often() {
        let mut events = vec![Event::Wanted, Event::Loaded];
        events.extend((1..100).map(Event::Crashed));
        assert_eq!(walk(&events), Some(State::Restarting));
        events.push(Event::Loaded);
        assert_eq!(walk(&events), Some(State::Ready));
    }

    #[test]
    fn a_model_that_crashes_each_first_load_has_failed() {
        let events = [
            Event::Wanted,
            Event::Crashed(1),
            Event::Crashed(2),
            Event::Crashed(3),
        ];
        assert_eq!(walk(&events[..3]), Some(State::Loading));
        assert_eq!(walk(&events), Some(State::Failed));
    }

    #[test]
    fn a_quarantined_model_is_tried_again_only_when_that_is_lifted() {
        let events = [
            Event::Wanted,
            Event::Loaded,
            Event::Crashed(1),
            Event::Quarantined,
        ];
        let failed = walk(&events).unwrap();
        let others = [Event::Wanted, Event::Loaded, Event::Crashed(1)];
        assert_eq!(failed, State::Failed);
        assert!(others.iter().all(|&event| failed.after(event).is_none()));
        assert_eq!(failed.after(Event::Lifted), Some(State::Loading));
    }

    #[test]
    fn only_what_answers_may_rest_and_its_next_use_loads_it() {
        let loaded = [Event::Wanted, Event::Loaded];
        assert_eq!(
            walk(&loaded).unwrap().after(Event::Rested),
            Some(State::Absent)
        );
        assert_eq!(State::Absent.after(Event::Wanted), Some(State::Loading));
        let others = [
            State::Absent,
            State::Loading,
            State::Warming,
            State::Restarting,
            State::Failed,
        ];
        assert!(
            others
                .iter()
                .all(|state| state.after(Event::Rested).is_none())
        );
    }

    #[test]
    fn a_first_load_is_warmed_and_a_restart_stays_one_meanwhile() {
        let warming = walk(&[Event::Wanted, Event::Warm]).unwrap();
        assert_eq!(warming, State::Warming);
        assert_eq!(warming.after(Event::Loaded), Some(State::Ready));
        assert_eq!(warming.after(Event::Unavailable), Some(State::Absent));
        assert_eq!(warming.after(Event::Refused), Some(State::Failed));
        assert_eq!(warming.after(Event::Quarantined), Some(State::Failed));
        assert_eq!(warming.after(Event::Unload), Some(State::Draining));
        assert_eq!(warming.after(Event::Crashed(1)), Some(State::Loading));
        assert_eq!(warming.after(Event::Crashed(3)), Some(State::Failed));
        assert_eq!(State::Restarting.after(Event::Warm), None);
        assert_eq!(State::Ready.after(Event::Warm), None);
    }

    #[test]
    fn what_has_no_relay_any_more_rests_and_its_next_use_tries_again() {
        let away = [
            Event::Wanted,
            Event::Loaded,
            Event::Crashed(1),
            Event::Unavailable,
        ];
        assert_eq!(walk(&away), Some(State::Absent));
        assert_eq!(State::Absent.after(Event::Wanted), Some(State::Loading));
        assert_eq!(State::Ready.after(Event::Unavailable), None);
    }

    #[test]
    fn what_is_gone_stays_gone() {
        let all = [
            Event::Wanted,
            Event::Warm,
            Event::Loaded,
            Event::Refused,
            Event::Crashed(1),
            Event::Unavailable,
            Event::Quarantined,
            Event::Lifted,
            Event::Rested,
            Event::Unload,
            Event::Drained,
        ];
        assert!(all.iter().all(|&event| State::Gone.after(event).is_none()));
        assert_eq!(walk(&[Event::Unload, Event::Drained]), Some(State::Gone));
    }

    #[test]
    fn the_first_restart_is_immediate_and_later_ones_back_off_to_the_bound() {
        let max = Duration::from_secs(1);
        let pauses: Vec<u128> = (0..8)
            .map(|crashes| backoff(crashes, max).as_millis())
            .collect();
        assert_eq!(pauses, [0, 0, 100, 200, 400, 800, 1000, 1000]);
        assert_eq!(backoff(u32::MAX, max), max);
    }
}
