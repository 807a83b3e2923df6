//! The connection to one endpoint: made when a call needs it, kept, and made anew when it is lost. Making it is a task of
//! its own, which no call's deadline ends: those that need it wait for it together.
//!
//! A connection counts as made when the endpoint has said that it has the model, and the same as the others.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use nn_tensor::{Reason, Signature};
use nn_worker_wire::Remote;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::ask::ask;
use super::call::{Along, Call, unary};
use super::dial::Dialer;
use super::failed::Failed;
use super::life::Life;
use super::meter::Metered;
use super::signature::agrees;
use super::tls::Tls;

/// What HTTP/2 may take: of one stream, and of all of a connection, that has come and was not looked at.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;

/// The longest frame, and the most of headers.
const FRAME_BYTES_MAX: u32 = 64 * 1024;
const HEADERS_BYTES_MAX: u32 = 16 * 1024;

/// The most that waits to be sent before those that send are made to wait.
const SEND_BUFFER_BYTES: usize = 1 << 20;

/// Streams that were given up, and are remembered so that what still comes of them is no error.
const RESET_STREAMS_MAX: usize = 256;
const RESET_STREAM_TIME: Duration = Duration::from_secs(10);

/// While calls are under way and nothing is heard: how often the endpoint is asked whether it is there, and how long it
/// has for that. Not often: engines of gRPC end a connection for more than two such questions with nothing between.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_WAIT: Duration = Duration::from_secs(10);
const PINGS_MAX: u32 = 2;

/// What may come besides with no call hearing of it: control frames of HTTP/2.
const UNHEARD_BYTES_MAX: u64 = 8 << 20;

/// How long after a failure the next connection is made, at first and at most.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// One endpoint.
#[derive(Debug)]
pub struct Link {
    endpoint: String,
    /// Scheme and host.
    base: String,
    state: RefCell<State>,
    /// Failures in a row, and when the last one was.
    failed: RefCell<Option<(u32, Instant, Failed)>>,
}

#[derive(Debug)]
enum State {
    Down,
    Coming(watch::Receiver<Option<Coming>>),
    Up(Connection),
}

type Coming = Result<Connection, Failed>;

/// A connection on which calls can be made.
#[derive(Clone, Debug)]
pub struct Connection(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    send: SendRequest<Bytes>,
    life: Rc<Life>,
    driver: JoinHandle<()>,
    /// Whether a call's failure is a reason to ask the endpoint for the model once more.
    is_doubted: Cell<bool>,
}

/// What all endpoints of a model have in common.
#[derive(Debug)]
pub struct Common {
    /// As the daemon said.
    pub remote: Remote,
    /// Goes along with every call.
    pub along: Along,
    /// `None`: connections are not protected.
    pub tls: Option<Tls>,
    /// Where connections come from.
    pub dialer: Dialer,
    /// What the first endpoint said of the model.
    pub signature: RefCell<Option<Signature>>,
}

// === impl Common ===

impl Common {
    /// As long as an endpoint may take to say that it is there.
    fn patience(&self) -> Duration {
        Duration::from_millis(self.remote.connect_ms.into())
    }
}

// === impl Link ===

impl Link {
    /// To this endpoint.
    #[must_use]
    pub fn new(endpoint: &str, remote: &Remote) -> Self {
        let tls = remote.tls.as_ref();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let name = tls.and_then(|tls| tls.server_name.as_deref());
        Self {
            endpoint: endpoint.to_owned(),
            base: format!("{scheme}://{}", name.unwrap_or(endpoint)),
            state: RefCell::new(State::Down),
            failed: RefCell::default(),
        }
    }

    /// Scheme and host, as calls name them.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The endpoint may have the model no more: it is asked before the next call is sent there.
    pub fn doubt(&self) {
        if let State::Up(connection) = &*self.state.borrow() {
            connection.0.is_doubted.set(true);
        }
    }

    /// A connection: the one that there is, or a new one.
    pub async fn connection(self: &Rc<Self>, common: &Rc<Common>) -> Result<Connection, Failed> {
        let mut coming = match self.there(common) {
            Ok(connection) => return Ok(connection),
            Err(Ok(coming)) => coming,
            Err(Err(failed)) => return Err(failed),
        };
        let ended = || Failed::unsent(Reason::RemoteUnreachable, "connecting was given up");
        let come = coming.wait_for(Option::is_some).await;
        let come = come.map_err(|_| ended())?.clone();
        come.unwrap_or_else(|| Err(ended()))
    }

    /// The one that there is; or the one that is on its way; or, soon after a failure, that.
    fn there(
        self: &Rc<Self>,
        common: &Rc<Common>,
    ) -> Result<Connection, Result<watch::Receiver<Option<Coming>>, Failed>> {
        let mut state = self.state.borrow_mut();
        let mut kept = None;
        match &*state {
            State::Up(connection) if !connection.is_over() => {
                if !connection.is_doubtful(common.patience()) {
                    return Ok(connection.clone());
                }
                kept = Some(connection.clone());
            }
            State::Coming(coming) => return Err(Ok(coming.clone())),
            State::Up(_) | State::Down => {}
        }
        if kept.is_none()
            && let Some((times, at, failed)) = &*self.failed.borrow()
            && at.elapsed() < backoff(*times)
        {
            // Nothing new is known of the endpoint.
            return Err(Err(failed.clone().blameless()));
        }
        let (sender, coming) = watch::channel(None);
        *state = State::Coming(coming.clone());
        drop(state);
        let (link, common) = (Rc::clone(self), Rc::clone(common));
        spawn_local(async move {
            let come = match kept {
                Some(kept) => link.assure(&common, kept).await,
                None => link.connect(&common).await,
            };
            link.come(&come);
            // All who waited may have gone.
            let _ = sender.send(Some(come));
        });
        Err(Ok(coming))
    }

    fn come(&self, come: &Coming) {
        let mut failed = self.failed.borrow_mut();
        *self.state.borrow_mut() = match come {
            Ok(connection) => {
                *failed = None;
                State::Up(connection.clone())
            }
            Err(why) => {
                let times = failed.as_ref().map_or(0, |(times, ..)| *times);
                *failed = Some((times.saturating_add(1), Instant::now(), why.clone()));
                State::Down
            }
        };
    }

    /// All of it within the time for connecting.
    async fn connect(&self, common: &Common) -> Coming {
        let within = common.patience();
        let deadline = Instant::now() + within;
        let late = |_| {
            let failed = Failed::unsent(Reason::RemoteUnreachable, "connecting took too long");
            failed
                .expected(format!("a connection within {} ms", within.as_millis()))
                .got("none yet")
        };
        let made = timeout_at(deadline, self.connect_all(common, (within, deadline))).await;
        made.map_err(late)?
    }

    /// Has the endpoint say again, over the connection that there is, that it has the model. Where it does not, nothing is sent on
    /// it any more; calls that are under way may still be answered.
    async fn assure(&self, common: &Common, kept: Connection) -> Coming {
        let within = common.patience();
        let asked = ask(&kept.0.send, common, (&self.base, Instant::now() + within));
        let silent = |_| {
            let failed = Failed::unsent(Reason::RemoteUnreachable, "no word of the model");
            let expected = format!(
                "an endpoint that says within {} ms that it has the model",
                within.as_millis()
            );
            Err(failed.expected(expected).got("silence"))
        };
        let told = timeout(within, asked).await.unwrap_or_else(silent);
        let told = told.and_then(|signature| self.agreed(common, &signature));
        match told {
            Ok(()) => {
                kept.0.is_doubted.set(false);
                kept.0.life.heard();
                Ok(kept)
            }
            Err(failed) => {
                kept.0.life.end();
                Err(failed)
            }
        }
    }

    /// Whether it is the model that the first endpoint had.
    fn agreed(&self, common: &Common, signature: &Signature) -> Result<(), Failed> {
        let mut first = common.signature.borrow_mut();
        let first = first.get_or_insert_with(|| signature.clone());
        if agrees(first, signature) {
            return Ok(());
        }
        // Where endpoints are is for the log alone: guests read what was expected, and what came.
        let detail = format!("another signature at {}", self.endpoint);
        let failed = Failed::unsent(Reason::RemoteModel, &detail);
        let failed = failed.expected("the same inputs and outputs at every endpoint");
        Err(failed.got("others at one of them"))
    }

    async fn connect_all(&self, common: &Common, time: (Duration, Instant)) -> Coming {
        let stream = common.dialer.dial(&self.endpoint, time.0).await?;
        let system = |error: std::io::Error| {
            Failed::unsent(Reason::RemoteUnreachable, &error.to_string()).blameless()
        };
        let stream = TcpStream::from_std(stream).map_err(system)?;
        let calls = common.remote.in_flight_max;
        let (send, life, driver) = match &common.tls {
            None => speak(stream, calls).await?,
            Some(tls) => speak(tls.connect(&self.endpoint, stream).await?, calls).await?,
        };
        let told = ask(&send, common, (&self.base, time.1)).await;
        let signature = match told {
            Ok(signature) => signature,
            Err(failed) => {
                driver.abort();
                return Err(failed);
            }
        };
        let connection = Connection(Rc::new(Shared {
            send,
            life,
            driver,
            is_doubted: Cell::default(),
        }));
        self.agreed(common, &signature).map(|()| connection)
    }
}

fn backoff(times: u32) -> Duration {
    let doubled = 1_u32
        .checked_shl(times.saturating_sub(1))
        .unwrap_or(u32::MAX);
    BACKOFF_MIN.saturating_mul(doubled).min(BACKOFF_MAX)
}

type Spoken = (SendRequest<Bytes>, Rc<Life>, JoinHandle<()>);

/// Begins with HTTP/2, and has a task drive it. On it so many calls are under way at a time.
pub async fn speak<S>(stream: S, calls: u32) -> Result<Spoken, Failed>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let life = Rc::new(Life::default());
    // Of calls that were given up as much may still come as their windows held.
    let given_up = u64::from(calls).saturating_mul(STREAM_WINDOW.into());
    let unheard_max = UNHEARD_BYTES_MAX.saturating_add(given_up);
    let stream = Metered::new(stream, Rc::clone(&life), unheard_max);
    let handshake = Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME_BYTES_MAX)
        .max_header_list_size(HEADERS_BYTES_MAX)
        .max_send_buffer_size(SEND_BUFFER_BYTES)
        .max_concurrent_reset_streams(RESET_STREAMS_MAX)
        .reset_stream_duration(RESET_STREAM_TIME)
        .enable_push(false)
        .handshake(stream)
        .await;
    let (send, mut connection) =
        handshake.map_err(|error| Failed::unsent(Reason::RemoteUnreachable, &error.to_string()))?;
    let pings = connection.ping_pong();
    let watched = Rc::clone(&life);
    let driver = spawn_local(async move {
        // Whichever ends first: the connection, or the patience with it. What it held is dropped with it.
        tokio::select! {
            _ended = connection => {}
            () = watch_over(pings, &watched) => {}
        }
        watched.end();
    });
    Ok((send, life, driver))
}

/// Ends when the endpoint does not answer while calls wait for it.
async fn watch_over(pings: Option<h2::PingPong>, life: &Life) {
    let Some(mut pings) = pings else {
        return std::future::pending().await;
    };
    loop {
        sleep(PING_EVERY).await;
        if !life.asks(PINGS_MAX) {
            continue;
        }
        let pong = timeout(PING_WAIT, pings.ping(h2::Ping::opaque())).await;
        if !matches!(pong, Ok(Ok(_))) {
            return;
        }
    }
}

// === impl Connection ===

impl Connection {
    /// Whether no call can be made on it any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.life.is_over()
    }

    /// Whether the endpoint is to say that it has the model before a call is sent.
    fn is_doubtful(&self, patience: Duration) -> bool {
        self.0.is_doubted.get() || self.0.life.is_doubtful(patience)
    }

    /// Calls.
    pub async fn call(&self, call: &Call<'_>) -> Result<Bytes, Failed> {
        let life = &self.0.life;
        let _flight = life.begin();
        let answer = unary(self.0.send.clone(), call, || life.heard()).await;
        if let Err(failed) = &answer
            && !failed.sent
        {
            // It takes no more: the next call makes another.
            life.end();
        }
        answer
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
