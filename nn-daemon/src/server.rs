//! The gRPC server: connections come in bounded by peer, requests meet the services of nn.v1.

mod admin;
mod events;
mod health;
mod hold;
mod infer;
mod kserve;
mod load;
mod logs;
mod metrics;
mod models;
mod patience;
mod quarantine;
mod resolved;
mod status;
mod tenants;
mod upload;

use std::io;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{self, Poll, ready};
use std::time::Duration;

use nix::sys::socket::{Shutdown, shutdown as shut};
use nn_patience::Wait;
use nn_proto::health::health_server::HealthServer;
use nn_proto::kserve::inference::grpc_inference_service_server::GrpcInferenceServiceServer;
use nn_proto::v1::admin_server::AdminServer;
use nn_proto::v1::inference_server::InferenceServer;
use nn_proto::v1::models_server::ModelsServer;
use nn_proto::{CHUNK_BYTES_MAX, MESSAGE_BYTES_MAX};
use nn_tensor::Fault;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::transport::server::Connected;

use crate::context::Context;
use crate::kserve::Clients;
use crate::peer::{Entry, LOBBY_MAX, Peer, Place, Places};
use crate::shutdown;
use crate::telemetry::Limiter;

/// Streams open at a time in one connection; every unary call and every Infer stream is one.
const STREAMS_MAX: u32 = 256;

/// Resets a client may have outstanding: an honest one that cancels many calls at once must not lose
/// its connection (h2's own default is 20). Four times as many as may be open.
const PENDING_RESETS_MAX: usize = 1024;

/// How long a connection may take to say that it speaks HTTP/2.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// What says so; HTTP/2's own keepalive begins behind it.
const PREFACE_BYTES: usize = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();

/// What one connection is read before others have their turn, and before what it asked is looked at: HTTP/2 takes up
/// nothing while there is something to read, and as many calls as fit in here (28 bytes begin and reset one) must be
/// fewer than `PENDING_RESETS_MAX`, or an honest client that cancels many calls again and again loses its connection.
const TURN_BYTES: usize = 16 * 1024;

/// How long accepting pauses when the process has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A connection, and its peer by the kernel's word.
#[derive(Debug)]
struct Connection {
    stream: Arc<UnixStream>,
    peer: Peer,
    _place: Place,
    /// What it holds as a client that sends its tensors in messages.
    clients: Arc<Clients>,
    /// What it is told instead of being served.
    refusal: Option<Arc<Fault>>,
    /// Ends a connection that does not begin, and one that is refused.
    silence: Option<Wait>,
    /// Bytes of the preface that have come.
    heard: usize,
    /// Bytes read in this turn.
    turn: usize,
    /// Runs when all that could run has had its turn.
    others: Option<JoinHandle<()>>,
}

/// Who sent a request, and by which connection.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    peer: Peer,
    stream: Weak<UnixStream>,
    clients: Arc<Clients>,
    refusal: Option<Arc<Fault>>,
}

/// Serves until `shutdown` resolves, then lets open calls end.
pub(crate) async fn serve(
    context: Arc<Context>,
    listener: UnixListener,
    shutdown: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let (connections, incoming) = mpsc::channel(1);
    let accepting = tokio::spawn(accept(Arc::clone(&context), listener, connections));
    let inference = infer::Service::new(Arc::clone(&context));
    let models = models::Service::new(Arc::clone(&context));
    let health = health::Service::new(Arc::clone(&context));
    let kserve = kserve::Service::new(Arc::clone(&context));
    let carry = kserve::Carry::new(&context.config.limits);
    let tensors_max = usize::try_from(context.config.limits.kserve_message_bytes_max);
    let tensors_max = tensors_max.unwrap_or(usize::MAX);
    let admin = admin::Service::new(context);
    let served = Server::builder()
        .accept_http1(false)
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(64 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .max_frame_size(16 * 1024)
        .http2_max_header_list_size(8 * 1024)
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS_MAX))
        .http2_keepalive_interval(Some(Duration::from_secs(10)))
        .http2_keepalive_timeout(Some(Duration::from_secs(5)))
        .layer(patience::Patience)
        .layer(carry)
        .add_service(
            InferenceServer::new(inference)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .max_encoding_message_size(MESSAGE_BYTES_MAX),
        )
        .add_service(
            ModelsServer::new(models)
                .max_decoding_message_size(CHUNK_BYTES_MAX + 1024)
                .max_encoding_message_size(16 * MESSAGE_BYTES_MAX),
        )
        .add_service(
            GrpcInferenceServiceServer::new(kserve)
                .max_decoding_message_size(tensors_max)
                .max_encoding_message_size(tensors_max),
        )
        .add_service(HealthServer::new(health).max_decoding_message_size(MESSAGE_BYTES_MAX))
        .add_service(AdminServer::new(admin).max_decoding_message_size(MESSAGE_BYTES_MAX))
        .serve_with_incoming_shutdown(ReceiverStream::new(incoming), shutdown)
        .await;
    accepting.abort();
    served
}

/// Accepts connections, whatever goes wrong with single ones, until the daemon begins to end. Then the socket is closed
/// here: who connects waits for the next daemon where somebody keeps it, and is refused where nobody does.
async fn accept(
    context: Arc<Context>,
    listener: UnixListener,
    connections: mpsc::Sender<io::Result<Connection>>,
) {
    static LINES: Limiter = Limiter::new();
    let places = Places::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown::begun(&context) => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                if LINES.allows() {
                    tracing::warn!("cannot accept on the gRPC socket: {error}");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(peer) = Peer::of(&stream) else {
            continue;
        };
        let max = context.config.limits.connections_per_uid_max;
        let Some(entry) = places.enter(peer, max) else {
            continue;
        };
        let clients = Arc::new(Clients::new(&context));
        let connection = Connection::new(stream, (peer, clients), entry);
        if connections.send(Ok(connection)).await.is_err() {
            return;
        }
    }
    drop(listener);
    // The end of what comes in would be the server's own: it has connections to serve until it is told.
    connections.closed().await;
}

/// Who sent a request, if that may administer; else it is told among the events.
fn operator<T>(context: &Context, request: &tonic::Request<T>) -> Result<Peer, tonic::Status> {
    let peer = peer(request)?;
    operator_of(context, peer).map_err(status::status)?;
    Ok(peer)
}

/// Fails, and tells it among the events, where a peer may not administer.
fn operator_of(context: &Context, peer: Peer) -> Result<(), Fault> {
    peer.may_administer().inspect_err(|fault| {
        context.tenancy.denials().tell(peer, None, &fault.message);
    })
}

/// Who sent a request.
fn peer<T>(request: &tonic::Request<T>) -> Result<Peer, tonic::Status> {
    let unknown = || tonic::Status::unauthenticated("the peer is unknown");
    request
        .extensions()
        .get::<Caller>()
        .map(|caller| caller.peer)
        .ok_or_else(unknown)
}

// === impl Connection ===

impl Connection {
    fn new(stream: UnixStream, (peer, clients): (Peer, Arc<Clients>), entry: Entry) -> Self {
        let (place, refusal, longest) = match entry {
            Entry::Inside(place) => (place, None, SILENCE_MAX),
            Entry::Lobby(place, fault) => (place, Some(Arc::new(fault)), LOBBY_MAX),
        };
        Self {
            stream: Arc::new(stream),
            peer,
            _place: place,
            clients,
            refusal,
            silence: Some(Wait::new(longest)),
            heard: 0,
            turn: 0,
            others: None,
        }
    }

    /// Waits until others have had their turn, if this one's is over.
    fn poll_turn(&mut self, cx: &mut task::Context<'_>) -> Poll<()> {
        if self.turn >= TURN_BYTES {
            self.turn = 0;
            self.others = Some(tokio::spawn(std::future::ready(())));
        }
        if let Some(others) = self.others.as_mut() {
            // It cannot fail, and if it did its turn would be over too.
            let _ = ready!(Pin::new(others).poll(cx));
            self.others = None;
        }
        Poll::Ready(())
    }

    /// Reads what is there, as far as this turn goes.
    fn poll_socket(
        &mut self,
        cx: &mut task::Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            let most = buf.remaining().min(TURN_BYTES.saturating_sub(self.turn));
            match self.stream.try_read(buf.initialize_unfilled_to(most)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read.inspect(|&len| buf.advance(len))),
            }
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        Caller {
            peer: self.peer,
            stream: Arc::downgrade(&self.stream),
            clients: Arc::clone(&self.clients),
            refusal: self.refusal.clone(),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_turn(cx));
        let read = self.poll_socket(cx, buf);
        match &read {
            Poll::Ready(Ok(len)) => {
                self.turn = self.turn.saturating_add(*len);
                self.heard = self.heard.saturating_add(*len);
                if self.heard >= PREFACE_BYTES && self.refusal.is_none() {
                    self.silence = None;
                }
            }
            Poll::Ready(Err(_)) => {}
            // A turn goes on: what comes while this task runs is of the same one.
            Poll::Pending => {
                if let Some(silence) = self.silence.as_mut() {
                    let late = || Err(io::ErrorKind::TimedOut.into());
                    return Pin::new(silence).poll(cx).map(|()| late());
                }
            }
        }
        read.map_ok(drop)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match self.stream.try_write_vectored(bufs) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(shut(self.stream.as_raw_fd(), Shutdown::Write).map_err(Into::into))
    }
}
