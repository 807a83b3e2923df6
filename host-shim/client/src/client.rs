//! The client: one per host process and tenant. It holds at most one session and makes a new one when
//! that is lost, for the next call: what was in flight has had its fault.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nn_tensor::{Fault, ModelRef, NameError, Tenant};
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, sleep, timeout_at};

use crate::connect::ConnectError;
use crate::fault;
use crate::graph::Graph;
use crate::session::{Format, Resolved, Session, describe};
use crate::stats::{Counters, Stats};
use crate::sync::lock;

/// Longest time a call waits for a connection.
const RECONNECT_WAIT: Duration = Duration::from_secs(2);

/// Between two attempts, doubled each time.
const BACKOFF_MIN: Duration = Duration::from_millis(10);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// A tenant's client. Cheap to clone; clones share the session, which ends with the last of them and of
/// the graphs they resolved.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    socket: PathBuf,
    tenant: Tenant,
    counters: Arc<Counters>,
    current: Mutex<Option<Arc<Session>>>,
    /// Held while a connection is made, so that only one is.
    connecting: Arc<tokio::sync::Mutex<()>>,
}

// === impl Client ===

impl Client {
    /// A client of the daemon behind `socket`. Connects when first needed.
    #[must_use]
    pub fn new(socket: PathBuf, tenant: Tenant) -> Self {
        Self(Arc::new(Inner {
            socket,
            tenant,
            counters: Arc::default(),
            current: Mutex::new(None),
            connecting: Arc::default(),
        }))
    }

    /// Connects now, by a single attempt, and says in detail why it cannot.
    pub async fn connect(&self) -> Result<(), ConnectError> {
        let connecting = Arc::clone(&self.0.connecting).lock_owned().await;
        if self.0.live().is_none() {
            self.0.attempt().await?;
        }
        drop(connecting);
        Ok(())
    }

    /// The tenant it acts for.
    #[must_use]
    pub fn tenant(&self) -> &Tenant {
        &self.0.tenant
    }

    /// What it has counted so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.0.counters.read()
    }

    /// The model that `NAME`, `NAME@VERSION` or `NAME:ALIAS` stands for now. Costs no round trip when it
    /// is known already.
    ///
    /// Fails with `invalid-argument` for a malformed name, with `not-found` for an unknown one, and where
    /// the daemon cannot be reached.
    pub async fn resolve(&self, reference: &str) -> Result<Arc<Graph>, Fault> {
        let malformed =
            |error: NameError| Fault::from(error).hint("NAME, NAME@VERSION or NAME:ALIAS");
        let reference: ModelRef = reference.parse().map_err(malformed)?;
        let (session, resolved) = self.resolve_in_session(&reference).await?;
        Ok(Arc::new(Graph::new(self.clone(), session, resolved)))
    }

    /// Loads a model from the bytes of its parts, for this client's tenant only; bytes that the daemon has
    /// already are not sent again. The model stays until the last graph of it is dropped.
    ///
    /// Fails with `invalid-encoding` for bytes that are no model, with `too-large` and `busy` beyond the
    /// daemon's bounds, and where the daemon cannot be reached.
    pub async fn load(&self, format: Format, parts: &[Vec<u8>]) -> Result<Arc<Graph>, Fault> {
        let described = describe(format, parts).await?;
        let session = self.session().await?;
        let (resolved, hold) = session.load(&described, parts).await?;
        let graph = Graph::loaded(self.clone(), session, resolved, hold);
        Ok(Arc::new(graph))
    }

    pub(crate) async fn resolve_in_session(
        &self,
        reference: &ModelRef,
    ) -> Result<(Arc<Session>, Arc<Resolved>), Fault> {
        let session = self.session().await?;
        let resolved = session.resolve(reference).await?;
        session.first_segment(&resolved.arena).await?;
        Ok((session, resolved))
    }

    /// A session that lives, a new one if need be.
    async fn session(&self) -> Result<Arc<Session>, Fault> {
        if let Some(session) = self.0.live() {
            return Ok(session);
        }
        let deadline = Instant::now() + RECONNECT_WAIT;
        let connecting = Arc::clone(&self.0.connecting).lock_owned();
        let connecting = timeout_at(deadline, connecting)
            .await
            .map_err(|_| fault::unreachable())?;
        if let Some(session) = self.0.live() {
            return Ok(session);
        }
        // A task of its own: an attempt that this call does not wait for may serve the next.
        let inner = Arc::clone(&self.0);
        let attempts = tokio::spawn(inner.attempts(deadline, connecting));
        match timeout_at(deadline, attempts).await {
            Ok(Ok(result)) => result.map_err(Into::into),
            Ok(Err(_)) | Err(_) => Err(fault::unreachable()),
        }
    }
}

// === impl Inner ===

impl Inner {
    fn live(&self) -> Option<Arc<Session>> {
        let current = lock(&self.current);
        current
            .as_ref()
            .filter(|session| !session.is_ended())
            .map(Arc::clone)
    }

    async fn attempt(&self) -> Result<Arc<Session>, ConnectError> {
        let session = Session::open(&self.socket, &self.tenant, &self.counters).await?;
        *lock(&self.current) = Some(Arc::clone(&session));
        Ok(session)
    }

    /// Tries until the deadline, holding the lock.
    async fn attempts(
        self: Arc<Self>,
        deadline: Instant,
        _connecting: OwnedMutexGuard<()>,
    ) -> Result<Arc<Session>, ConnectError> {
        let mut pause = BACKOFF_MIN;
        loop {
            let error = match self.attempt().await {
                Ok(session) => return Ok(session),
                Err(error) => error,
            };
            if error.is_final() || Instant::now() + pause >= deadline {
                tracing::warn!(%error, hint = %error.hint(), "no session with nn-daemon");
                return Err(error);
            }
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(BACKOFF_MAX);
        }
    }
}

/// The session's own tasks keep it alive; this is what ends it.
impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(session) = lock(&self.current).take() {
            session.end(&fault::lost());
        }
    }
}
