//! The stream of computes. Outward: requests in their order, releases gathered into as few messages as
//! can be. Inward: each message to [`Session::on_response`], which never waits.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use nn_proto::v1;
use nn_proto::v1::infer_request::Body;
use tokio::sync::mpsc;
use tokio_stream::Stream;

use super::Session;
use crate::arena::Releases;
use crate::fault;

/// The most slots in one release: at 52 bytes each at most, well inside one message.
const RELEASE_SLOTS_MAX: usize = 512;

/// What goes out.
#[derive(Debug)]
pub(super) struct Outgoing {
    session_id: v1::Id128,
    requests: mpsc::Receiver<v1::InferRequest>,
    releases: Arc<Releases>,
    /// Whose computes these are; set when the stream is served.
    session: Weak<Session>,
    attached: bool,
}

// === impl Outgoing ===

impl Outgoing {
    pub(super) fn new(
        session_id: v1::Id128,
        requests: mpsc::Receiver<v1::InferRequest>,
        releases: Arc<Releases>,
    ) -> Self {
        Self {
            session_id,
            requests,
            releases,
            session: Weak::new(),
            attached: false,
        }
    }

    /// Whether a message is still to be sent. A compute whose caller has been told that it was not sent may not be:
    /// it may be on its way in the next session.
    fn is_wanted(&self, request: &v1::InferRequest) -> bool {
        match (&request.body, self.session.upgrade()) {
            (Some(Body::Compute(_)), Some(session)) => session.mark_sent(request.request_id),
            (Some(Body::Compute(_)), None) => false,
            _ => true,
        }
    }

    fn release(&self, slots: Vec<v1::Slot>) -> v1::InferRequest {
        v1::InferRequest {
            session_id: Some(self.session_id),
            request_id: 0,
            body: Some(Body::Release(v1::Release { slots })),
        }
    }
}

impl Stream for Outgoing {
    type Item = v1::InferRequest;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // An empty release first: it tells the daemon which session this stream is of, so that news
        // about models come before the first compute.
        if !self.attached {
            self.attached = true;
            return Poll::Ready(Some(self.release(Vec::new())));
        }
        // Releases first: one message empties them, so requests never wait long, and the worker that
        // the next request goes to may be short of room.
        if let Poll::Ready(slots) = self.releases.poll_take(cx, RELEASE_SLOTS_MAX) {
            // Closed with the session: the connection may outlive it, held by graphs of it that nobody uses.
            let release = slots.map(|slots| {
                let slots = slots.into_iter().map(Into::into).collect();
                self.release(slots)
            });
            return Poll::Ready(release);
        }
        loop {
            let message = std::task::ready!(self.requests.poll_recv(cx));
            match &message {
                Some(request) if !self.is_wanted(request) => {}
                Some(_) | None => return Poll::Ready(message),
            }
        }
    }
}

impl Session {
    /// Serves the stream until it ends, and the session with it.
    pub(super) async fn run_stream(self: Arc<Self>, mut outgoing: Outgoing) {
        outgoing.session = Arc::downgrade(&self);
        let mut rpc = self.rpc.clone();
        match rpc.infer(outgoing).await {
            Ok(response) => {
                let mut responses = response.into_inner();
                loop {
                    match responses.message().await {
                        Ok(Some(response)) => self.on_response(response),
                        Ok(None) => break tracing::warn!("nn-daemon closed the stream"),
                        Err(status) => break tracing::warn!(%status, "the stream broke"),
                    }
                }
            }
            Err(status) => tracing::warn!(%status, "nn-daemon refused the stream"),
        }
        self.end(&fault::lost());
    }
}
