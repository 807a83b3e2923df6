//! A request's body on its way to the guest: of bounded size, from a client that must not dawdle.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::{Sleep, sleep};
use wasmtime_wasi_http::Error;

use crate::serve::refusal::Refusal;

/// Longest time between two pieces of a body.
const PIECE_MAX: Duration = Duration::from_secs(10);

/// The body.
#[derive(Debug)]
pub(super) struct RequestBody<B> {
    inner: B,
    bytes_max: u64,
    bytes: u64,
    patience: Option<Pin<Box<Sleep>>>,
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
            patience: None,
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

    /// Nothing has come; it may have been long enough.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.fate.state(AWAITED);
        let patience = self
            .patience
            .get_or_insert_with(|| Box::pin(sleep(PIECE_MAX)));
        if patience.as_mut().poll(cx).is_pending() {
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
        self.patience = None;
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
    use http_body_util::{BodyExt, Full};

    use super::*;

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
