//! When an endpoint is left alone: after so many failures in a row, for a while; then one call decides. Pure: time is a
//! parameter.
//!
//! ```text
//!            failures in a row                 its time is over: one call
//!  closed ────────────────────▶ open ───────────────────────────────────▶ half-open
//!    ▲                           ▲  ▲ nobody knows (cancelled)              │  │
//!    │                           │  └───────────────────────────────────────┘  │
//!    │                           └───────────────── it fails ──────────────────┤
//!    └──────────────────────────────── it succeeds ────────────────────────────┘
//! ```

use std::time::{Duration, Instant};

use nn_tensor::Reason;
use nn_worker_wire::{Breaker as Seen, BreakerRule};

/// One endpoint's.
#[derive(Debug)]
pub struct Breaker {
    rule: BreakerRule,
    state: State,
    failures: u32,
    reason: Option<Reason>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Option<Instant> },
    HalfOpen,
}

/// A call that was let through, and must come back with what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Pass {
    is_probe: bool,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The endpoint works.
    Good,
    /// It does not, and why.
    Bad(Reason),
    /// The call says nothing of the endpoint.
    Unknown,
}

// === impl Pass ===

impl Pass {
    /// Whether it is the one that decides.
    #[must_use]
    pub fn is_probe(self) -> bool {
        self.is_probe
    }
}

// === impl Breaker ===

impl Breaker {
    /// Closed.
    #[must_use]
    pub fn new(rule: BreakerRule) -> Self {
        Self {
            rule,
            state: State::Closed,
            failures: 0,
            reason: None,
        }
    }

    /// Whether a call may go there now.
    #[must_use]
    pub fn lets(&self, now: Instant) -> bool {
        match self.state {
            State::Closed => true,
            State::Open { until } => until.is_some_and(|until| now >= until),
            State::HalfOpen => false,
        }
    }

    /// A call goes there.
    pub fn begin(&mut self, now: Instant) -> Option<Pass> {
        if !self.lets(now) {
            return None;
        }
        let is_probe = self.state != State::Closed;
        if is_probe {
            self.state = State::HalfOpen;
        }
        Some(Pass { is_probe })
    }

    /// It is back.
    pub fn end(&mut self, pass: Pass, verdict: Verdict, now: Instant) {
        let probing = self.state == State::HalfOpen;
        match verdict {
            Verdict::Good => {
                self.state = State::Closed;
                self.failures = 0;
                self.reason = None;
            }
            Verdict::Bad(reason) => {
                self.failures = self.failures.saturating_add(1);
                self.reason = Some(reason);
                let many = self.failures >= self.rule.failures;
                // Those that began before it opened say nothing new.
                if (self.state == State::Closed && many) || (probing && pass.is_probe) {
                    let open = Duration::from_millis(self.rule.open_ms.into());
                    self.state = State::Open {
                        until: now.checked_add(open),
                    };
                }
            }
            Verdict::Unknown if probing && pass.is_probe => {
                self.state = State::Open { until: Some(now) };
            }
            Verdict::Unknown => {}
        }
    }

    /// As it is told.
    #[must_use]
    pub fn seen(&self) -> Seen {
        match self.state {
            // The probe finds out; until then it has the wrong model.
            State::Open { .. } | State::HalfOpen if self.reason == Some(Reason::RemoteModel) => {
                Seen::Unfit
            }
            State::Closed => Seen::Closed,
            State::Open { .. } => Seen::Open,
            State::HalfOpen => Seen::HalfOpen,
        }
    }

    /// Failures in a row.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// The last one's reason.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        self.reason
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAD: Verdict = Verdict::Bad(Reason::RemoteLost);

    fn breaker() -> Breaker {
        Breaker::new(BreakerRule {
            failures: 2,
            open_ms: 1000,
        })
    }

    fn fail(breaker: &mut Breaker, now: Instant) {
        let pass = breaker.begin(now).unwrap();
        breaker.end(pass, BAD, now);
    }

    #[test]
    fn it_opens_after_so_many_failures_in_a_row() {
        let (mut breaker, now) = (breaker(), Instant::now());
        fail(&mut breaker, now);
        let pass = breaker.begin(now).unwrap();
        breaker.end(pass, Verdict::Good, now);
        fail(&mut breaker, now);
        assert!(breaker.lets(now));
        fail(&mut breaker, now);
        assert!(!breaker.lets(now + Duration::from_millis(999)));
        assert_eq!(breaker.seen(), Seen::Open);
    }

    #[test]
    fn then_one_call_decides() {
        let (mut breaker, now) = (breaker(), Instant::now());
        fail(&mut breaker, now);
        fail(&mut breaker, now);
        let later = now + Duration::from_secs(1);
        let probe = breaker.begin(later).unwrap();
        assert_eq!(breaker.seen(), Seen::HalfOpen);
        assert_eq!(breaker.begin(later), None);
        breaker.end(probe, BAD, later);
        assert!(!breaker.lets(later));
        let later = later + Duration::from_secs(1);
        let probe = breaker.begin(later).unwrap();
        breaker.end(probe, Verdict::Good, later);
        assert_eq!((breaker.seen(), breaker.failures()), (Seen::Closed, 0));
    }

    #[test]
    fn a_probe_that_was_cancelled_makes_room_for_another() {
        let (mut breaker, now) = (breaker(), Instant::now());
        fail(&mut breaker, now);
        fail(&mut breaker, now);
        let later = now + Duration::from_secs(1);
        let probe = breaker.begin(later).unwrap();
        breaker.end(probe, Verdict::Unknown, later);
        assert!(breaker.begin(later).is_some());
    }

    #[test]
    fn calls_from_before_do_not_hold_it_open_but_one_that_succeeds_closes_it() {
        let (mut breaker, now) = (breaker(), Instant::now());
        let old = [breaker.begin(now).unwrap(), breaker.begin(now).unwrap()];
        fail(&mut breaker, now);
        fail(&mut breaker, now);
        let later = now + Duration::from_millis(900);
        breaker.end(old[0], BAD, later);
        assert!(breaker.lets(now + Duration::from_secs(1)));
        breaker.end(old[1], Verdict::Good, later);
        assert!(breaker.lets(later));
    }

    #[test]
    fn one_with_another_model_is_unfit() {
        let (mut breaker, now) = (breaker(), Instant::now());
        for _ in 0..2 {
            let pass = breaker.begin(now).unwrap();
            breaker.end(pass, Verdict::Bad(Reason::RemoteModel), now);
        }
        assert_eq!(breaker.seen(), Seen::Unfit);
    }
}
