//! The handle to the dialer: the one process that connects, and only where it was told once that it may. The daemon hands it
//! one end of a socket for each relay. It cannot be started again, since the daemon is jailed: where it ends, relays that have
//! their connections keep them, no other is started, and whoever wants one is told (ADR 37).

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nn_sandbox::Layer;
use nn_shm::fds;
use nn_tensor::{Fault, Reason};
use nn_worker_wire as wire;
use tokio::time::timeout;

use super::DialerProcess;
use crate::packet::PacketSocket;

/// How long it may take to put up its jail.
const READY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long it may take to end once nobody wants it.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// Why there is no dialer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialerError {
    #[error("cannot start {path}")]
    Program {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "{path} is of another build; expected {expected}; hint: build and install daemon and dialer together"
    )]
    Build {
        path: PathBuf,
        expected: &'static str,
    },
    #[error("cannot speak to the dialer")]
    Socket(#[from] io::Error),
    #[error("the dialer did not jail itself in time")]
    Late,
    #[error("the dialer answered {0}; expected that its jail is up")]
    Protocol(String),
}

/// The way to connections.
#[derive(Debug)]
pub(crate) struct Dialer {
    socket: PacketSocket,
    pub(crate) pid: u32,
    child: Mutex<Option<Child>>,
    /// How it ended; none while it lives.
    ended: Mutex<Option<String>>,
    /// The daemon ends, and wants it no more.
    is_closing: AtomicBool,
}

// === impl Dialer ===

impl Dialer {
    /// Takes the dialer's socket into the runtime.
    pub(crate) fn connect(process: DialerProcess) -> Result<Self, DialerError> {
        Ok(Self {
            socket: PacketSocket::new(process.socket)?,
            pid: process.child.id(),
            child: Mutex::new(Some(process.child)),
            ended: Mutex::default(),
            is_closing: AtomicBool::new(false),
        })
    }

    /// Tells it what it may connect to, once; it jails itself then.
    pub(crate) async fn allow(
        &self,
        endpoints: &[String],
        layers: &[Layer],
    ) -> Result<(), DialerError> {
        let layers = layers.iter().map(|layer| layer.name().to_owned());
        let allow = wire::ToDialer::Allow {
            build_id: wire::BUILD_ID.to_owned(),
            endpoints: endpoints.to_vec(),
            layers: layers.collect(),
        };
        self.send(&allow, None).await?;
        let mut buffer = vec![0; wire::FRAME_BYTES_MAX];
        let heard = timeout(READY_TIMEOUT, self.recv(&mut buffer)).await;
        match heard.map_err(|_| DialerError::Late)?? {
            Some(wire::FromDialer::Ready { build_id }) if build_id == wire::BUILD_ID => Ok(()),
            Some(other) => Err(DialerError::Protocol(format!("{other:?}"))),
            None => Err(DialerError::Protocol("nothing: it has ended".to_owned())),
        }
    }

    /// Has it serve a relay; gives the relay's end of the socket.
    pub(crate) async fn relay(&self, relay: u32) -> Result<OwnedFd, Fault> {
        if let Some(how) = self.ended() {
            return Err(Fault::of(Reason::PlacementAway).got(how));
        }
        let away = |error: io::Error| Fault::of(Reason::PlacementAway).got(error.to_string());
        let (ours, theirs) = fds::pair().map_err(away)?;
        let frame = wire::ToDialer::Relay { relay };
        self.send(&frame, Some(&theirs)).await.map_err(away)?;
        Ok(ours)
    }

    /// How it ended; `None` while it lives.
    pub(crate) fn ended(&self) -> Option<String> {
        let ended = self.ended.lock();
        ended.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Hears what it has to say until it ends.
    pub(crate) async fn listen(self: Arc<Self>) {
        let mut buffer = vec![0; wire::FRAME_BYTES_MAX];
        loop {
            match self.recv(&mut buffer).await {
                Ok(Some(wire::FromDialer::Closed { relay, why })) if why.is_empty() => {
                    tracing::debug!(relay, "a relay asks for no connections any more");
                }
                Ok(Some(wire::FromDialer::Closed { relay, why })) => {
                    tracing::warn!(
                        relay,
                        "the dialer serves a relay no more: {}",
                        why.escape_debug()
                    );
                }
                Ok(Some(wire::FromDialer::Full { relay })) => {
                    tracing::warn!(relay, "the dialer has too many relays");
                }
                Ok(Some(wire::FromDialer::Ready { .. })) => {
                    return self.is_lost("it said twice that it is ready").await;
                }
                Ok(None) => return self.is_lost("its socket has ended").await,
                Err(error) => return self.is_lost(&error.to_string()).await,
            }
        }
    }

    async fn is_lost(&self, why: &str) {
        if self.is_closing.load(Ordering::Relaxed) {
            return;
        }
        self.socket.close();
        let how = match self.reap().await {
            Some(status) => format!("it has ended: {status}"),
            None => why.to_owned(),
        };
        tracing::error!(
            "the dialer is gone ({how}): no relay is started any more; hint: start the daemon anew"
        );
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(how);
    }

    /// Lets it end.
    pub(crate) async fn close(&self) {
        self.is_closing.store(true, Ordering::Relaxed);
        self.socket.close();
        let _ = self.reap().await;
    }

    async fn reap(&self) -> Option<String> {
        let child = {
            let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
            child.take()
        };
        let mut child = child?;
        let waited = tokio::task::spawn_blocking(move || child.wait());
        let status = timeout(END_TIMEOUT, waited).await.ok()?.ok()?.ok()?;
        Some(status.to_string())
    }

    async fn send(&self, frame: &wire::ToDialer, brings: Option<&OwnedFd>) -> io::Result<()> {
        let bytes = wire::encode(frame).map_err(io::Error::other)?;
        let fds: Vec<_> = brings.map(AsFd::as_fd).into_iter().collect();
        self.socket.send(&bytes, &fds).await
    }

    /// The next frame; `None` at the end.
    async fn recv(&self, buffer: &mut [u8]) -> io::Result<Option<wire::FromDialer>> {
        let packet = self.socket.recv(buffer, 0).await?;
        let bytes = buffer.get(..packet.len).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(None);
        }
        let frame = wire::decode(bytes);
        let invalid =
            |error: wire::WireError| io::Error::new(io::ErrorKind::InvalidData, error.to_string());
        frame.map(Some).map_err(invalid)
    }
}
