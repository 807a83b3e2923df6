//! The door over TCP, where the operator opens one: for clients of the KServe service alone, who are no process of this
//! machine that the kernel could name. What they may is what `[kserve]` says (`tenancy/remotes.rs`). Whoever reaches the
//! port may knock, so knocking is bounded: in number, in pace, in time (ADR 35).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use webpki::EndEntityCert;

use super::connection::{Connection, Transport};
use super::socket::Socket;
use super::tls::{self, Certificates, TlsError};
use crate::config::Kserve;
use crate::context::Context;
use crate::kserve::Clients;
use crate::peer::{Entry, NameId, Peer, Places, Remote};
use crate::shutdown;
use crate::telemetry::Limiter;

/// Connections at a time, of all addresses, those that have yet to say who they are among them.
const CONNECTIONS_MAX: usize = 256;

/// Those that have yet to say it.
const HANDSHAKES_MAX: usize = 32;

/// How long each may take for that.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);

/// Between two connections that are taken: a signature takes up to a millisecond of the daemon's one thread.
const PACE: Duration = Duration::from_millis(5);

/// After an error that will not have gone at once: no descriptors left, say.
const ERROR_PAUSE: Duration = Duration::from_millis(500);

/// Why there is no door.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoDoor {
    #[error(
        "cannot listen on {address}; hint: kserve.listen takes an address of this machine and a port that nobody has"
    )]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A port that listens, and what is shown there.
#[derive(Debug)]
pub(crate) struct Door {
    listener: TcpListener,
    /// `None` where nothing is encrypted.
    certificates: Option<Arc<Certificates>>,
}

/// What those who knock share.
#[derive(Clone)]
struct Knocking {
    context: Arc<Context>,
    certificates: Option<Arc<Certificates>>,
    places: Arc<Places>,
    connections: mpsc::Sender<io::Result<Connection>>,
}

// === impl Door ===

impl Door {
    /// Opens it, before the daemon jails itself: in the jail it makes no socket.
    pub(crate) fn open(kserve: &Kserve) -> Result<Option<Self>, NoDoor> {
        let Some(address) = kserve.listen else {
            return Ok(None);
        };
        let config = kserve.tls.as_ref().map(tls::read).transpose()?;
        let listening = || {
            let listener = std::net::TcpListener::bind(address)?;
            // Connections inherit both.
            setsockopt(&listener, sockopt::TcpNoDelay, &true)?;
            setsockopt(&listener, sockopt::KeepAlive, &true)?;
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        };
        let listener: TcpListener =
            listening().map_err(|source| NoDoor::Listen { address, source })?;
        // With port 0 it is one that the system chose.
        let address = listener.local_addr().unwrap_or(address);
        match &kserve.tls {
            Some(tls) if tls.clients.is_some() => tracing::info!(
                %address,
                "KServe is served over TLS to whoever has a certificate of kserve.tls.clients"
            ),
            Some(_) => tracing::warn!(
                %address,
                "KServe is served over TLS to whoever reaches this address: kserve.tls.clients would ask for certificates"
            ),
            None if address.ip().is_loopback() => tracing::info!(
                %address,
                "KServe is served over TCP to whoever is on this machine"
            ),
            None => tracing::warn!(
                %address,
                "KServe is served over TCP to whoever reaches this address: nothing is encrypted, nobody says who it is"
            ),
        }
        let certificates = config.map(|config| Arc::new(Certificates::new(config)));
        Ok(Some(Self {
            listener,
            certificates,
        }))
    }

    /// What is shown there.
    pub(crate) fn certificates(&self) -> Option<Arc<Certificates>> {
        self.certificates.clone()
    }
}

/// Accepts connections until the daemon begins to end.
pub(super) async fn accept(
    context: Arc<Context>,
    door: Door,
    connections: mpsc::Sender<io::Result<Connection>>,
) {
    let knocking = Knocking {
        context: Arc::clone(&context),
        certificates: door.certificates,
        places: Arc::default(),
        connections,
    };
    tokio::select! {
        () = take(&knocking, &door.listener) => {}
        () = shutdown::begun(&context) => {}
    }
    drop(door.listener);
    // The end of what comes in would be the server's own: it has connections to serve until it is told.
    knocking.connections.closed().await;
}

/// Takes one after the other.
async fn take(knocking: &Knocking, listener: &TcpListener) {
    static LINES: Limiter = Limiter::new();
    let all = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    loop {
        // Never closed.
        let Ok(handshake) = Arc::clone(&handshakes).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, address)) => {
                let place = Arc::clone(&all).try_acquire_owned();
                let entry = knocking.enter(address.ip(), None);
                if let (Ok(place), Some(entry)) = (place, entry) {
                    let knocking = knocking.clone();
                    tokio::spawn(async move {
                        let (peer, entry) = entry;
                        knocking.let_in(stream, (peer, entry), place).await;
                        drop(handshake);
                    });
                } else if LINES.allows() {
                    tracing::warn!(%address, "too many connections over TCP: one is closed");
                }
                sleep(PACE).await;
            }
            Err(error) => {
                if LINES.allows() {
                    tracing::warn!("cannot accept on the socket of KServe: {error}");
                }
                sleep(ERROR_PAUSE).await;
            }
        }
    }
}

// === impl Knocking ===

impl Knocking {
    /// A place for a client, by what is known of it.
    fn enter(&self, address: IpAddr, name: Option<NameId>) -> Option<(Peer, Entry)> {
        let address = address.to_canonical();
        let peer = Peer::over_tcp(Remote { address, name });
        let max = self.context.config.limits.connections_per_uid_max;
        Some((peer, self.places.enter(peer, max)?))
    }

    /// Finds out who it is, and gives the connection on.
    async fn let_in(
        &self,
        stream: TcpStream,
        (peer, entry): (Peer, Entry),
        place: OwnedSemaphorePermit,
    ) {
        static LINES: Limiter = Limiter::new();
        let socket = Socket::Tcp(Arc::new(stream));
        let Some(certificates) = &self.certificates else {
            return self
                .serve(Transport::Plain(socket), (peer, entry), place)
                .await;
        };
        let shaken = TlsAcceptor::from(certificates.now()).accept(socket);
        let stream = match timeout(HANDSHAKE_MAX, shaken).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                if LINES.allows() {
                    tracing::warn!(%peer, "no TLS with a client: {error}");
                }
                return;
            }
            Err(_) => {
                if LINES.allows() {
                    tracing::warn!(%peer, "no TLS with a client: it takes longer than {HANDSHAKE_MAX:?}");
                }
                return;
            }
        };
        // Counted by its name from here on, and its address is free for others.
        let named = self.name(&stream).zip(peer.remote);
        let entered = match named {
            None => Some((peer, entry)),
            Some((name, Remote { address, .. })) => self.enter(address, Some(name)),
        };
        if let Some(entered) = entered {
            let transport = Transport::Tls(Box::new(stream));
            self.serve(transport, entered, place).await;
        }
    }

    /// The name of a client's certificate that it is known by. The certificate has been checked.
    fn name(&self, stream: &TlsStream<Socket>) -> Option<NameId> {
        let (_, session) = stream.get_ref();
        let certificate = session.peer_certificates()?.first()?;
        let certificate = EndEntityCert::try_from(certificate).ok()?;
        let names = certificate.valid_dns_names();
        let names = names.chain(certificate.valid_uri_names());
        self.context.tenancy.remotes().first(names)
    }

    async fn serve(
        &self,
        transport: Transport,
        (peer, entry): (Peer, Entry),
        place: OwnedSemaphorePermit,
    ) {
        let clients = Arc::new(Clients::new(&self.context));
        let connection = Connection::new(transport, (peer, clients), entry, Some(place));
        // Nobody there: the daemon ends.
        let _ = self.connections.send(Ok(connection)).await;
    }
}
