//! One connection, from its first byte to its end: HTTP/1.1, or HTTP/2 from a client that begins by its preface (h2c
//! with prior knowledge). Neither waits for a client for ever.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use http::Response;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::serve::handler::Handler;
use crate::serve::stream::Patient;
use crate::serve::streams::{Streams, Watched};
use crate::serve::{Wish, drain_wished};

/// Longest time until a request's head is there; and so long a connection of HTTP/1.1 may do nothing between requests.
const HEAD_MAX: Duration = Duration::from_secs(10);

/// A head of more bytes is answered 431.
const HEAD_BYTES_MAX: u16 = 32 << 10;

/// Fields of a head.
const FIELDS_MAX: usize = 100;

/// What is buffered for a connection, each way; in HTTP/2, for each request.
const BUFFER_BYTES_MAX: usize = 64 << 10;

/// What a client of HTTP/2 begins with.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Requests at a time by one connection of HTTP/2.
const STREAMS_MAX: u32 = 64;

/// What a client may send of one request, and of all, before it is told to go on.
const STREAM_WINDOW_BYTES: u32 = 64 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;

/// Requests that a client takes back before they were looked at, and those that were refused for what they are: a
/// connection with more is ended.
const RESETS_MAX: usize = 20;
const WRONG_MAX: usize = 100;

/// A client of HTTP/2 is asked so often whether it is there, and may take so long to say so.
const PING_EVERY: Duration = Duration::from_secs(20);
const PONG_MAX: Duration = Duration::from_secs(10);

/// How long a connection of HTTP/2 may have no request.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// How often it is looked at for that, and for clients that take nothing.
const LOOK: Duration = Duration::from_secs(1);

/// How long one that is to end may take for it.
const LEAVE_MAX: Duration = Duration::from_secs(10);

/// What a connection speaks.
enum Spoken {
    Http1,
    Http2,
    Nothing,
}

type Stream = TokioIo<Patient<TcpStream>>;

/// Answers the requests of a connection until it ends, or the process is to.
pub(super) async fn serve(stream: TcpStream, handler: Arc<Handler>, wishes: watch::Receiver<Wish>) {
    let mut stream = Patient::new(stream);
    let spoken = tokio::select! {
        spoken = timeout(HEAD_MAX, spoken(&mut stream)) => spoken,
        () = drain_wished(wishes.clone()) => return,
    };
    match spoken {
        Ok(Spoken::Http1) => http1(TokioIo::new(stream), handler, wishes).await,
        Ok(Spoken::Http2) => http2(TokioIo::new(stream), handler, wishes).await,
        Ok(Spoken::Nothing) | Err(_) => {}
    }
}

async fn spoken(stream: &mut Patient<TcpStream>) -> Spoken {
    let mut seen = Vec::with_capacity(PREFACE.len());
    loop {
        let mut rest = [0; PREFACE.len()];
        let room = PREFACE.len().saturating_sub(seen.len());
        let length = stream.read(rest.get_mut(..room).unwrap_or_default()).await;
        match length {
            Ok(0) | Err(_) => return Spoken::Nothing,
            Ok(length) => seen.extend(rest.iter().take(length)),
        }
        let is_h2 = seen == PREFACE;
        if is_h2 || !PREFACE.starts_with(&seen) {
            stream.unread(&seen);
            return if is_h2 { Spoken::Http2 } else { Spoken::Http1 };
        }
    }
}

async fn http1(stream: Stream, handler: Arc<Handler>, wishes: watch::Receiver<Wish>) {
    let service = service_fn(move |request| {
        let handler = Arc::clone(&handler);
        async move { Ok::<_, Infallible>(handler.answer(request).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_headers(FIELDS_MAX)
        .max_header_size(HEAD_BYTES_MAX.into())
        .max_buf_size(BUFFER_BYTES_MAX);
    let mut serving = pin!(http.serve_connection(stream, service));
    let served = tokio::select! {
        served = serving.as_mut() => served,
        () = drain_wished(wishes) => {
            // Closed at once when nothing is in flight, else after the answer.
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    tell(served);
}

async fn http2(stream: Stream, handler: Arc<Handler>, wishes: watch::Receiver<Wish>) {
    let streams = Streams::default();
    let opened = streams.clone();
    let service = service_fn(move |request| {
        let (handler, open) = (Arc::clone(&handler), opened.open());
        async move {
            let answer: Response<_> = handler.answer(request).await;
            Ok::<_, Infallible>(answer.map(|body| Watched::new(body, open)))
        }
    });
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX.into())
        .max_send_buf_size(BUFFER_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(WRONG_MAX)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PONG_MAX);
    let mut serving = pin!(http.serve_connection(stream, service));
    let served = tokio::select! {
        served = serving.as_mut() => served,
        () = drain_wished(wishes) => {
            // Says that no more are taken; ends after those in flight, or with the process.
            serving.as_mut().graceful_shutdown();
            tokio::select! {
                served = serving.as_mut() => served,
                () = stalled(&streams) => return,
            }
        }
        () = idle(&streams) => {
            serving.as_mut().graceful_shutdown();
            leave(serving).await
        }
        () = stalled(&streams) => {
            tracing::debug!("a client takes nothing of an answer: its connection is closed");
            return;
        }
    };
    tell(served);
}

async fn leave<C: Future<Output = hyper::Result<()>>>(serving: Pin<&mut C>) -> hyper::Result<()> {
    timeout(LEAVE_MAX, serving).await.unwrap_or(Ok(()))
}

/// Waits until there has been no request for long.
async fn idle(streams: &Streams) {
    while streams.idle_for().is_none_or(|idle| idle < IDLE_MAX) {
        sleep(LOOK).await;
    }
}

/// Waits until the client has taken nothing of an answer for long.
async fn stalled(streams: &Streams) {
    while !streams.is_stalled() {
        sleep(LOOK).await;
    }
}

fn tell(served: hyper::Result<()>) {
    if let Err(error) = served {
        tracing::debug!(%error, "a connection failed");
    }
}
