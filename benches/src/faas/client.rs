//! HTTP/1.1 over connections that stay open: as many as requests are in flight, up to a bound.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Connections at a time; beyond that a request waits for one, and its time runs.
const CONNECTIONS_MAX: usize = 256;

/// The longest that one request may take.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// Path and query.
    pub(crate) target: String,
    /// What chooses the route, and so the tenant.
    pub(crate) host: &'static str,
}

/// What came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The host's name for the request, where it gives one.
    pub(crate) id: Option<String>,
    pub(crate) text: String,
}

/// Connections to one host.
#[derive(Debug)]
pub(crate) struct Pool {
    address: SocketAddr,
    idle: RefCell<Vec<SendRequest<Empty<Bytes>>>>,
    places: Semaphore,
}

// === impl Pool ===

impl Pool {
    pub(crate) fn new(address: SocketAddr) -> Rc<Self> {
        Rc::new(Self {
            address,
            idle: RefCell::default(),
            places: Semaphore::new(CONNECTIONS_MAX),
        })
    }

    /// One request, and all of its answer.
    pub(crate) async fn get(&self, ask: &Ask) -> Result<Answer> {
        let asked = timeout(ANSWER_MAX, self.exchange(ask)).await;
        asked.with_context(|| format!("no answer to {} in time", ask.target))?
    }

    async fn exchange(&self, ask: &Ask) -> Result<Answer> {
        let _place = self.places.acquire().await?;
        let mut connection = self.connection().await?;
        let request = Request::get(&ask.target)
            .header(header::HOST, ask.host)
            .body(Empty::new())?;
        let response = connection.send_request(request).await?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| anyhow!("an answer broke off: {error}"))?;
        let id = head.headers.get("x-request-id");
        let id = id.and_then(|id| Some(id.to_str().ok()?.to_owned()));
        self.idle.borrow_mut().push(connection);
        Ok(Answer {
            status: head.status.as_u16(),
            id,
            text: String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        })
    }

    /// The one that was used last, if any is idle: those that are needed less grow old, and the host closes them.
    async fn connection(&self) -> Result<SendRequest<Empty<Bytes>>> {
        loop {
            let last = self.idle.borrow_mut().pop();
            let Some(mut last) = last else {
                return self.open().await;
            };
            if last.ready().await.is_ok() {
                return Ok(last);
            }
        }
    }

    async fn open(&self) -> Result<SendRequest<Empty<Bytes>>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let (connection, driver) = handshake(TokioIo::new(stream)).await?;
        // It ends with its connection.
        tokio::task::spawn_local(driver);
        Ok(connection)
    }
}
