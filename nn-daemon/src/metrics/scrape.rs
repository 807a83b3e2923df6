//! `GET /metrics` over TCP, where the operator wants it. Whoever reaches the port may ask, so nothing that is asked here may
//! cost those who compute: few connections at a time, taken slowly, each one answer and a short life; and the text is made
//! at most once in a while, however often it is asked for.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, sleep, timeout};

use super::collect::collect;
use super::text::CONTENT_TYPE;
use crate::context::Context;
use crate::telemetry::Limiter;

/// Connections at a time. More wait for the kernel, which refuses what it has no room for.
const CONNECTIONS_MAX: usize = 8;

/// Between two connections that are taken: what they cost together is bounded by that.
const PACE: Duration = Duration::from_millis(20);

/// How long a connection may take to ask, and to take its answer besides.
const HEAD_MAX: Duration = Duration::from_secs(2);
const CONNECTION_MAX: Duration = Duration::from_secs(10);

/// Bytes and fields of a head.
const HEAD_BYTES_MAX: usize = 8 << 10;
const FIELDS_MAX: usize = 32;

/// How old an answer may be.
const AGE_MAX: Duration = Duration::from_secs(1);

/// After an error that will not have gone at once: no descriptors left, say.
const ERROR_PAUSE: Duration = Duration::from_millis(500);

/// Why there is no port.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on {address}; hint: metrics.listen takes an address of this machine and a port that nobody has; \
     nn-daemon.service takes a drop-in besides, for it has no network (operations.md, Metrics)"
)]
pub(crate) struct NoPort {
    address: SocketAddr,
    #[source]
    source: std::io::Error,
}

/// The text, and when it was made.
#[derive(Debug)]
struct Page {
    context: Arc<Context>,
    last: Mutex<Option<(Instant, Bytes)>>,
}

/// Listens, before the daemon jails itself: in the jail it makes no socket.
pub(crate) fn listen(address: SocketAddr) -> Result<TcpListener, NoPort> {
    let listening = || {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    };
    let listener: TcpListener = listening().map_err(|source| NoPort { address, source })?;
    // With port 0 it is one that the system chose.
    let address = listener.local_addr().unwrap_or(address);
    if address.ip().is_loopback() {
        tracing::info!(%address, "metrics are served over HTTP to whoever is on this machine");
    } else {
        tracing::warn!(
            %address,
            "metrics are served over HTTP to whoever reaches this address: they name tenants and models, and nothing is encrypted"
        );
    }
    Ok(listener)
}

/// Answers until the daemon ends.
pub(crate) async fn serve(context: Arc<Context>, listener: TcpListener) {
    static LINES: Limiter = Limiter::new();
    let last = Mutex::default();
    let page = Arc::new(Page { context, last });
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // Never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let page = Arc::clone(&page);
                tokio::spawn(async move {
                    let served = timeout(CONNECTION_MAX, answer(stream, page)).await;
                    tracing::trace!(?served, "a connection for metrics has ended");
                    drop(place);
                });
                sleep(PACE).await;
            }
            Err(error) => {
                if LINES.allows() {
                    tracing::warn!("cannot accept a connection for metrics: {error}");
                }
                sleep(ERROR_PAUSE).await;
            }
        }
    }
}

/// One request and its answer.
async fn answer(stream: TcpStream, page: Arc<Page>) -> hyper::Result<()> {
    let service = service_fn(move |request: Request<Incoming>| {
        let page = Arc::clone(&page);
        async move { Ok::<_, Infallible>(answered(&request, &page).await) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_headers(FIELDS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

async fn answered(request: &Request<Incoming>, page: &Page) -> Response<Full<Bytes>> {
    if request.uri().path() != "/metrics" {
        return said(StatusCode::NOT_FOUND, "not here: ask for /metrics\n");
    }
    if request.method() != Method::GET {
        let mut refused = said(StatusCode::METHOD_NOT_ALLOWED, "expected GET\n");
        let headers = refused.headers_mut();
        headers.insert(header::ALLOW, HeaderValue::from_static("GET"));
        return refused;
    }
    let mut answer = Response::new(Full::new(page.text().await));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    answer
}

fn said(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *answer.status_mut() = status;
    answer
}

// === impl Page ===

impl Page {
    /// The text of now, or of a moment ago. Who asks while it is made waits for it.
    async fn text(&self) -> Bytes {
        let mut last = self.last.lock().await;
        if let Some((made, text)) = &*last
            && made.elapsed() < AGE_MAX
        {
            return text.clone();
        }
        let text = Bytes::from(collect(&self.context).await);
        *last = Some((Instant::now(), text.clone()));
        text
    }
}
