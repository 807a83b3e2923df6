//! What a request's handler and its guest know of each other. The guest runs in a task of its own, which
//! owns its store and goes on after the answer has begun:
//!
//! ```text
//! Head(until) ── the guest begins its answer ──▶ Body(until) ── all of it is sent ──▶ After(until)
//!      │                                              │                                    │
//!      └── until is past, or the client is gone: the guest is stopped ─────────────────────┘
//! ```
//!
//! The client is gone when the sender is dropped before `After`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// How long a guest may go on once its answer is sent.
pub(super) const AFTER_MAX: Duration = Duration::from_secs(10);

/// What a guest is at, and until when it may be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    Head(Instant),
    Body(Instant),
    After(Instant),
}

/// Why a guest is to be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    Late,
    Gone,
}

/// How a guest has ended, for whoever passes its answer on: the end of an answer's body looks the same when
/// it is complete and when the guest died over it.
#[derive(Clone, Debug, Default)]
pub(super) struct Verdict(Arc<AtomicU8>);

const RUNNING: u8 = 0;
const WELL: u8 = 1;
const BADLY: u8 = 2;

/// To be dropped before the store is: without [`Self::well`], the guest has ended badly.
#[derive(Debug)]
pub(super) struct Judge(Verdict);

/// Waits until the guest is to be stopped.
pub(super) async fn stop(mut phases: watch::Receiver<Phase>) -> Stop {
    loop {
        let phase = *phases.borrow_and_update();
        let (until, ended) = match phase {
            Phase::Head(until) | Phase::Body(until) => (until, false),
            Phase::After(until) => (until, true),
        };
        tokio::select! {
            () = sleep_until(until) => return Stop::Late,
            changed = phases.changed() => match (changed, ended) {
                (Ok(()), _) => {}
                (Err(_), true) => {
                    sleep_until(until).await;
                    return Stop::Late;
                }
                (Err(_), false) => return Stop::Gone,
            },
        }
    }
}

// === impl Verdict ===

impl Verdict {
    pub(super) fn judge(&self) -> Judge {
        Judge(self.clone())
    }

    pub(super) fn is_bad(&self) -> bool {
        self.0.load(Ordering::Acquire) == BADLY
    }
}

// === impl Judge ===

impl Judge {
    pub(super) fn well(self) {
        self.0.0.store(WELL, Ordering::Release);
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        let verdict = &self.0.0;
        // Unless it was good before.
        let _ = verdict.compare_exchange(RUNNING, BADLY, Ordering::AcqRel, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn later(ms: u64) -> Instant {
        Instant::now() + Duration::from_millis(ms)
    }

    #[tokio::test]
    async fn a_guest_without_an_answer_is_late() {
        let (_phase, phases) = watch::channel(Phase::Head(later(1)));
        assert_eq!(stop(phases).await, Stop::Late);
    }

    #[tokio::test]
    async fn a_client_that_leaves_before_the_end_stops_the_guest() {
        let (phase, phases) = watch::channel(Phase::Head(later(60_000)));
        phase.send(Phase::Body(later(60_000))).unwrap();
        drop(phase);
        assert_eq!(stop(phases).await, Stop::Gone);
    }

    #[tokio::test]
    async fn a_guest_may_go_on_after_its_answer_for_a_while() {
        let (phase, phases) = watch::channel(Phase::Body(later(60_000)));
        let until = later(20);
        phase.send(Phase::After(until)).unwrap();
        drop(phase);
        assert_eq!(stop(phases).await, Stop::Late);
        assert!(Instant::now() >= until);
    }

    #[test]
    fn what_was_not_said_to_be_well_is_bad() {
        let (good, bad) = (Verdict::default(), Verdict::default());
        good.judge().well();
        drop(bad.judge());
        assert!(!good.is_bad() && bad.is_bad());
        assert!(!Verdict::default().is_bad());
    }
}
