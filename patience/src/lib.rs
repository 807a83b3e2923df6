//! Waits for others that have an end. A clock goes on while this process is stopped, or gets no processor; whoever was
//! waited for may have answered long ago, and nobody has looked. So time is counted here in ticks that this process has
//! really had: one that took much longer than it was meant to does not count, and after it there is always another.
//!
//! Every wait ends: of two ticks in a row that are late, one counts. It knows nothing of what is waited for.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// What a wait is cut into.
const TICK: Duration = Duration::from_millis(250);

/// A tick that is over so much later than it was meant to be was not had.
const LATE: Duration = Duration::from_millis(250);

/// A wait: resolves once it has been long enough.
#[derive(Debug)]
pub struct Wait {
    /// Still to wait, the tick at hand included.
    left: Duration,
    /// Of the ticks that are over, those that counted.
    waited: Duration,
    tick: Tick,
    judge: Judge,
}

/// Time was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over;

/// The same tick again and again.
#[derive(Debug)]
pub struct Ticks {
    every: Duration,
    judge: Judge,
}

#[derive(Debug)]
struct Tick {
    began: Instant,
    meant: Duration,
    end: Pin<Box<Sleep>>,
}

/// Says which ticks count.
#[derive(Debug, Default)]
struct Judge {
    /// The last one did not.
    has_forgiven: bool,
}

/// Waits for a future, so long at most. One that is ready is never too late.
///
/// # Errors
/// When it took longer.
pub async fn timeout<F: Future>(longest: Duration, future: F) -> Result<F::Output, Over> {
    tokio::select! {
        biased;
        done = future => Ok(done),
        () = Wait::new(longest) => Err(Over),
    }
}

// === impl Judge, Tick ===

impl Judge {
    fn counts(&mut self, meant: Duration, took: Duration) -> bool {
        let is_late = took > meant.saturating_add(LATE);
        self.has_forgiven = is_late && !self.has_forgiven;
        !self.has_forgiven
    }
}

impl Tick {
    fn new(meant: Duration) -> Self {
        Self {
            began: Instant::now(),
            meant,
            end: Box::pin(sleep(meant)),
        }
    }
}

// === impl Wait ===

impl Wait {
    /// A wait that begins now.
    #[must_use]
    pub fn new(longest: Duration) -> Self {
        Self {
            left: longest,
            waited: Duration::ZERO,
            tick: Tick::new(longest.min(TICK)),
            judge: Judge::default(),
        }
    }

    /// How long it has been, at most as long as was to be waited.
    #[must_use]
    pub fn waited(&self) -> Duration {
        let now = self.tick.began.elapsed().min(self.tick.meant);
        self.waited.saturating_add(now)
    }
}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        while !self.left.is_zero() {
            ready!(self.tick.end.as_mut().poll(cx));
            let (meant, took) = (self.tick.meant, self.tick.began.elapsed());
            if self.judge.counts(meant, took) {
                self.left = self.left.saturating_sub(meant);
                self.waited = self.waited.saturating_add(meant);
            } else {
                // Whoever was stopped as well gets a whole one.
                self.left = self.left.max(TICK.min(self.waited.saturating_add(meant)));
            }
            self.tick = Tick::new(self.left.min(TICK));
        }
        Poll::Ready(())
    }
}

// === impl Ticks ===

impl Ticks {
    /// Ticks of this length.
    #[must_use]
    pub fn new(every: Duration) -> Self {
        Self {
            every,
            judge: Judge::default(),
        }
    }

    /// Waits for the end of one; says whether it counts.
    pub async fn next(&mut self) -> bool {
        let began = Instant::now();
        sleep(self.every).await;
        self.judge.counts(self.every, began.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    /// Time goes on and nobody looks.
    async fn stopped_for(time: Duration) {
        advance(time).await;
    }

    async fn poll(wait: &mut Wait) -> Poll<()> {
        std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut *wait).poll(cx))).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_takes_as_long_as_it_is_meant_to() {
        let began = Instant::now();
        Wait::new(LONG).await;
        assert_eq!(began.elapsed(), LONG);
        assert_eq!(timeout(LONG, std::future::pending::<()>()).await, Err(Over));
        assert_eq!(began.elapsed(), 2 * LONG);
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nothing_ran_does_not_count() {
        let mut wait = Wait::new(LONG);
        assert!(poll(&mut wait).await.is_pending());
        stopped_for(2 * LONG).await;
        assert!(poll(&mut wait).await.is_pending());
        assert!(wait.waited() < TICK, "{:?}", wait.waited());
        let began = Instant::now();
        wait.await;
        assert_eq!(began.elapsed(), LONG);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_stop_in_its_last_moment_there_is_a_tick_more() {
        let mut wait = Wait::new(TICK + TICK / 10);
        assert!(poll(&mut wait).await.is_pending());
        stopped_for(TICK).await;
        assert!(poll(&mut wait).await.is_pending());
        stopped_for(LONG).await;
        assert!(poll(&mut wait).await.is_pending());
        let began = Instant::now();
        wait.await;
        assert_eq!(began.elapsed(), TICK);
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_is_always_late_stops_waiting_too() {
        let mut wait = Wait::new(LONG);
        let mut turns = 0;
        while poll(&mut wait).await.is_pending() {
            stopped_for(LONG).await;
            turns += 1;
        }
        let ticks = LONG.as_millis().div_ceil(TICK.as_millis());
        assert_eq!(turns, 2 * ticks);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_ready_is_not_too_late() {
        assert_eq!(timeout(Duration::ZERO, async { 7 }).await, Ok(7));
    }

    #[tokio::test(start_paused = true)]
    async fn of_ticks_that_are_late_every_second_counts() {
        let mut ticks = Ticks::new(TICK);
        assert!(ticks.next().await);
        let mut late = async || {
            let mut tick = Box::pin(ticks.next());
            assert!(
                std::future::poll_fn(|cx| Poll::Ready(tick.as_mut().poll(cx)))
                    .await
                    .is_pending()
            );
            stopped_for(LONG).await;
            tick.await
        };
        assert_eq!(
            [late().await, late().await, late().await],
            [false, true, false]
        );
    }
}
