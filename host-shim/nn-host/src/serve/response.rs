//! An answer's body on its way to the client: the guest's, or a refusal's. A guest that dies over its
//! answer, or does not go on with it, breaks the connection off: what was sent must not look complete.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep};
use wasmtime_wasi_http::WasiBody;

use crate::serve::access::Access;
use crate::serve::exchange::{AFTER_MAX, Phase, Verdict};

/// The body, and the line of the log that is written with its end.
#[derive(Debug)]
pub(super) struct ResponseBody {
    source: Source,
    access: Access,
}

#[derive(Debug)]
enum Source {
    Ours(Full<Bytes>),
    Guest(Box<GuestBody>),
}

/// A guest's.
#[derive(Debug)]
pub(super) struct GuestBody {
    pub(super) inner: WasiBody,
    pub(super) verdict: Verdict,
    pub(super) phase: watch::Sender<Phase>,
    /// Longest time between two pieces.
    pub(super) piece_max: Duration,
    patience: Option<Pin<Box<Sleep>>>,
    /// Bytes still to come, where the head says how many.
    left: Option<u64>,
    whole: bool,
}

/// Why an answer breaks off.
#[derive(Debug, thiserror::Error)]
pub(super) enum CutError {
    #[error("the guest ended over its answer")]
    Dead,
    #[error("the guest did not go on with its answer")]
    Stalled,
    #[error("the guest's answer failed: {0}")]
    Failed(wasmtime_wasi_http::Error),
}

// === impl ResponseBody ===

impl ResponseBody {
    pub(super) fn ours(body: Full<Bytes>, access: Access) -> Self {
        Self {
            source: Source::Ours(body),
            access,
        }
    }

    pub(super) fn guests(body: GuestBody, mut access: Access) -> Self {
        if body.whole {
            access.done();
        }
        Self {
            source: Source::Guest(Box::new(body)),
            access,
        }
    }

    /// Takes note of what is passed on.
    fn note(&mut self, polled: &Poll<Option<Result<Frame<Bytes>, CutError>>>) {
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.access.sent(frame.data_ref().map_or(0, Bytes::len));
            }
            Poll::Ready(Some(Err(error))) => {
                tracing::debug!(request = self.access.id(), "{error}");
            }
            Poll::Ready(None) => self.access.done(),
            Poll::Pending => {}
        }
        let whole = match &self.source {
            Source::Ours(body) => body.is_end_stream(),
            Source::Guest(body) => body.whole,
        };
        if whole {
            self.access.done();
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = CutError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutError>>> {
        let polled = match &mut self.source {
            Source::Ours(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|never| match never {}),
            Source::Guest(body) => body.poll(cx),
        };
        self.note(&polled);
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Ours(body) => body.is_end_stream(),
            Source::Guest(body) => body.inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Ours(body) => body.size_hint(),
            Source::Guest(body) => body.inner.size_hint(),
        }
    }
}

// === impl GuestBody ===

impl GuestBody {
    /// The guest's answer, taken apart.
    pub(super) fn of(
        response: Response<WasiBody>,
        method: &Method,
        (verdict, phase): (Verdict, watch::Sender<Phase>),
        piece_max: Duration,
    ) -> Response<Self> {
        let (head, inner) = response.into_parts();
        let length = head.headers.get(header::CONTENT_LENGTH);
        let left = length.and_then(|value| value.to_str().ok()?.parse().ok());
        // In these cases nobody asks for the body.
        let bodiless = *method == Method::HEAD
            || matches!(
                head.status,
                StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
            )
            || left == Some(0)
            || inner.is_end_stream();
        let body = Self {
            inner,
            verdict,
            phase,
            piece_max,
            patience: None,
            left,
            whole: bodiless,
        };
        Response::from_parts(head, body)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CutError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) else {
            return self.wait(cx);
        };
        self.patience = None;
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                self.count(&frame);
                Some(Ok(frame))
            }
            Some(Err(error)) => Some(Err(CutError::Failed(error))),
            None if self.verdict.is_bad() => Some(Err(CutError::Dead)),
            None => {
                self.whole = true;
                None
            }
        })
    }

    fn count(&mut self, frame: &Frame<Bytes>) {
        let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(bytes);
            self.whole |= *left == 0;
        }
    }

    /// Nothing has come from the guest; it may have been long enough.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CutError>>> {
        let piece_max = self.piece_max;
        let patience = self
            .patience
            .get_or_insert_with(|| Box::pin(sleep(piece_max)));
        match patience.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => Poll::Ready(Some(Err(CutError::Stalled))),
        }
    }
}

impl Drop for GuestBody {
    fn drop(&mut self) {
        if self.whole {
            // The guest may be gone already.
            let _ = self.phase.send(Phase::After(Instant::now() + AFTER_MAX));
        }
    }
}
