//! How long a compute had, and on what it was spent when that was not enough. Pure, but for the clock.

use std::time::Duration;

use nn_tensor::{Fault, Reason};
use tokio::time::Instant;

/// When a compute came, and by when it must be done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) enqueued: Instant,
    pub(crate) deadline: Instant,
}

impl Times {
    /// The answer to one that no worker had begun by its deadline.
    pub(crate) fn waited(self) -> Fault {
        let fault = Fault::of(Reason::DeadlineQueued).expected(self.had());
        fault.got(format!("{} ms in the queue", ms(self.had_so_far())))
    }

    /// The answer to one that a worker had begun, which says how long it computed.
    pub(crate) fn ran(self, run: Duration) -> Fault {
        let so_far = self.had_so_far();
        let run = run.min(so_far);
        let queued = so_far.saturating_sub(run);
        let fault = Fault::of(Reason::DeadlineRunning).expected(self.had());
        fault.got(format!(
            "{} ms in the queue, then {} ms of computing without an end",
            ms(queued),
            ms(run)
        ))
    }

    /// The answer to one that a worker had got, which does not say what it did with it.
    pub(crate) fn overstayed(self) -> Fault {
        let fault = Fault::of(Reason::DeadlineRunning).expected(self.had());
        fault.got(format!("no answer after {} ms", ms(self.had_so_far())))
    }

    fn had(self) -> String {
        let had = self.deadline.saturating_duration_since(self.enqueued);
        format!("an answer within {} ms", ms(had))
    }

    fn had_so_far(self) -> Duration {
        self.enqueued.elapsed()
    }
}

fn ms(time: Duration) -> u128 {
    time.as_millis()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_late_compute_is_told_what_it_had_and_where_it_went() {
        let enqueued = Instant::now();
        let deadline = enqueued + Duration::from_millis(50);
        let times = Times { enqueued, deadline };
        tokio::time::advance(Duration::from_millis(60)).await;
        let fault = times.ran(Duration::from_millis(45));
        assert_eq!(fault.expected, "an answer within 50 ms");
        assert_eq!(
            fault.got,
            "15 ms in the queue, then 45 ms of computing without an end"
        );
        assert_eq!(times.waited().got, "60 ms in the queue");
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_claims_more_time_than_there_was_is_not_believed() {
        let enqueued = Instant::now();
        let times = Times {
            enqueued,
            deadline: enqueued,
        };
        let fault = times.ran(Duration::from_secs(u64::MAX / 2));
        assert!(fault.got.starts_with("0 ms in the queue, then 0 ms"));
    }
}
