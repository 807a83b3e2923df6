//! How long a call may take to say what it asks, and to take its answer. HTTP/2 lets a client open streams and then do
//! nothing, or read nothing, and answers its keepalive all the while. What happens in between has deadlines of its own.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use nn_patience::Wait;
use nn_tensor::{Code, Fault};
use tokio::task::JoinHandle;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use super::Caller;
use super::hold::Hold;
use super::status::status;
use crate::telemetry::Limiter;

/// How long a message may be on its way, the request of a call with one message in all, and a stream of computes
/// without its first.
pub(super) const MESSAGE_MAX: Duration = Duration::from_secs(10);

/// How long a client may take to take the answer of a call with one message. As long as its connection may be silent.
const ANSWER_MAX: Duration = Duration::from_secs(15);

/// An answer goes out in pieces of this size. All but the last wait here until the client has taken the one before; the
/// last is HTTP/2's as soon as the client has room for one byte of it.
const PIECE_BYTES: usize = 1024;

/// Calls whose requests and answers are streams, open for as long as there is something to say.
const STREAMS: [&str; 7] = [
    "/nn.v1.Inference/Infer",
    "/nn.v1.Inference/LoadGraph",
    "/nn.v1.Models/Load",
    "/nn.v1.Admin/Events",
    "/nn.v1.Admin/Logs",
    "/grpc.health.v1.Health/Watch",
    "/inference.GRPCInferenceService/ModelStreamInfer",
];

/// Puts [`Patient`] around a service.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience;

/// A service whose patience with clients has an end.
#[derive(Clone, Debug)]
pub(super) struct Patient<S>(S);

/// What a client sends.
#[derive(Debug)]
struct Incoming {
    body: Body,
    framing: Framing,
    is_stream: bool,
    /// How much longer may be waited for a message that was begun.
    left: Option<Duration>,
    /// For the client. While this process is busy with what has come before, nobody waits: that is not the client's.
    wait: Option<Wait>,
}

/// Where a stream of gRPC messages stands: a byte of flags, four of length, then so many.
#[derive(Debug, Default)]
struct Framing {
    head: usize,
    len: usize,
    left: usize,
}

/// What a client gets.
#[derive(Debug)]
struct Outgoing {
    body: Body,
    rest: Bytes,
    /// What it gives, until all of it is on its way.
    hold: Option<Hold>,
    _patience: Deadline,
}

/// Ends a connection if it is not dropped before.
#[derive(Debug)]
pub(super) struct Deadline(JoinHandle<()>);

fn late() -> Status {
    status(
        Fault::new(Code::Timeout, "a message that was begun did not come")
            .expected(format!("all of it within {MESSAGE_MAX:?}"))
            .hint("the client breaks the protocol nn.v1, or hangs"),
    )
}

/// What a stream of computes is told that says nothing.
pub(super) fn unbound() -> Fault {
    Fault::new(Code::Timeout, "a stream of computes that names no session")
        .expected(format!("a first message within {MESSAGE_MAX:?}"))
        .hint("the client breaks the protocol nn.v1, or hangs")
}

// === impl Patience, Patient ===

impl<S> Layer<S> for Patience {
    type Service = Patient<S>;

    fn layer(&self, inner: S) -> Patient<S> {
        Patient(inner)
    }
}

impl<S> Service<http::Request<Body>> for Patient<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let is_stream = STREAMS.contains(&request.uri().path());
        let caller = request.extensions().get::<Caller>().cloned();
        if let Some(fault) = caller.as_ref().and_then(|caller| caller.refusal.as_deref()) {
            let refused = status(fault.clone()).into_http();
            return Box::pin(async move { Ok(refused) });
        }
        let answer = self
            .0
            .call(request.map(|body| Body::new(Incoming::new(body, is_stream))));
        Box::pin(async move {
            let mut answer = answer.await?;
            let hold = answer.extensions_mut().remove::<Hold>();
            Ok(match caller {
                Some(caller) if !is_stream => {
                    answer.map(|body| Body::new(Outgoing::new(body, hold, caller)))
                }
                Some(_) | None => {
                    hold.iter().for_each(Hold::taken);
                    answer
                }
            })
        })
    }
}

// === impl Incoming ===

impl Incoming {
    fn new(body: Body, is_stream: bool) -> Self {
        Self {
            body,
            framing: Framing::default(),
            is_stream,
            left: (!is_stream).then_some(MESSAGE_MAX),
            wait: None,
        }
    }

    /// Some of a stream has come: the time of the message that it ends in begins with that message.
    fn came(&mut self, data: &[u8]) {
        if !self.is_stream {
            return;
        }
        let has_ended_one = self.framing.take(data);
        if has_ended_one || !self.framing.is_within() {
            self.left = None;
        }
        if self.framing.is_within() && self.left.is_none() {
            self.left = Some(MESSAGE_MAX);
        }
    }

    /// Something has come.
    fn waited(&mut self) {
        if let (Some(left), Some(wait)) = (self.left.as_mut(), self.wait.take()) {
            *left = left.saturating_sub(wait.waited());
        }
    }

    /// Whether it is too late for what has not come.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(left) = self.left else {
            return Poll::Pending;
        };
        let wait = self.wait.get_or_insert_with(|| Wait::new(left));
        Pin::new(wait).poll(cx)
    }
}

impl http_body::Body for Incoming {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                self.waited();
                if let Some(data) = frame.data_ref() {
                    self.came(data);
                }
            }
            Poll::Ready(_) => self.left = None,
            Poll::Pending => return self.poll_late(cx).map(|()| Some(Err(late()))),
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

// === impl Framing ===

impl Framing {
    /// Follows bytes; says whether a message has ended among them.
    fn take(&mut self, mut data: &[u8]) -> bool {
        const HEAD_BYTES: usize = 5;
        let mut has_ended_one = false;
        while let Some((&byte, after)) = data.split_first() {
            if self.left > 0 {
                let (_, after) = data.split_at(self.left.min(data.len()));
                self.left = self.left.saturating_sub(data.len());
                has_ended_one |= self.left == 0;
                data = after;
                continue;
            }
            if self.head > 0 {
                self.len = self.len << 8 | usize::from(byte);
            }
            self.head = self.head.saturating_add(1);
            if self.head == HEAD_BYTES {
                self.left = std::mem::take(&mut self.len);
                self.head = 0;
                has_ended_one |= self.left == 0;
            }
            data = after;
        }
        has_ended_one
    }

    fn is_within(&self) -> bool {
        self.head > 0 || self.left > 0
    }
}

// === impl Outgoing, Deadline ===

impl Outgoing {
    fn new(body: Body, hold: Option<Hold>, caller: Caller) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            hold,
            _patience: Deadline::new(caller),
        }
    }
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.rest.is_empty() {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    // Asked for once what comes before them has gone.
                    Err(trailers) => {
                        self.hold.take().iter().for_each(Hold::taken);
                        return Poll::Ready(Some(Ok(trailers)));
                    }
                },
                other => return other,
            }
        }
        // Where more is to come this is not the last.
        let piece = match self.body.size_hint().lower() {
            0 => self.rest.len().min(PIECE_BYTES),
            _ => self.rest.len(),
        };
        let piece = self.rest.split_to(piece);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }
}

impl Deadline {
    /// A body is asked for nothing while its reader has no room: so the end does not wait for that.
    pub(super) fn new(caller: Caller) -> Self {
        static LINES: Limiter = Limiter::new();
        Self(tokio::spawn(async move {
            Wait::new(ANSWER_MAX).await;
            if LINES.allows() {
                let peer = caller.peer;
                tracing::warn!(
                    %peer,
                    peer.pid,
                    "a client takes no answers: its connection ends"
                );
            }
            caller.end.now();
        }))
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;

    #[test]
    fn messages_are_followed_however_they_are_cut() {
        let stream = [&[0, 0, 0, 0, 3][..], b"abc", &[0, 0, 0, 0, 0]].concat();
        for cut in 0..=stream.len() {
            let (first, second) = stream.split_at(cut);
            let mut framing = Framing::default();
            framing.take(first);
            assert_eq!(framing.is_within(), !matches!(cut, 0 | 8 | 13), "{cut}");
            framing.take(second);
            assert!(!framing.is_within(), "{cut}");
        }
    }

    #[test]
    fn a_length_beyond_everything_is_only_a_number() {
        let mut framing = Framing::default();
        assert!(!framing.take(&[0, 0xff, 0xff, 0xff, 0xff, 1]));
        assert!(framing.is_within());
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_does_not_end_is_given_up() {
        let (send, receive) = tokio::sync::mpsc::channel::<Bytes>(1);
        let mut incoming = Incoming::new(Body::new(Dribble(receive)), true);
        send.send(Bytes::from_static(&[0, 0, 0, 0, 9, 1]))
            .await
            .unwrap();
        assert!(matches!(next(&mut incoming).await, Some(Ok(_))));
        let status = next(&mut incoming).await.unwrap().unwrap_err();
        assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_is_not_late_while_its_reader_is_busy() {
        let (send, receive) = tokio::sync::mpsc::channel::<Bytes>(1);
        let mut incoming = Incoming::new(Body::new(Dribble(receive)), true);
        let begun = Bytes::from_static(&[0, 0, 0, 0, 1, 7, 0, 0, 0, 0, 1]);
        send.send(begun).await.unwrap();
        assert!(matches!(next(&mut incoming).await, Some(Ok(_))));
        sleep(2 * MESSAGE_MAX).await;
        let rest = async {
            sleep(MESSAGE_MAX / 2).await;
            send.send(Bytes::from_static(&[7])).await.unwrap();
        };
        let (came, ()) = tokio::join!(next(&mut incoming), rest);
        assert!(matches!(came, Some(Ok(_))), "{came:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_comes_byte_by_byte_has_one_time_for_all_of_them() {
        let (send, receive) = tokio::sync::mpsc::channel::<Bytes>(1);
        let mut incoming = Incoming::new(Body::new(Dribble(receive)), true);
        let begun = Instant::now();
        let dribbling = tokio::spawn(async move {
            while send.send(Bytes::from_static(&[1])).await.is_ok() {
                sleep(MESSAGE_MAX / 4).await;
            }
        });
        while let Some(Ok(_)) = next(&mut incoming).await {}
        assert_eq!(begun.elapsed(), MESSAGE_MAX);
        dribbling.abort();
    }

    async fn next(incoming: &mut Incoming) -> Option<Result<Frame<Bytes>, Status>> {
        use http_body::Body as _;
        std::future::poll_fn(|cx| Pin::new(&mut *incoming).poll_frame(cx)).await
    }

    /// Gives what comes through a channel.
    struct Dribble(tokio::sync::mpsc::Receiver<Bytes>);

    impl http_body::Body for Dribble {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            self.0
                .poll_recv(cx)
                .map(|data| data.map(|data| Ok(Frame::data(data))))
        }
    }
}
