//! Jobs that have come and not begun. Pure: time is a parameter.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use nn_worker_wire::Run;

/// The most jobs that may wait here; the daemon's window is smaller.
pub(crate) const JOBS_MAX: usize = 16;

/// A job, and when nobody waits for it any more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) run: Run,
    deadline: Option<Instant>,
}

/// More jobs than [`JOBS_MAX`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {JOBS_MAX} jobs at a time")]
pub(crate) struct TooMany;

/// Jobs in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    jobs: VecDeque<Job>,
}

// === impl Job ===

impl Job {
    /// Whether its time is over.
    pub(crate) fn is_late(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| now >= deadline)
    }
}

// === impl Queue ===

impl Queue {
    /// Takes a job that came at `now`.
    pub(crate) fn push(&mut self, run: Run, now: Instant) -> Result<(), TooMany> {
        if self.jobs.len() >= JOBS_MAX {
            return Err(TooMany);
        }
        // A deadline beyond the end of time is none.
        let deadline = now.checked_add(Duration::from_micros(run.timeout_us));
        self.jobs.push_back(Job { run, deadline });
        Ok(())
    }

    /// The next job to begin.
    pub(crate) fn pop(&mut self) -> Option<Job> {
        self.jobs.pop_front()
    }

    /// Takes a job out; `None` when it is not waiting: it has begun, or ended.
    pub(crate) fn remove(&mut self, job: u64) -> Option<Job> {
        let index = self.jobs.iter().position(|other| other.run.job == job)?;
        self.jobs.remove(index)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(job: u64, timeout_us: u64) -> Run {
        Run {
            job,
            inputs: Vec::new(),
            out_arena: 0,
            timeout_us,
        }
    }

    #[test]
    fn jobs_begin_in_the_order_they_came() {
        let mut queue = Queue::default();
        let now = Instant::now();
        queue.push(run(7, 1), now).unwrap();
        queue.push(run(5, 1), now).unwrap();
        assert_eq!(queue.pop().unwrap().run.job, 7);
        assert_eq!(queue.pop().unwrap().run.job, 5);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_job_is_late_at_its_deadline() {
        let mut queue = Queue::default();
        let now = Instant::now();
        queue.push(run(1, 1000), now).unwrap();
        let job = queue.pop().unwrap();
        assert!(!job.is_late(now + Duration::from_micros(999)));
        assert!(job.is_late(now + Duration::from_micros(1000)));
    }

    #[test]
    fn the_largest_timeout_is_no_deadline_in_the_past() {
        let mut queue = Queue::default();
        let now = Instant::now();
        queue.push(run(1, u64::MAX), now).unwrap();
        assert!(!queue.pop().unwrap().is_late(now + Duration::from_secs(9)));
    }

    #[test]
    fn a_job_that_is_taken_out_does_not_begin() {
        let mut queue = Queue::default();
        let now = Instant::now();
        queue.push(run(1, 1), now).unwrap();
        queue.push(run(2, 1), now).unwrap();
        assert_eq!(queue.remove(1).unwrap().run.job, 1);
        assert_eq!(queue.remove(1), None);
        assert_eq!(queue.pop().unwrap().run.job, 2);
    }

    #[test]
    fn the_seventeenth_job_is_too_many() {
        let mut queue = Queue::default();
        let now = Instant::now();
        let all: Result<Vec<()>, TooMany> =
            (0..16).map(|job| queue.push(run(job, 1), now)).collect();
        assert!(all.is_ok());
        assert_eq!(queue.push(run(16, 1), now), Err(TooMany));
    }
}
