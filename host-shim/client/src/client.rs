//! The client: one per host process and tenant. It holds at most one session and makes a new one when that is
//! lost or its daemon is ending, for the next call. What was in flight ends in the old one.
//!
//! A call that the old session's daemon has not begun goes to the new one by itself ([`Moves`], ADR 14). Asking is free of
//! effects but for memory that ends with the session, so a question whose answer was lost is asked again; a compute is
//! not, unless it is known that it was not begun.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nn_tensor::{Code, Fault, ModelRef, NameError, Tenant};
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::connect::ConnectError;
use crate::fault;
use crate::graph::Graph;
use crate::session::{Format, Resolved, Session, describe};
use crate::stats::{Counters, Stats};
use crate::sync::lock;

/// Longest time a call waits for a session, unless set: as long as a daemon may take, by its own defaults, to let
/// computes end (10 s), and 5 s more to leave and for the next one to start.
const WAIT: Duration = Duration::from_secs(15);

/// Between two attempts, doubled each time; of each pause up to a half is left to chance, so that the clients of a
/// daemon that comes back do not come all at once.
const BACKOFF_MIN: Duration = Duration::from_millis(10);
const BACKOFF_MAX: Duration = Duration::from_millis(500);

/// The most sessions that one call goes on in after its first.
const MOVES_MAX: u32 = 3;

/// A tenant's client. Cheap to clone; clones share the session, which ends with the last of them and of
/// the graphs they resolved.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

/// Makes a [`Client`].
#[derive(Clone, Debug)]
pub struct ClientBuilder {
    socket: PathBuf,
    tenant: Tenant,
    wait: Duration,
}

/// How often one call has gone on in another session.
#[derive(Debug, Default)]
pub(crate) struct Moves(u32);

#[derive(Debug)]
struct Inner {
    socket: PathBuf,
    tenant: Tenant,
    wait: Duration,
    counters: Arc<Counters>,
    current: Mutex<Option<Arc<Session>>>,
    /// Held while a connection is made, so that only one is.
    connecting: Arc<tokio::sync::Mutex<()>>,
    /// What the daemon said to the last attempt, if it was no.
    refusal: Mutex<Option<Fault>>,
}

// === impl Client ===

impl Client {
    /// A client of the daemon behind `socket`. Connects when first needed.
    #[must_use]
    pub fn new(socket: PathBuf, tenant: Tenant) -> Self {
        Self::builder(socket, tenant).build()
    }

    /// The same with settings of your own.
    #[must_use]
    pub fn builder(socket: PathBuf, tenant: Tenant) -> ClientBuilder {
        ClientBuilder {
            socket,
            tenant,
            wait: WAIT,
        }
    }

    /// Connects now, by a single attempt, and says in detail why it cannot. Where a service manager keeps the socket of a
    /// daemon that it starts anew, that daemon's answer is waited for.
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
        let mut moves = Moves::default();
        let (session, resolved) = self.resolve_somewhere(&reference, &mut moves).await?;
        Ok(Arc::new(Graph::new(self.clone(), session, resolved)))
    }

    /// Loads a model from the bytes of its parts, for this client's tenant only; bytes that the daemon has
    /// already are not sent again. The model stays until the last graph of it is dropped.
    ///
    /// Fails with `invalid-encoding` for bytes that are no model, with `too-large` and `busy` beyond the
    /// daemon's bounds, and where the daemon cannot be reached.
    pub async fn load(&self, format: Format, parts: &[Vec<u8>]) -> Result<Arc<Graph>, Fault> {
        let described = describe(format, parts).await?;
        let mut moves = Moves::default();
        loop {
            let session = self.session().await?;
            match session.load(&described, parts).await {
                Err(fault) if moves.lost(&session, &fault) => {}
                Err(fault) => return Err(fault),
                Ok(resolved) => {
                    let graph = Graph::loaded(self.clone(), session, resolved);
                    return Ok(Arc::new(graph));
                }
            }
        }
    }

    /// A graph in a session that lives. A model that its daemon still loads is waited for there. `moves` are the whole
    /// call's.
    pub(crate) async fn resolve_somewhere(
        &self,
        reference: &ModelRef,
        moves: &mut Moves,
    ) -> Result<(Arc<Session>, Arc<Resolved>), Fault> {
        loop {
            let session = self.session().await?;
            match session.resolve_ready(reference).await {
                Err(fault) if moves.lost(&session, &fault) => {}
                Err(fault) => return Err(fault),
                Ok(resolved) => return Ok((session, resolved)),
            }
        }
    }

    /// A session that lives, a new one if need be.
    async fn session(&self) -> Result<Arc<Session>, Fault> {
        if let Some(session) = self.0.live() {
            return Ok(session);
        }
        let deadline = Instant::now() + self.0.wait;
        let connecting = Arc::clone(&self.0.connecting).lock_owned();
        let connecting = timeout_at(deadline, connecting)
            .await
            .map_err(|_| self.0.late())?;
        if let Some(session) = self.0.live() {
            return Ok(session);
        }
        // A task of its own: an attempt that this call does not wait for may serve the next.
        let inner = Arc::clone(&self.0);
        let attempts = tokio::spawn(inner.attempts(deadline, connecting));
        match timeout_at(deadline, attempts).await {
            Ok(Ok(result)) => result.map_err(Into::into),
            Ok(Err(_)) | Err(_) => Err(self.0.late()),
        }
    }
}

// === impl ClientBuilder ===

impl ClientBuilder {
    /// How long a call may wait for a session where there is none: because the daemon is away, is being started anew, or
    /// lets computes end before it leaves. 15 s unless set. A call that is thrown out of its session waits so long for
    /// the next, three times at most.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// The client. Connects when first needed.
    #[must_use]
    pub fn build(self) -> Client {
        let Self {
            socket,
            tenant,
            wait,
        } = self;
        Client(Arc::new(Inner {
            socket,
            tenant,
            wait,
            counters: Arc::default(),
            current: Mutex::new(None),
            connecting: Arc::default(),
            refusal: Mutex::default(),
        }))
    }
}

// === impl Moves ===

impl Moves {
    /// Whether a question that failed so in `session` is put in another: that one is over.
    pub(crate) fn lost(&mut self, session: &Arc<Session>, fault: &Fault) -> bool {
        self.refused(session, fault) || (session.is_over() && self.another())
    }

    /// Whether a compute that failed so in `session` is sent in another: it was not begun.
    pub(crate) fn refused(&mut self, session: &Arc<Session>, fault: &Fault) -> bool {
        if fault.code != Code::Leaving {
            return false;
        }
        // A refusal may overtake the news.
        session.leave();
        self.another()
    }

    fn another(&mut self) -> bool {
        self.0 = self.0.saturating_add(1);
        self.0 <= MOVES_MAX
    }
}

/// Between a half of a pause and the whole, by chance.
fn jittered(pause: Duration) -> Duration {
    // The keys of each are random.
    let random = RandomState::new().build_hasher().finish();
    let share = u32::try_from(random % 512).unwrap_or(0);
    (pause / 2).saturating_add((pause / 1024).saturating_mul(share))
}

// === impl Inner ===

impl Inner {
    fn live(&self) -> Option<Arc<Session>> {
        let current = lock(&self.current);
        current
            .as_ref()
            .filter(|session| !session.is_over())
            .map(Arc::clone)
    }

    /// Why there was no session in the time there was.
    fn late(&self) -> Fault {
        lock(&self.refusal)
            .clone()
            .unwrap_or_else(fault::unreachable)
    }

    async fn attempt(&self) -> Result<Arc<Session>, ConnectError> {
        let opening = Session::open(&self.socket, &self.tenant, &self.counters, self.wait);
        let session = opening.await?;
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
            *lock(&self.refusal) = error.refusal().cloned();
            let now = Instant::now();
            if error.is_final() || now >= deadline {
                tracing::warn!(%error, hint = %error.hint(), "no session with nn-daemon");
                return Err(error);
            }
            // The last attempt is at the deadline, not up to a whole pause before it.
            sleep_until(deadline.min(now + jittered(pause))).await;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_cut_by_half_at_most_and_never_twice_the_same() {
        let pause = Duration::from_millis(500);
        let pauses: Vec<Duration> = (0..32).map(|_| jittered(pause)).collect();
        assert!(pauses.iter().all(|&one| one >= pause / 2 && one <= pause));
        let first = pauses[0];
        assert!(pauses.iter().any(|&one| one != first));
    }

    #[test]
    fn a_call_moves_so_often_and_no_more() {
        let mut moves = Moves::default();
        let moved: Vec<bool> = (0..5).map(|_| moves.another()).collect();
        assert_eq!(moved, [true, true, true, false, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_without_a_daemon_waits_as_long_as_it_is_told() {
        let wait = Duration::from_secs(7);
        let client = Client::builder("/nowhere/nn.sock".into(), Tenant::default());
        let client = client.wait(wait).build();
        let began = Instant::now();
        let fault = client.resolve("foo").await.unwrap_err();
        assert!(fault.message.contains("cannot be reached"), "{fault}");
        assert_eq!(began.elapsed(), wait);
    }
}
