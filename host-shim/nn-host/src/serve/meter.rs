//! The processor time of one guest: what its thread has used while it ran, not how long it took. Each turn of a guest
//! ends with a tick of the epoch at the latest, so that it is looked at as often.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Work that may use so much of the processor.
#[derive(Debug)]
pub(super) struct Metered<F> {
    work: F,
    used: Duration,
    max: Duration,
}

/// It has used more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exhausted;

/// What this thread has used so far; nothing where the system does not say.
fn thread_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

// === impl Metered ===

impl<F> Metered<F> {
    pub(super) fn new(work: F, max: Duration) -> Self {
        Self {
            work,
            used: Duration::ZERO,
            max,
        }
    }
}

impl<F: Future + Unpin> Future for Metered<F> {
    type Output = Result<F::Output, Exhausted>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Also where the last turn ended by waiting: what it waits for is not worth waiting for.
        if self.used > self.max {
            return Poll::Ready(Err(Exhausted));
        }
        let before = thread_time();
        let polled = Pin::new(&mut self.work).poll(cx);
        let turn = thread_time().saturating_sub(before);
        self.used = self.used.saturating_add(turn);
        match polled {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending if self.used > self.max => Poll::Ready(Err(Exhausted)),
            Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TURN: Duration = Duration::from_millis(5);

    async fn busy(turns: u32) {
        for _ in 0..turns {
            let before = thread_time();
            while thread_time().saturating_sub(before) < TURN {
                std::hint::black_box(());
            }
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn work_that_computes_without_end_is_stopped() {
        let work = Metered::new(Box::pin(busy(u32::MAX)), TURN * 4);
        assert_eq!(work.await, Err(Exhausted));
    }

    #[tokio::test]
    async fn work_that_waits_uses_nothing() {
        let work = async {
            busy(1).await;
            tokio::time::sleep(TURN * 20).await;
        };
        assert_eq!(Metered::new(Box::pin(work), TURN * 4).await, Ok(()));
    }
}
