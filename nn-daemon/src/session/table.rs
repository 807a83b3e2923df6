//! All sessions: opened by gRPC, claimed on the descriptor socket, gone with that connection.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nn_tensor::{Fault, Id128, Reason, Tenant};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::{FdOut, Session, State};
use crate::limits::{CLAIM_TIMEOUT, FD_QUEUE_MAX, Limits};
use crate::metrics::Metrics;
use crate::peer::Peer;
use crate::tenancy::{Bound, Tenancy};

/// The sessions of this daemon.
#[derive(Debug)]
pub(crate) struct Sessions {
    limits: Limits,
    tenancy: Tenancy,
    pub(crate) metrics: Arc<Metrics>,
    entries: Mutex<HashMap<Id128, Entry>>,
    /// Whose sessions have ended: who names one of these is late, who names another guesses.
    ended: Mutex<VecDeque<(Id128, u32)>>,
}

/// How many of them are known.
const ENDED_MAX: usize = 1024;

#[derive(Debug)]
enum Entry {
    /// Opened; nobody has shown the token yet.
    Unclaimed {
        token: Id128,
        since: Instant,
        session: Arc<Session>,
        fd_out: mpsc::Receiver<FdOut>,
    },
    Live(Arc<Session>),
}

fn random() -> Result<Id128, Fault> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|_| Fault::of(Reason::Defect).message("the system has no random numbers"))?;
    Ok(Id128(u128::from_le_bytes(bytes)))
}

fn unknown() -> Fault {
    Fault::of(Reason::SessionUnknown)
}

impl Entry {
    fn session(&self) -> &Arc<Session> {
        match self {
            Self::Unclaimed { session, .. } | Self::Live(session) => session,
        }
    }
}

impl Sessions {
    pub(crate) fn new(limits: Limits, tenancy: Tenancy) -> Self {
        Self {
            limits,
            tenancy,
            metrics: Arc::default(),
            entries: Mutex::default(),
            ended: Mutex::default(),
        }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Id128, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a session; gives it and the token that claims it.
    pub(crate) fn open(&self, peer: Peer, tenant: Tenant) -> Result<(Arc<Session>, Id128), Fault> {
        let token = random()?;
        let (to_fd, fd_out) = mpsc::channel(FD_QUEUE_MAX);
        let session = self.enter(peer, tenant, Some(to_fd), |session| Entry::Unclaimed {
            token,
            since: Instant::now(),
            session,
            fd_out,
        })?;
        Ok((session, token))
    }

    /// Opens one that has no descriptor socket: the daemon places tensors for its client. It lives until it is closed.
    pub(crate) fn open_inside(&self, peer: Peer, tenant: Tenant) -> Result<Arc<Session>, Fault> {
        self.enter(peer, tenant, None, Entry::Live)
    }

    fn enter(
        &self,
        peer: Peer,
        tenant: Tenant,
        fd_out: Option<mpsc::Sender<FdOut>>,
        entry: impl FnOnce(Arc<Session>) -> Entry,
    ) -> Result<Arc<Session>, Fault> {
        self.allow(peer, &tenant)
            .inspect_err(|fault| self.metrics.session_refused(&tenant, fault))?;
        let id = random()?;
        let mut entries = self.entries();
        entries.retain(|_, entry| match entry {
            Entry::Unclaimed { since, .. } => since.elapsed() < CLAIM_TIMEOUT,
            Entry::Live(_) => true,
        });
        self.has_room(&entries, peer, &tenant)
            .inspect_err(|fault| self.metrics.session_refused(&tenant, fault))?;
        let session = Arc::new(Session {
            id,
            meter: self.tenancy.meter(&tenant),
            tenancy: self.tenancy.clone(),
            counts: self.metrics.of_tenant(&tenant),
            metrics: Arc::clone(&self.metrics),
            tenant,
            peer,
            opened: Instant::now(),
            fd_out,
            closed: watch::channel(false).0,
            graphs_released: watch::channel(0).0,
            state: Mutex::new(State::default()),
        });
        entries.insert(id, entry(Arc::clone(&session)));
        Ok(session)
    }

    /// Whether a peer may act for a tenant; else it is told among the events.
    fn allow(&self, peer: Peer, tenant: &Tenant) -> Result<(), Fault> {
        self.tenancy.allow(peer, tenant).inspect_err(|fault| {
            let denials = self.tenancy.denials();
            denials.tell(peer, Some(tenant), &fault.message);
        })
    }

    /// Whether one more session may be open, of a uid and for a tenant.
    fn has_room(
        &self,
        entries: &HashMap<Id128, Entry>,
        peer: Peer,
        tenant: &Tenant,
    ) -> Result<(), Fault> {
        let count = |is: &dyn Fn(&Session) -> bool| {
            let those = entries.values().filter(|entry| is(entry.session()));
            u64::try_from(those.count()).unwrap_or(u64::MAX)
        };
        let limits = &self.limits;
        let bounds = [
            (
                count(&|_| true),
                limits.sessions_max.into(),
                "limits.sessions_max".to_owned(),
            ),
            (
                count(&|session| session.peer.whose() == peer.whose()),
                limits.sessions_per_uid_max.into(),
                "limits.sessions_per_uid_max".to_owned(),
            ),
            (
                count(&|session| session.tenant == *tenant),
                self.tenancy.bounds(tenant).sessions,
                self.tenancy.key(tenant, Bound::Sessions),
            ),
        ];
        match bounds.into_iter().find(|(count, max, _)| count >= max) {
            None => Ok(()),
            Some((_, max, key)) => Err(Fault::of(Reason::SessionsFull)
                .expected(format!("at most {max}"))
                .hint(format!("close one, or raise {key}"))),
        }
    }

    /// The answer to who names a session that is not theirs.
    fn deny(&self, peer: Peer, id: Id128) -> Fault {
        let is_late = self.ended().contains(&(id, peer.uid));
        if !is_late {
            let denials = self.tenancy.denials();
            denials.tell(
                peer,
                None,
                "no session of this user has the id that it names",
            );
        }
        unknown()
    }

    fn ended(&self) -> MutexGuard<'_, VecDeque<(Id128, u32)>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many sessions are open for a tenant.
    pub(crate) fn count_of(&self, tenant: &Tenant) -> usize {
        let entries = self.entries();
        let sessions = entries.values().map(Entry::session);
        sessions.filter(|session| session.tenant == *tenant).count()
    }

    /// Makes a session live for the connection that shows its token, once.
    pub(crate) fn claim(
        &self,
        peer: Peer,
        id: Id128,
        shown: Id128,
    ) -> Result<(Arc<Session>, mpsc::Receiver<FdOut>), Fault> {
        let mut entries = self.entries();
        match entries.remove(&id) {
            Some(Entry::Unclaimed {
                token,
                session,
                fd_out,
                ..
            }) if token == shown && session.peer.uid == peer.uid => {
                entries.insert(id, Entry::Live(Arc::clone(&session)));
                Ok((session, fd_out))
            }
            Some(other) => {
                entries.insert(id, other);
                Err(self.deny(peer, id))
            }
            None => Err(self.deny(peer, id)),
        }
    }

    /// The live session of this id, if it is this peer's.
    pub(crate) fn get(&self, peer: Peer, id: Id128) -> Result<Arc<Session>, Fault> {
        match self.entries().get(&id) {
            Some(Entry::Live(session)) if session.peer.uid == peer.uid => Ok(Arc::clone(session)),
            Some(Entry::Unclaimed { .. }) => Err(Fault::of(Reason::Protocol)
                .message("the session has no descriptor connection yet")
                .hint("connect to fd.sock and show the token first")),
            Some(Entry::Live(_)) | None => Err(self.deny(peer, id)),
        }
    }

    /// Ends a session; gives it, for the workers to be told.
    pub(crate) fn close(&self, id: Id128) -> Option<Arc<Session>> {
        let session = Arc::clone(self.entries().remove(&id)?.session());
        let mut ended = self.ended();
        if ended.len() >= ENDED_MAX {
            ended.pop_front();
        }
        ended.push_back((id, session.peer.uid));
        drop(ended);
        session.close();
        Some(session)
    }

    /// Every live session.
    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        let entries = self.entries();
        let live = entries.values().filter_map(|entry| match entry {
            Entry::Live(session) => Some(Arc::clone(session)),
            Entry::Unclaimed { .. } => None,
        });
        live.collect()
    }
}

#[cfg(test)]
mod tests {
    use nn_tensor::Code;

    use super::*;

    const PEER: Peer = Peer::of_uid(5);

    fn sessions() -> Sessions {
        let limits = Limits {
            sessions_per_uid_max: 2,
            ..Limits::default()
        };
        Sessions::new(limits, Tenancy::default())
    }

    #[tokio::test]
    async fn a_session_is_claimed_once_by_its_token_and_uid() {
        let sessions = sessions();
        let (session, token) = sessions.open(PEER, Tenant::default()).unwrap();
        assert!(sessions.get(PEER, session.id).is_err());
        assert!(
            sessions
                .claim(PEER, session.id, Id128(token.0 ^ 1))
                .is_err()
        );
        assert!(
            sessions
                .claim(Peer { uid: 6, ..PEER }, session.id, token)
                .is_err()
        );
        assert!(sessions.claim(PEER, session.id, token).is_ok());
        assert!(sessions.claim(PEER, session.id, token).is_err());
        assert!(sessions.get(PEER, session.id).is_ok());
        assert!(sessions.get(Peer { uid: 6, ..PEER }, session.id).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn unclaimed_sessions_give_their_place_up() {
        let sessions = sessions();
        sessions.open(PEER, Tenant::default()).unwrap();
        sessions.open(PEER, Tenant::default()).unwrap();
        assert_eq!(
            sessions.open(PEER, Tenant::default()).unwrap_err().code,
            Code::Busy
        );
        tokio::time::advance(CLAIM_TIMEOUT).await;
        assert!(sessions.open(PEER, Tenant::default()).is_ok());
    }
}
