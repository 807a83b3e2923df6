//! Whether a worker without a job is still there. One that has a job is held by that job's deadline; one that has none
//! and hangs, or was stopped, would be noticed by the next caller, who pays for it.

use std::sync::{Arc, Weak};

use nn_patience::Ticks;

use super::{Order, State, Worker};
use crate::limits::{PROBE_EVERY, PROBE_MISSED_MAX};

/// What is to be done about a worker.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Nothing,
    Ask,
    Kill,
}

/// Asks a worker every now and then, for as long as it lives.
pub(super) fn start(worker: &Arc<Worker>) {
    tokio::spawn(ask(Arc::downgrade(worker)));
}

async fn ask(worker: Weak<Worker>) {
    let mut ticks = Ticks::new(PROBE_EVERY);
    loop {
        let counts = ticks.next().await;
        let Some(worker) = worker.upgrade() else {
            return;
        };
        let next = {
            let mut state = worker.state();
            if state.dead {
                return;
            }
            state.next_probe(counts)
        };
        match next {
            Next::Nothing => {}
            Next::Ask => worker.outbox.probe(),
            Next::Kill => {
                worker.kill(Order::Silent);
                return;
            }
        }
    }
}

impl State {
    /// An answer has come; false if none was asked for.
    pub(super) fn alive(&mut self) -> bool {
        self.probed.take().is_some()
    }

    /// What a look at it comes to; one that does not count came late, and its answer may lie there unread.
    fn next_probe(&mut self, counts: bool) -> Next {
        let is_idle = self.jobs.is_empty();
        let missed = match self.probed {
            None if is_idle => {
                self.probed = Some(0);
                return Next::Ask;
            }
            None => return Next::Nothing,
            // It answers when that job is done.
            Some(_) if !is_idle => 0,
            Some(missed) => missed.saturating_add(u32::from(counts)),
        };
        self.probed = Some(missed);
        if missed < PROBE_MISSED_MAX {
            Next::Nothing
        } else {
            Next::Kill
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(state: &mut State, counts: [bool; 3]) -> [Next; 3] {
        counts.map(|counts| state.next_probe(counts))
    }

    #[test]
    fn an_idle_worker_is_asked_once_and_killed_when_it_does_not_answer() {
        let mut state = State::default();
        assert_eq!(state.next_probe(true), Next::Ask);
        assert_eq!(
            looks(&mut state, [true; 3]),
            [Next::Nothing, Next::Nothing, Next::Kill]
        );
    }

    #[test]
    fn a_look_that_came_late_is_not_held_against_a_worker() {
        let mut state = State::default();
        assert_eq!(state.next_probe(true), Next::Ask);
        assert_eq!(
            looks(&mut state, [true, true, false]),
            [Next::Nothing, Next::Nothing, Next::Nothing]
        );
        assert_eq!(state.next_probe(true), Next::Kill);
    }

    #[test]
    fn a_worker_that_answers_is_asked_again_and_one_that_was_not_asked_may_not_answer() {
        let mut state = State::default();
        assert_eq!(state.next_probe(true), Next::Ask);
        assert!(state.alive());
        assert!(!state.alive());
        assert_eq!(state.next_probe(true), Next::Ask);
    }
}
