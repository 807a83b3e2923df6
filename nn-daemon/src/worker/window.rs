//! How much a worker has in hand: so many jobs that it does not wait for the next, and so few that nobody else waits for
//! them. A worker runs its jobs in order, so whoever comes next waits for all of them, whoever they are of. ADR 30.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// What may be in hand besides one job, by what jobs are thought to run. Handing the next one over takes some 40 µs.
const TIME: Duration = Duration::from_millis(1);

/// Places for jobs handed over and not yet answered.
#[derive(Debug)]
pub(crate) struct Window {
    jobs_max: usize,
    /// What jobs in hand may take together besides one; `None` where they run side by side, and none waits for another.
    time_max: Option<Duration>,
    hand: Mutex<Hand>,
    /// There may be a place, or never will be. One waits for it.
    news: Notify,
}

#[derive(Debug, Default)]
struct Hand {
    jobs: usize,
    time: Duration,
    is_closed: bool,
}

/// A job's place; dropped, it is free.
#[derive(Debug)]
pub(crate) struct Place {
    window: Arc<Window>,
    time: Duration,
}

// === impl Window ===

impl Window {
    /// For so many jobs at most, one at least, that run one after the other.
    pub(super) fn new(jobs_max: u32) -> Self {
        Self {
            time_max: Some(TIME),
            ..Self::side_by_side(jobs_max)
        }
    }

    /// For so many jobs at most that run side by side.
    pub(super) fn side_by_side(jobs_max: u32) -> Self {
        Self {
            time_max: None,
            jobs_max: usize::try_from(jobs_max).unwrap_or(usize::MAX),
            hand: Mutex::default(),
            news: Notify::new(),
        }
    }

    fn hand(&self) -> MutexGuard<'_, Hand> {
        self.hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a job that is thought to run so long, if there is one.
    pub(crate) fn place(self: &Arc<Self>, time: Duration) -> Option<Place> {
        let mut hand = self.hand();
        let sum = hand.time.saturating_add(time);
        let in_time = self.time_max.is_none_or(|max| sum <= max);
        let fits = hand.jobs == 0 || (hand.jobs < self.jobs_max && in_time);
        if hand.is_closed || !fits {
            return None;
        }
        hand.jobs = hand.jobs.saturating_add(1);
        hand.time = sum;
        Some(Place {
            window: Arc::clone(self),
            time,
        })
    }

    /// No place is given any more.
    pub(super) fn close(&self) {
        self.hand().is_closed = true;
        self.news.notify_one();
    }

    /// Returns once there may be a place that there was not, or there will be none.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }
}

// === impl Place ===

impl Place {
    /// It is for a job that is thought to run so long.
    pub(crate) fn is_for(&mut self, time: Duration) {
        let mut hand = self.window.hand();
        hand.time = hand.time.saturating_sub(self.time).saturating_add(time);
        self.time = time;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        {
            let mut hand = self.window.hand();
            hand.jobs = hand.jobs.saturating_sub(1);
            hand.time = hand.time.saturating_sub(self.time);
        }
        self.window.news.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(window: &Arc<Window>, us: u64) -> Vec<Place> {
        let place = || window.place(Duration::from_micros(us));
        std::iter::from_fn(place).take(100).collect()
    }

    #[test]
    fn short_jobs_fill_the_window_and_of_long_ones_there_is_one() {
        for (us, count) in [
            (0, 4),
            (40, 4),
            (250, 4),
            (251, 3),
            (400, 2),
            (501, 1),
            (60_000_000, 1),
        ] {
            let window = Arc::new(Window::new(4));
            assert_eq!(places(&window, us).len(), count, "{us} us");
        }
    }

    #[test]
    fn jobs_that_run_side_by_side_fill_the_window_however_long_they_are() {
        let window = Arc::new(Window::side_by_side(16));
        assert_eq!(places(&window, 60_000_000).len(), 16);
    }

    #[test]
    fn a_long_job_waits_until_short_ones_are_done() {
        let window = Arc::new(Window::new(4));
        let short = window.place(Duration::from_micros(10));
        assert!(window.place(Duration::from_millis(5)).is_none());
        drop(short);
        let mut long = window.place(Duration::from_micros(10)).unwrap();
        long.is_for(Duration::from_millis(5));
        assert!(window.place(Duration::ZERO).is_none());
        drop(long);
        assert_eq!(places(&window, 0).len(), 4);
    }

    #[test]
    fn a_closed_window_has_no_place_even_for_one() {
        let window = Arc::new(Window::new(4));
        let held = window.place(Duration::ZERO);
        window.close();
        drop(held);
        assert!(window.place(Duration::ZERO).is_none());
    }

    #[tokio::test]
    async fn whoever_waits_hears_of_a_place_that_is_free() {
        let window = Arc::new(Window::new(1));
        let held = window.place(Duration::ZERO);
        let waits = tokio::spawn({
            let window = Arc::clone(&window);
            async move { window.news().await }
        });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        drop(held);
        waits.await.unwrap();
    }
}
