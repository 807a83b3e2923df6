//! The requests of one connection of HTTP/2, which share its one stream of bytes: a client may take what is sent of the
//! others and nothing of one of them, so that each is looked at by itself.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

/// Longest time until a piece of an answer has left for the client.
const PIECE_MAX: Duration = Duration::from_secs(10);

/// Those that are open.
#[derive(Clone, Debug, Default)]
pub(super) struct Streams(Arc<Mutex<Open>>);

#[derive(Debug)]
struct Open {
    next: u64,
    /// Since when a piece is on its way, for those that have one.
    pieces: HashMap<u64, Option<Instant>>,
    /// Since when there is none.
    idle: Instant,
}

/// One of them; closed when dropped.
#[derive(Debug)]
pub(super) struct Watch {
    streams: Streams,
    number: u64,
}

/// An answer's body, whose pieces are looked after.
#[derive(Debug)]
pub(super) struct Watched<B> {
    body: B,
    watch: Watch,
}

// === impl Streams ===

impl Default for Open {
    fn default() -> Self {
        Self {
            next: 0,
            pieces: HashMap::new(),
            idle: Instant::now(),
        }
    }
}

impl Streams {
    pub(super) fn open(&self) -> Watch {
        let mut open = self.lock();
        let number = open.next;
        open.next = number.wrapping_add(1);
        open.pieces.insert(number, None);
        Watch {
            streams: self.clone(),
            number,
        }
    }

    /// How long none has been open; `None` while one is.
    pub(super) fn idle_for(&self) -> Option<Duration> {
        let open = self.lock();
        open.pieces.is_empty().then(|| open.idle.elapsed())
    }

    /// Whether a piece has been on its way for longer than any should be.
    pub(super) fn is_stalled(&self) -> bool {
        let open = self.lock();
        let mut pieces = open.pieces.values().flatten();
        pieces.any(|since| since.elapsed() > PIECE_MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Watch ===

impl Watch {
    fn piece(&self, since: Option<Instant>) {
        let mut open = self.streams.lock();
        open.pieces.insert(self.number, since);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut open = self.streams.lock();
        open.pieces.remove(&self.number);
        open.idle = Instant::now();
    }
}

// === impl Watched ===

impl<B> Watched<B> {
    pub(super) fn new(body: B, watch: Watch) -> Self {
        Self { body, watch }
    }
}

impl<B: Body + Unpin> Body for Watched<B> {
    type Data = B::Data;
    type Error = B::Error;

    /// Asked for the next piece when the one before has left.
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let piece = matches!(polled, Poll::Ready(Some(Ok(_))));
        self.watch.piece(piece.then(Instant::now));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::{BodyExt, Full};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_piece_that_does_not_leave_is_noticed_and_one_that_does_is_not() {
        let streams = Streams::default();
        let other = streams.open();
        let body = Full::new(Bytes::from_static(b"piece"));
        let mut watched = Watched::new(body, streams.open());
        watched.frame().await.unwrap().unwrap();
        tokio::time::advance(PIECE_MAX * 2).await;
        assert!(streams.is_stalled());
        assert!(watched.frame().await.is_none());
        assert!(!streams.is_stalled());
        drop((watched, other));
        assert_eq!(streams.idle_for(), Some(Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_waits_for_its_guest_is_neither_idle_nor_stalled() {
        let streams = Streams::default();
        let watch = streams.open();
        tokio::time::advance(PIECE_MAX * 2).await;
        assert_eq!((streams.idle_for(), streams.is_stalled()), (None, false));
        drop(watch);
    }
}
