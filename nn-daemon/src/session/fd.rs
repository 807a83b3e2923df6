//! The descriptor socket: a client shows its token, then gets segments and says which it has mapped.
//! The connection is the session's life. Nothing a client sends here can do more than end itself.

use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt::SndBuf};
use nn_patience::{Over, timeout};
use nn_proto::v1::{self, fd_client_message, fd_server_message};
use nn_proto::{FD_PACKET_BYTES_MAX, id_from_wire};
use nn_tensor::{ArenaId, Fault, Reason, SegmentId};
use prost::Message;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use tokio::net::UnixListener;
use tokio::sync::mpsc;

use super::{FdOut, Session, Sessions};
use crate::context::Context;
use crate::limits::CLAIM_TIMEOUT;
use crate::packet::PacketSocket;
use crate::peer::{Entry, LOBBY_MAX, Peer, Places};
use crate::shutdown;
use crate::telemetry::Limiter;

/// How long accepting pauses when the process has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long a client may take to make room for one packet.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// What may lie unread in a client's socket, in bytes: a few packets. Descriptors that nobody takes count against the
/// daemon's own number of them, and beyond that it can send none to anybody.
const UNREAD_BYTES: usize = 2 * FD_PACKET_BYTES_MAX;

/// Descriptors that a client's packet may bring.
pub(crate) const FDS_MAX: usize = 0;

/// Accepts connections until the daemon begins to end; then the socket is closed here, and who connects waits for the
/// next daemon where somebody keeps it.
pub(crate) async fn serve(context: Arc<Context>, listener: UnixListener) {
    static LINES: Limiter = Limiter::new();
    let places = Places::default();
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
                let Some(entry) = places.enter(peer, max) else {
                    continue;
                };
                let context = Arc::clone(&context);
                tokio::spawn(async move {
                    if let Err(error) = connection(&context, peer, entry, stream).await {
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
    entry: Entry,
    stream: tokio::net::UnixStream,
) -> std::io::Result<()> {
    setsockopt(&stream, SndBuf, &UNREAD_BYTES)?;
    let socket = PacketSocket::new(OwnedFd::from(stream.into_std()?))?;
    let _place = match entry {
        Entry::Inside(place) => place,
        Entry::Lobby(_place, fault) => return refuse(&socket, fault).await,
    };
    let claimed = match timeout(CLAIM_TIMEOUT, hello(&context.sessions, peer, &socket)).await {
        Ok(claimed) => claimed,
        Err(Over) => Err(Fault::of(Reason::Protocol)
            .message("no hello came in time")
            .expected(format!("FdHello within {CLAIM_TIMEOUT:?}"))),
    };
    let (session, out) = match claimed {
        Ok(claimed) => claimed,
        Err(fault) => return send_refused(&socket, fault).await,
    };
    tracing::debug!(tenant = %session.tenant, peer.pid, peer.uid, "session opened");
    let end = live(&session, &socket, out).await;
    context.close_session(session.id);
    tracing::debug!(tenant = %session.tenant, peer.pid, "session closed");
    end
}

/// Tells a client that it is not let in. Its first packet is taken before: a connection that is closed with one unread
/// shows as reset at its other end, whatever was sent.
async fn refuse(socket: &PacketSocket, fault: Fault) -> std::io::Result<()> {
    if let Ok(came) = timeout(LOBBY_MAX, recv(socket)).await {
        came?;
    }
    send_refused(socket, fault).await
}

async fn send_refused(socket: &PacketSocket, fault: Fault) -> std::io::Result<()> {
    send(socket, fd_server_message::Body::Refused(fault.into()), &[]).await
}

/// The session that the first packet claims.
pub(crate) async fn hello(
    sessions: &Sessions,
    peer: Peer,
    socket: &PacketSocket,
) -> Result<(Arc<Session>, mpsc::Receiver<FdOut>), Fault> {
    let first = recv(socket).await;
    claim(sessions, peer, first)
}

/// The same, of a packet that has come.
pub(crate) fn claim(
    sessions: &Sessions,
    peer: Peer,
    first: std::io::Result<Option<fd_client_message::Body>>,
) -> Result<(Arc<Session>, mpsc::Receiver<FdOut>), Fault> {
    let wrong = || Fault::of(Reason::Protocol).message("the first packet must be FdHello");
    match first.map_err(|_| wrong())? {
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
            packet = recv(socket) => match heed(session, packet?) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(fault) => return send_refused(socket, fault).await,
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

/// Does as a client of a live session says; false if the connection ends with it.
pub(crate) fn heed(
    session: &Session,
    body: Option<fd_client_message::Body>,
) -> Result<bool, Fault> {
    match body {
        Some(fd_client_message::Body::Mapped(mapped)) => seal(session, mapped).map(|()| true),
        Some(fd_client_message::Body::Hello(_)) | None => Ok(false),
    }
}

fn seal(session: &Session, mapped: v1::FdMapped) -> Result<(), Fault> {
    let Ok(graph) = session.graph_with_arena(ArenaId(mapped.arena_id)) else {
        // The graph may have gone while the client was mapping: no harm in that.
        return Ok(());
    };
    let piece = graph
        .arena
        .piece(SegmentId(mapped.segment))
        .ok_or_else(|| {
            Fault::of(Reason::Protocol)
                .message("a segment that was never granted")
                .got(format!(
                    "segment {} of arena {}",
                    mapped.segment,
                    ArenaId(mapped.arena_id).0
                ))
        })?;
    piece.seal().map_err(|error| {
        tracing::error!("cannot seal a segment: {error}");
        Fault::of(Reason::Defect).message("the segment could not be sealed")
    })
}

/// The next message; `None` at the end of the connection.
async fn recv(socket: &PacketSocket) -> std::io::Result<Option<fd_client_message::Body>> {
    let mut buffer = [0; FD_PACKET_BYTES_MAX];
    let packet = socket.recv(&mut buffer, FDS_MAX).await?;
    read(buffer.get(..packet.len).unwrap_or_default())
}

/// What a packet says; one of no bytes is the end of the connection.
pub(crate) fn read(bytes: &[u8]) -> std::io::Result<Option<fd_client_message::Body>> {
    if bytes.is_empty() {
        return Ok(None);
    }
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
    let late = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
    timeout(SEND_TIMEOUT, socket.send(&bytes, fds))
        .await
        .map_err(late)?
}
