//! A request's body on its way to the guest: of bounded size, from a client that must not dawdle.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use nn_patience::Wait;
use tokio::sync::Notify;
use wasmtime_wasi_http::Error;

use crate::serve::refusal::Refusal;

/// Longest time between two pieces of a body.
const PIECE_MAX: Duration = Duration::from_secs(10);

/// So long the client is waited for in all, and …
const WAIT_MAX: Duration = Duration::from_secs(5);

/// … a second longer for each so many bytes of it: else a byte now and then would keep a guest's place.
const BYTES_PER_SECOND_MIN: u64 = 1 << 10;

/// The body.
#[derive(Debug)]
pub(super) struct RequestBody<B> {
    inner: B,
    bytes_max: u64,
    bytes: u64,
    wait_max: Duration,
    /// For the client, in all waits that are over.
    waited: Duration,
    /// For the next piece.
    wait: Option<Wait>,
    fate: Arc<Fate>,
}

/// How it goes, for whoever waits for the guest's answer.
#[derive(Debug, Default)]
pub(super) struct Fate {
    state: AtomicU8,
    broken: Notify,
}

const FLOWS: u8 = 0;
/// The guest waits for the client.
const AWAITED: u8 = 1;
const TOO_LARGE: u8 = 2;
const LATE: u8 = 3;

// === impl RequestBody ===

impl<B> RequestBody<B> {
    pub(super) fn new(inner: B, bytes_max: u64) -> Self {
        Self {
            inner,
            bytes_max,
            bytes: 0,
            wait_max: WAIT_MAX,
            waited: Duration::ZERO,
            wait: None,
            fate: Arc::default(),
        }
    }

    pub(super) fn fate(&self) -> Arc<Fate> {
        Arc::clone(&self.fate)
    }

    fn count(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, Error> {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        self.bytes = self.bytes.saturating_add(bytes as u64);
        if self.bytes <= self.bytes_max {
            return Ok(frame);
        }
        self.fate.broken(TOO_LARGE);
        Err(Error::HttpRequestBodySize(Some(self.bytes_max)))
    }

    /// How long the client may still be waited for, by what it has sent so far.
    fn credit(&self) -> Duration {
        let earned = Duration::from_secs(self.bytes / BYTES_PER_SECOND_MIN);
        self.wait_max
            .saturating_add(earned)
            .saturating_sub(self.waited)
    }

    /// Something has come. A guest that looks away for longer than it would have been waited for is not the client's
    /// fault.
    fn arrived(&mut self) {
        if let Some(wait) = self.wait.take() {
            self.waited = self.waited.saturating_add(wait.waited());
        }
    }

    /// Nothing has come; it may have been long enough.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.fate.state(AWAITED);
        let longest = PIECE_MAX.min(self.credit());
        let wait = self.wait.get_or_insert_with(|| Wait::new(longest));
        if Pin::new(wait).poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.fate.broken(LATE);
        Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
    }
}

impl<B> Body for RequestBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Error>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        let Poll::Ready(frame) = polled else {
            return self.wait(cx);
        };
        self.arrived();
        self.fate.state(FLOWS);
        Poll::Ready(match frame {
            Some(Ok(frame)) => Some(self.count(frame)),
            Some(Err(error)) => Some(Err(error.into())),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

// === impl Fate ===

impl Fate {
    /// What is wrong is wrong for good.
    fn state(&self, state: u8) {
        let flows = |now| (now == FLOWS || now == AWAITED).then_some(state);
        let _ = self
            .state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, flows);
    }

    fn broken(&self, state: u8) {
        self.state(state);
        self.broken.notify_one();
    }

    /// Whether the body is one that no guest can use.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        match self.state.load(Ordering::Acquire) {
            TOO_LARGE => Some(Refusal::TooLarge),
            LATE => Some(Refusal::BodyLate),
            _ => None,
        }
    }

    /// Waits until it is.
    pub(super) async fn refused(&self) -> Refusal {
        loop {
            if let Some(refusal) = self.refusal() {
                return refusal;
            }
            self.broken.notified().await;
        }
    }

    /// Whose fault it is that time is over: the client's, while the guest waits for it.
    pub(super) fn is_awaited(&self) -> bool {
        self.state.load(Ordering::Acquire) == AWAITED
    }
}

#[cfg(test)]
mod tests {
    use std::task::ready;

    use http_body_util::{BodyExt, Full};
    use tokio::time::{Sleep, sleep};

    use super::*;

    const PAUSE: Duration = Duration::from_millis(10);

    /// So many pieces, with a pause before each.
    struct Drip {
        piece: &'static [u8],
        left: usize,
        pause: Pin<Box<Sleep>>,
    }

    impl Body for Drip {
        type Data = Bytes;
        type Error = Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
            if self.left == 0 {
                return Poll::Ready(None);
            }
            ready!(self.pause.as_mut().poll(cx));
            self.left -= 1;
            self.pause = Box::pin(sleep(PAUSE));
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(self.piece)))))
        }
    }

    /// A body that may be waited for so long, and comes in pieces.
    fn dripping(wait_max: Duration, piece: &'static [u8], count: usize) -> RequestBody<Drip> {
        let drip = Drip {
            piece,
            left: count,
            pause: Box::pin(sleep(PAUSE)),
        };
        let mut body = RequestBody::new(drip, u64::MAX);
        body.wait_max = wait_max;
        body
    }

    #[tokio::test]
    async fn a_body_that_drips_is_given_up_however_steady_it_is() {
        let body = dripping(Duration::from_millis(200), b".", 1000);
        let fate = body.fate();
        let error = body.collect().await.unwrap_err();
        assert!(matches!(error, Error::ConnectionReadTimeout));
        assert_eq!(fate.refused().await, Refusal::BodyLate);
    }

    #[tokio::test]
    async fn a_body_that_takes_long_because_it_is_large_passes() {
        let body = dripping(Duration::from_millis(200), &[b'.'; 4096], 50);
        let bytes = body.collect().await.unwrap().to_bytes();
        assert_eq!(bytes.len(), 50 * 4096);
    }

    fn body(text: &'static str, bytes_max: u64) -> RequestBody<Full<Bytes>> {
        RequestBody::new(Full::new(Bytes::from_static(text.as_bytes())), bytes_max)
    }

    #[tokio::test]
    async fn a_body_at_its_bound_passes() {
        let bytes = body("abc", 3).collect().await.unwrap().to_bytes();
        assert_eq!(bytes, "abc");
    }

    #[tokio::test]
    async fn a_body_beyond_its_bound_is_refused_and_both_sides_know() {
        let body = body("abcd", 3);
        let fate = body.fate();
        let error = body.collect().await.unwrap_err();
        assert!(matches!(error, Error::HttpRequestBodySize(Some(3))));
        assert_eq!(fate.refused().await, Refusal::TooLarge);
    }
}
