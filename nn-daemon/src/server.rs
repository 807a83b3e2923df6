//! The gRPC server: connections come in bounded by peer, requests meet the services of nn.v1.

mod admin;
mod infer;
mod load;
mod models;
mod status;
mod upload;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

use nn_proto::v1::admin_server::AdminServer;
use nn_proto::v1::inference_server::InferenceServer;
use nn_proto::v1::models_server::ModelsServer;
use nn_proto::{CHUNK_BYTES_MAX, MESSAGE_BYTES_MAX};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::time::Sleep;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::transport::server::Connected;

use crate::context::Context;
use crate::peer::{Connections, Peer, Place};
use crate::shutdown;

/// Streams open at a time in one connection; every unary call and every Infer stream is one.
const STREAMS_MAX: u32 = 256;

/// Resets a client may have outstanding: an honest one that cancels many calls at once must not lose
/// its connection (h2's own default is 20).
const PENDING_RESETS_MAX: usize = 512;

/// How long a connection may say nothing before its first byte.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// How long accepting pauses when the process has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A connection, and its peer by the kernel's word.
#[derive(Debug)]
struct Connection {
    stream: UnixStream,
    peer: Peer,
    _place: Place,
    /// Ends a connection that says nothing at all; HTTP/2's own keepalive begins with its preface.
    silence: Option<Pin<Box<Sleep>>>,
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
    let places = Arc::new(Connections::default());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown::begun(&context) => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("cannot accept on the gRPC socket: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(peer) = Peer::of(&stream) else {
            continue;
        };
        let max = context.config.limits.connections_per_uid_max;
        let Some(place) = places.enter(peer, max) else {
            continue;
        };
        let connection = Connection {
            stream,
            peer,
            _place: place,
            silence: Some(Box::pin(tokio::time::sleep(SILENCE_MAX))),
        };
        if connections.send(Ok(connection)).await.is_err() {
            return;
        }
    }
    drop(listener);
    // The end of what comes in would be the server's own: it has connections to serve until it is told.
    connections.closed().await;
}

/// Who sent a request.
fn peer<T>(request: &tonic::Request<T>) -> Result<Peer, tonic::Status> {
    let unknown = || tonic::Status::unauthenticated("the peer is unknown");
    request
        .extensions()
        .get::<Peer>()
        .copied()
        .ok_or_else(unknown)
}

// === impl Connection ===

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.silence = None;
        }
        match (&read, self.silence.as_mut()) {
            (Poll::Pending, Some(silence)) => silence
                .as_mut()
                .poll(cx)
                .map(|()| Err(io::ErrorKind::TimedOut.into())),
            _ => read,
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
