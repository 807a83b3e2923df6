//! The descriptor socket: a client shows its token, then gets segments and says which it has mapped.
//! The connection is the session's life. Nothing a client sends here can do more than end itself.

use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt::SndBuf};
use nn_proto::v1::{self, fd_client_message, fd_server_message};
use nn_proto::{FD_PACKET_BYTES_MAX, id_from_wire};
use nn_tensor::{ArenaId, Fault, SegmentId};
use prost::Message;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{FdOut, Session, Sessions};
use crate::context::Context;
use crate::limits::CLAIM_TIMEOUT;
use crate::packet::PacketSocket;
use crate::peer::{Connections, Peer};
use crate::shutdown;
use crate::telemetry::Limiter;

/// How long accepting pauses when the process has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long a client may take to make room for one packet.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// What may lie unread in a client's socket, in bytes: a few packets. Descriptors that nobody takes count against the
/// daemon's own number of them, and beyond that it can send none to anybody.
const UNREAD_BYTES: usize = 2 * FD_PACKET_BYTES_MAX;

/// Accepts connections until the daemon begins to end; then the socket is closed here, and who connects waits for the
/// next daemon where somebody keeps it.
pub(crate) async fn serve(context: Arc<Context>, listener: UnixListener) {
    static LINES: Limiter = Limiter::new();
    let places = Arc::new(Connections::default());
    let max = context.config.limits.connections_per_uid_max;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown::begun(&context) => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let Ok(peer) = Peer::of(&stream) else {
                    continue;
                };
                let Some(place) = places.enter(peer, max) else {
                    continue;
                };
                let context = Arc::clone(&context);
                tokio::spawn(async move {
                    let _place = place;
                    if let Err(error) = connection(&context, peer, stream).await {
                        tracing::debug!("a descriptor connection ended: {error}");
                    }
                });
            }
            Err(error) => {
                if LINES.allows() {
                    tracing::warn!("cannot accept on the descriptor socket: {error}");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(
    context: &Context,
    peer: Peer,
    stream: tokio::net::UnixStream,
) -> std::io::Result<()> {
    setsockopt(&stream, SndBuf, &UNREAD_BYTES)?;
    let socket = PacketSocket::new(OwnedFd::from(stream.into_std()?))?;
    let claimed = match timeout(CLAIM_TIMEOUT, hello(&context.sessions, peer, &socket)).await {
        Ok(claimed) => claimed,
        Err(_) => Err(Fault::invalid_argument("no hello came in time")
            .expected(format!("FdHello within {CLAIM_TIMEOUT:?}"))),
    };
    let (session, out) = match claimed {
        Ok(claimed) => claimed,
        Err(fault) => {
            return send(&socket, fd_server_message::Body::Refused(fault.into()), &[]).await;
        }
    };
    tracing::debug!(tenant = %session.tenant, peer.pid, peer.uid, "session opened");
    let end = live(&session, &socket, out).await;
    context.close_session(session.id);
    tracing::debug!(tenant = %session.tenant, peer.pid, "session closed");
    end
}

/// The session that the first packet claims.
pub(crate) async fn hello(
    sessions: &Sessions,
    peer: Peer,
    socket: &PacketSocket,
) -> Result<(Arc<Session>, mpsc::Receiver<FdOut>), Fault> {
    let wrong = || Fault::invalid_argument("the first packet must be FdHello");
    match recv(socket).await.map_err(|_| wrong())? {
        Some(fd_client_message::Body::Hello(hello)) => {
            let (id, token) = (
                id_from_wire(hello.session_id)?,
                id_from_wire(hello.fd_token)?,
            );
            sessions.claim(peer, id, token)
        }
        Some(fd_client_message::Body::Mapped(_)) | None => Err(wrong()),
    }
}

/// Until the client closes the connection or breaks the protocol.
pub(crate) async fn live(
    session: &Session,
    socket: &PacketSocket,
    mut out: mpsc::Receiver<FdOut>,
) -> std::io::Result<()> {
    let accepted = fd_server_message::Body::Accepted(v1::FdAccepted {});
    send(socket, accepted, &[]).await?;
    loop {
        tokio::select! {
            packet = recv(socket) => match packet? {
                Some(fd_client_message::Body::Mapped(mapped)) => {
                    if let Err(fault) = seal(session, mapped) {
                        return send(socket, fd_server_message::Body::Refused(fault.into()), &[]).await;
                    }
                }
                Some(fd_client_message::Body::Hello(_)) | None => return Ok(()),
            },
            next = out.recv() => match next {
                Some(FdOut::Grant { piece, role }) => {
                    let grant = v1::FdGrant {
                        arena_id: piece.arena.0,
                        segment: piece.id.0,
                        bytes: piece.segment.bytes(),
                        role: role.into(),
                    };
                    let body = fd_server_message::Body::Grant(grant);
                    let fds = [piece.segment.as_fd()];
                    tokio::select! {
                        sent = send(socket, body, &fds) => sent?,
                        () = session.closed() => return Ok(()),
                    }
                }
                Some(FdOut::Revoked(arena, segment)) => {
                    let revoked = v1::FdRevoked { arena_id: arena.0, segment: segment.map(|s| s.0) };
                    send(socket, fd_server_message::Body::Revoked(revoked), &[]).await?;
                }
                None => return Ok(()),
            },
            () = session.closed() => return Ok(()),
        }
    }
}

fn seal(session: &Session, mapped: v1::FdMapped) -> Result<(), Fault> {
    let Ok(graph) = session.graph_with_arena(mapped.arena_id) else {
        // The graph may have gone while the client was mapping: no harm in that.
        return Ok(());
    };
    let piece = graph
        .arena
        .piece(SegmentId(mapped.segment))
        .ok_or_else(|| {
            Fault::invalid_argument("a segment that was never granted").got(format!(
                "segment {} of arena {}",
                mapped.segment,
                ArenaId(mapped.arena_id).0
            ))
        })?;
    piece.seal().map_err(|error| {
        tracing::error!("cannot seal a segment: {error}");
        Fault::runtime("the segment could not be sealed")
    })
}

/// The next message; `None` at the end of the connection.
async fn recv(socket: &PacketSocket) -> std::io::Result<Option<fd_client_message::Body>> {
    let mut buffer = [0; FD_PACKET_BYTES_MAX];
    let packet = socket.recv(&mut buffer, 0).await?;
    if packet.len == 0 {
        return Ok(None);
    }
    let bytes = buffer.get(..packet.len).unwrap_or_default();
    let message = v1::FdClientMessage::decode(bytes)
        .ok()
        .and_then(|message| message.body);
    let malformed = || std::io::Error::new(std::io::ErrorKind::InvalidData, "a malformed packet");
    message.ok_or_else(malformed).map(Some)
}

/// Sends a message; a client that makes no room for it in time is given up.
async fn send(
    socket: &PacketSocket,
    body: fd_server_message::Body,
    fds: &[BorrowedFd<'_>],
) -> std::io::Result<()> {
    let message = v1::FdServerMessage { body: Some(body) };
    let bytes = message.encode_to_vec();
    timeout(SEND_TIMEOUT, socket.send(&bytes, fds)).await?
}
