//! Whether a worker without a job is still there. One that has a job is held by that job's deadline; one that has none
//! and hangs, or was stopped, would be noticed by the next caller, who pays for it.

use std::sync::{Arc, Weak};

use tokio::time::{Instant, sleep};

use super::{State, Worker};
use crate::limits::{PROBE_EVERY, PROBE_TIMEOUT};

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
    loop {
        sleep(PROBE_EVERY).await;
        let Some(worker) = worker.upgrade() else {
            return;
        };
        let next = {
            let mut state = worker.state();
            if state.dead {
                return;
            }
            state.next_probe(Instant::now())
        };
        match next {
            Next::Nothing => {}
            Next::Ask => worker.outbox.probe(),
            Next::Kill => {
                worker.kill_for("it has no job and does not answer");
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

    fn next_probe(&mut self, now: Instant) -> Next {
        let is_idle = self.jobs.is_empty();
        match self.probed {
            None if is_idle => {
                self.probed = Some(now);
                Next::Ask
            }
            None => Next::Nothing,
            // It answers when that job is done.
            Some(_) if !is_idle => {
                self.probed = Some(now);
                Next::Nothing
            }
            Some(since) if now.saturating_duration_since(since) >= PROBE_TIMEOUT => Next::Kill,
            Some(_) => Next::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_idle_worker_is_asked_once_and_killed_when_it_does_not_answer() {
        let mut state = State::default();
        let began = Instant::now();
        assert_eq!(state.next_probe(began), Next::Ask);
        assert_eq!(state.next_probe(began + PROBE_EVERY), Next::Nothing);
        assert_eq!(state.next_probe(began + PROBE_TIMEOUT), Next::Kill);
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_answers_is_asked_again_and_one_that_was_not_asked_may_not_answer() {
        let mut state = State::default();
        let began = Instant::now();
        assert_eq!(state.next_probe(began), Next::Ask);
        assert!(state.alive());
        assert!(!state.alive());
        assert_eq!(state.next_probe(began + PROBE_TIMEOUT), Next::Ask);
    }
}
