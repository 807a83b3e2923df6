//! The door over TCP, where the operator opens one: for clients of the KServe service alone, who are no process of this
//! machine that the kernel could name. What they may is what `[kserve]` says (`tenancy/remotes.rs`). Whoever reaches the
//! port may knock, so knocking is bounded: in number, in pace, in time (ADR 35).

mod handshakes;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use webpki::EndEntityCert;

use handshakes::Handshakes;

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

/// Between two connections that are taken.
const PACE: Duration = Duration::from_millis(5);

/// After an error that will not have gone at once: no descriptors left, say.
const ERROR_PAUSE: Duration = Duration::from_millis(500);

/// Why there is no door.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoDoor {
    #[error(
        "cannot listen on {address}; hint: kserve.listen takes an address of this machine and a port that nobody has; \
         nn-daemon.service takes a drop-in besides, for it has no network (operations.md, KServe over TCP)"
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
    handshakes: Arc<Handshakes>,
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
        tell(address, kserve);
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

/// Says who is let in.
pub(crate) fn tell(address: SocketAddr, kserve: &Kserve) {
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
        handshakes: Arc::default(),
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
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                let place = Arc::clone(&all).try_acquire_owned();
                let entry = knocking.enter(address.ip(), None);
                if let (Ok(place), Some(entry)) = (place, entry) {
                    knocking.clone().begin(stream, entry, place);
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

    /// Finds out who it is, and gives the connection on, in a task of its own.
    fn begin(self, stream: TcpStream, (peer, entry): (Peer, Entry), place: OwnedSemaphorePermit) {
        let socket = Socket::Tcp(Arc::new(stream));
        let Some(certificates) = &self.certificates else {
            let plain = Transport::Plain(socket);
            tokio::spawn(async move { self.serve(plain, (peer, entry), place).await });
            return;
        };
        let shaking = TlsAcceptor::from(certificates.now()).accept(socket);
        let handshakes = Arc::clone(&self.handshakes);
        let under_way = handshakes.begin(peer.whose());
        let id = under_way.id();
        let task = tokio::spawn(async move {
            let shaken = self.handshakes.run(shaking).await;
            drop(under_way);
            self.let_in(shaken, (peer, entry), place).await;
        });
        handshakes.is_by(id, task.abort_handle());
    }

    async fn let_in(
        &self,
        shaken: io::Result<TlsStream<Socket>>,
        (peer, entry): (Peer, Entry),
        place: OwnedSemaphorePermit,
    ) {
        static LINES: Limiter = Limiter::new();
        let known = shaken.map_err(|error| error.to_string());
        let known = known.and_then(|stream| Ok((self.name(&stream)?, stream)));
        let (name, stream) = match known {
            Ok(known) => known,
            Err(error) => {
                if LINES.allows() {
                    tracing::warn!(%peer, "no TLS with a client: {error}");
                }
                return;
            }
        };
        // Counted by its name from here on, and its address is free for others.
        let named = name.zip(peer.remote);
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
    fn name(&self, stream: &TlsStream<Socket>) -> Result<Option<NameId>, String> {
        let (_, session) = stream.get_ref();
        let Some(certificate) = session.peer_certificates().and_then(<[_]>::first) else {
            return Ok(None);
        };
        let certificate =
            EndEntityCert::try_from(certificate).map_err(|error| error.to_string())?;
        let names = certificate.valid_dns_names();
        let names = names.chain(certificate.valid_uri_names());
        let known = self.context.tenancy.remotes().known_by(names);
        known.map_err(|two| two.to_string())
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
