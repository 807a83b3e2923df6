//! The gRPC server: connections come in bounded by peer, requests meet the services of nn.v1.

mod admin;
mod connection;
mod events;
mod frames;
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
mod socket;
mod status;
mod tcp;
mod tenants;
pub(crate) mod tls;
mod upload;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use nn_proto::health::health_server::HealthServer;
use nn_proto::kserve::inference::grpc_inference_service_server::GrpcInferenceServiceServer;
use nn_proto::v1::admin_server::AdminServer;
use nn_proto::v1::inference_server::InferenceServer;
use nn_proto::v1::models_server::ModelsServer;
use nn_proto::{CHUNK_BYTES_MAX, MESSAGE_BYTES_MAX};
use nn_tensor::Fault;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tower::layer::util::{Identity, Stack};

use crate::context::Context;
use crate::kserve::Clients;
use crate::peer::{Peer, Places};
use crate::shutdown;
use crate::telemetry::Limiter;
use connection::{Caller, Connection, Transport};
#[cfg(any(test, fuzzing))]
pub(crate) use frames::Frames;
use socket::Socket;
pub(crate) use tcp::{Door, tell};

/// Streams open at a time in one connection; every unary call and every Infer stream is one.
const STREAMS_MAX: u32 = 256;

/// What a client may send of one stream before it is taken, and of all of a connection: a message with tensors comes in
/// pieces of the first, while the piece before is copied. See also `kserve::WAITING_MAX`.
const STREAM_BYTES: u32 = 256 * 1024;
const CONNECTION_BYTES: u32 = 4 * 1024 * 1024;

/// The longest frame of a client. It is put together before it is taken.
const FRAME_BYTES: u32 = 128 * 1024;

/// Resets a client may have outstanding: an honest one that cancels many calls at once must not lose
/// its connection (h2's own default is 20). Four times as many as may be open.
const PENDING_RESETS_MAX: usize = 1024;

/// What says that a connection speaks HTTP/2, whose own keepalive begins behind it.
const PREFACE_BYTES: usize = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();

/// How long accepting pauses when the process has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A server with the layers that all services have.
type Layered = Server<Stack<kserve::Carry, Stack<patience::Patience, Identity>>>;

/// Serves by both doors until it is told to stop, then lets open calls end.
pub(crate) async fn serve(
    context: Arc<Context>,
    (unix, tcp): (UnixListener, Option<Door>),
    stop: watch::Receiver<bool>,
) -> Result<(), tonic::transport::Error> {
    let tensors_max = usize::try_from(context.config.limits.kserve_message_bytes_max);
    let tensors_max = tensors_max.unwrap_or(usize::MAX);
    let kserve = GrpcInferenceServiceServer::new(kserve::Service::new(Arc::clone(&context)))
        .max_decoding_message_size(tensors_max)
        .max_encoding_message_size(tensors_max);
    let health = HealthServer::new(health::Service::new(Arc::clone(&context)));
    let health = health.max_decoding_message_size(MESSAGE_BYTES_MAX);
    // What clients' messages may take is counted over both.
    let carry = kserve::Carry::new(&context.config.limits);
    let of_tcp = async {
        let Some(door) = tcp else { return Ok(()) };
        let (connections, incoming) = mpsc::channel(1);
        let accepting = tokio::spawn(tcp::accept(Arc::clone(&context), door, connections));
        let served = layered(carry.clone())
            .add_service(kserve.clone())
            .add_service(health.clone())
            .serve_with_incoming_shutdown(ReceiverStream::new(incoming), stopped(stop.clone()))
            .await;
        accepting.abort();
        served
    };
    let of_unix = async {
        let (connections, incoming) = mpsc::channel(1);
        let accepting = tokio::spawn(accept(Arc::clone(&context), unix, connections));
        let inference = InferenceServer::new(infer::Service::new(Arc::clone(&context)));
        let models = ModelsServer::new(models::Service::new(Arc::clone(&context)));
        let admin = AdminServer::new(admin::Service::new(Arc::clone(&context)));
        let served = layered(carry.clone())
            .add_service(
                inference
                    .max_decoding_message_size(MESSAGE_BYTES_MAX)
                    .max_encoding_message_size(MESSAGE_BYTES_MAX),
            )
            .add_service(
                models
                    .max_decoding_message_size(CHUNK_BYTES_MAX + 1024)
                    .max_encoding_message_size(16 * MESSAGE_BYTES_MAX),
            )
            .add_service(kserve.clone())
            .add_service(health.clone())
            .add_service(admin.max_decoding_message_size(MESSAGE_BYTES_MAX))
            .serve_with_incoming_shutdown(ReceiverStream::new(incoming), stopped(stop.clone()))
            .await;
        accepting.abort();
        served
    };
    let (of_unix, of_tcp) = tokio::join!(of_unix, of_tcp);
    of_unix.and(of_tcp)
}

fn layered(carry: kserve::Carry) -> Layered {
    Server::builder()
        .accept_http1(false)
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_BYTES)
        .initial_connection_window_size(CONNECTION_BYTES)
        .max_frame_size(FRAME_BYTES)
        .http2_max_header_list_size(8 * 1024)
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS_MAX))
        .http2_keepalive_interval(Some(Duration::from_secs(10)))
        .http2_keepalive_timeout(Some(Duration::from_secs(5)))
        .layer(patience::Patience)
        .layer(carry)
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
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
        let transport = Transport::Plain(Socket::Unix(Arc::new(stream)));
        let connection = Connection::new(transport, (peer, clients), entry, None);
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
