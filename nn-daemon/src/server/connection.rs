//! One connection of gRPC, from whichever door: read in turns, given up when it does not begin, its peer told to every
//! request.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use nn_patience::Wait;
use nn_tensor::Fault;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinHandle;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::PREFACE_BYTES;
use super::frames::Frames;
use super::socket::{End, Socket};
use crate::kserve::Clients;
use crate::peer::{Entry, LOBBY_MAX, Peer, Place};

/// How long a connection may take to say that it speaks HTTP/2.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// What one connection is read before others have their turn, and before what it asked is looked at: HTTP/2 takes up
/// nothing while there is something to read, and as many calls as fit in here (28 bytes begin and reset one) must be
/// fewer than `PENDING_RESETS_MAX`, or an honest client that cancels many calls again and again loses its connection.
const TURN_BYTES: usize = 16 * 1024;

/// Bytes of messages in the middle of a frame begin no call: so many count as one.
const DATA_PER_BYTE: usize = 16;

/// The most of them that are read at once.
const DATA_MAX: usize = TURN_BYTES * DATA_PER_BYTE;

/// What a connection's bytes come by.
#[derive(Debug)]
pub(super) enum Transport {
    /// The socket, and nothing around it.
    Plain(Socket),
    /// TLS over TCP.
    Tls(Box<TlsStream<Socket>>),
}

/// A connection, and its peer by the kernel's word or its certificate's.
#[derive(Debug)]
pub(super) struct Connection {
    transport: Transport,
    frames: Frames,
    caller: Caller,
    /// Among the connections of its client, and of its door.
    _places: Places,
    /// Ends a connection that does not begin, and one that is refused.
    silence: Option<Wait>,
    /// Bytes of the preface that have come.
    heard: usize,
    /// Bytes read in this turn, as they count.
    turn: usize,
    /// Runs when all that could run has had its turn.
    others: Option<JoinHandle<()>>,
}

/// Places that are given up with a connection.
#[derive(Debug)]
struct Places {
    _of_client: Place,
    _of_door: Option<tokio::sync::OwnedSemaphorePermit>,
}

/// Who sent a request, and by which connection.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) peer: Peer,
    pub(super) end: End,
    /// What it holds as a client that sends its tensors in messages.
    pub(super) clients: Arc<Clients>,
    /// What it is told instead of being served.
    pub(super) refusal: Option<Arc<Fault>>,
}

// === impl Transport ===

impl Transport {
    fn socket(&self) -> &Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }

    /// Reads at most so much; says how much it was.
    fn poll_some(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(socket) => socket.poll_some(cx, buf, most),
            Self::Tls(stream) => {
                let mut part = ReadBuf::new(buf.initialize_unfilled_to(most));
                ready!(Pin::new(stream).poll_read(cx, &mut part))?;
                let len = part.filled().len();
                buf.advance(len);
                Poll::Ready(Ok(len))
            }
        }
    }

    fn writer(&mut self) -> Pin<&mut (dyn AsyncWrite + Send + Unpin)> {
        match self {
            Self::Plain(socket) => Pin::new(socket),
            Self::Tls(stream) => Pin::new(&mut **stream),
        }
    }
}

// === impl Connection ===

impl Connection {
    /// Of a peer that was let in. `of_door`: its place among all of its door, where that has a bound.
    pub(super) fn new(
        transport: Transport,
        (peer, clients): (Peer, Arc<Clients>),
        entry: Entry,
        of_door: Option<tokio::sync::OwnedSemaphorePermit>,
    ) -> Self {
        let (place, refusal, longest) = match entry {
            Entry::Inside(place) => (place, None, SILENCE_MAX),
            Entry::Lobby(place, fault) => (place, Some(Arc::new(fault)), LOBBY_MAX),
        };
        let end = transport.socket().end();
        let frames = Frames::new(peer.remote.is_none());
        Self {
            transport,
            frames,
            caller: Caller {
                peer,
                end,
                clients,
                refusal,
            },
            _places: Places {
                _of_client: place,
                _of_door: of_door,
            },
            silence: Some(Wait::new(longest)),
            heard: 0,
            turn: 0,
            others: None,
        }
    }

    /// Waits until others have had their turn, if this one's is over.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
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
    fn poll_some(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        let turn = TURN_BYTES.saturating_sub(self.turn);
        let most = turn.max(self.frames.data_left().min(DATA_MAX));
        let before = buf.filled().len();
        let most = most.min(buf.remaining());
        let len = ready!(self.transport.poll_some(cx, buf, most))?;
        let came = buf.filled_mut().get_mut(before..).unwrap_or_default();
        let data = self.frames.follow(came);
        let counts = len
            .saturating_sub(data)
            .saturating_add(data.div_ceil(DATA_PER_BYTE));
        self.turn = self.turn.saturating_add(counts);
        Poll::Ready(Ok(len))
    }
}

impl Connected for Connection {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_turn(cx));
        let read = self.poll_some(cx, buf);
        match &read {
            Poll::Ready(Ok(len)) => {
                self.heard = self.heard.saturating_add(*len);
                if self.heard >= PREFACE_BYTES && self.caller.refusal.is_none() {
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
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.transport.writer().poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.transport.writer().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport.writer().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport.writer().poll_shutdown(cx)
    }
}
