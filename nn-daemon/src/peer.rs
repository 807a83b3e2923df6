//! Who is at the other end of a socket, by the kernel's word, and what that allows.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::Uid;
use nn_tensor::{Fault, Reason};

use crate::telemetry::Limiter;

/// The process that connected, at the moment it did. Decisions go by uid: a pid may be reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) pid: u32,
    pub(crate) uid: u32,
}

/// Connections of one socket, or other things that a client has at a time, counted by uid.
#[derive(Debug, Default)]
pub(crate) struct Connections(Mutex<HashMap<u32, u32>>);

/// Who is let in by one socket: so many connections of each uid, and of those beyond a few, to be told so.
#[derive(Debug, Default)]
pub(crate) struct Places {
    inside: Arc<Connections>,
    lobby: Arc<Connections>,
}

/// Where a connection is let in to.
#[derive(Debug)]
pub(crate) enum Entry {
    /// It is served.
    Inside(Place),
    /// There are too many: it is told that, and ends.
    Lobby(Place, Fault),
}

/// How many of each uid may be in a lobby at a time. Others beyond the bound are closed without a word.
const LOBBY_PER_UID_MAX: u32 = 4;

/// How long each may be there.
pub(crate) const LOBBY_MAX: Duration = Duration::from_secs(2);

/// A connection's place among those of its uid, given up when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    connections: Arc<Connections>,
    uid: u32,
}

impl Peer {
    /// Asks the kernel (SO_PEERCRED).
    pub(crate) fn of(socket: &impl AsFd) -> std::io::Result<Self> {
        let credentials = getsockopt(&socket.as_fd(), PeerCredentials)?;
        Ok(Self {
            pid: u32::try_from(credentials.pid()).unwrap_or(0),
            uid: credentials.uid(),
        })
    }

    /// Administration is for the daemon's own uid and root.
    pub(crate) fn may_administer(self) -> Result<(), Fault> {
        let own = own_uid();
        if self.uid == 0 || self.uid == own {
            return Ok(());
        }
        let expected = if own == 0 {
            "uid 0".to_owned()
        } else {
            format!("uid {own} or 0")
        };
        Err(Fault::of(Reason::AdminDenied)
            .expected(expected)
            .got(format!("uid {}", self.uid)))
    }
}

/// The daemon's own uid. Asked for once, at the latest before its jail, in which there is no such question.
pub(crate) fn own_uid() -> u32 {
    static OWN: OnceLock<u32> = OnceLock::new();
    *OWN.get_or_init(|| Uid::effective().as_raw())
}

impl Connections {
    /// A place for one more connection of this peer; `None` when its uid has `max` already.
    pub(crate) fn enter(self: &Arc<Self>, peer: Peer, max: u32) -> Option<Place> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(peer.uid).or_default();
        if *count >= max {
            return None;
        }
        *count = count.saturating_add(1);
        Some(Place {
            connections: Arc::clone(self),
            uid: peer.uid,
        })
    }
}

impl Places {
    /// Lets a peer in that has fewer than `max` connections; one that has more as far as the lobby, while there is room.
    pub(crate) fn enter(&self, peer: Peer, max: u32) -> Option<Entry> {
        static LINES: Limiter = Limiter::new();
        if let Some(place) = self.inside.enter(peer, max) {
            return Some(Entry::Inside(place));
        }
        if LINES.allows() {
            tracing::warn!(peer.uid, peer.pid, max, "too many connections: one refused");
        }
        let place = self.lobby.enter(peer, LOBBY_PER_UID_MAX)?;
        let fault = Fault::of(Reason::ConnectionsFull)
            .expected(format!("at most {max} at a time to each socket"))
            .got("one more");
        Some(Entry::Lobby(place, fault))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self
            .connections
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let count = counts
            .get(&self.uid)
            .map_or(0, |count| count.saturating_sub(1));
        if count == 0 {
            counts.remove(&self.uid);
        } else {
            counts.insert(self.uid, count);
        }
    }
}

#[cfg(test)]
mod tests {
    use nn_tensor::Code;

    use super::*;

    #[test]
    fn a_uid_has_so_many_connections_and_no_more() {
        let connections = Arc::new(Connections::default());
        let peer = |uid| Peer { pid: 1, uid };
        let first = connections.enter(peer(7), 1);
        assert!(first.is_some() && connections.enter(peer(7), 1).is_none());
        assert!(connections.enter(peer(8), 1).is_some());
        drop(first);
        assert!(connections.enter(peer(7), 1).is_some());
    }

    #[test]
    fn a_few_beyond_the_bound_are_told_why_and_the_rest_is_not_let_in() {
        let places = Places::default();
        let peer = Peer { pid: 1, uid: 7 };
        let inside = places.enter(peer, 1);
        assert!(matches!(inside, Some(Entry::Inside(_))));
        let beyond = || places.enter(peer, 1);
        let lobby: Vec<_> = std::iter::from_fn(beyond).collect();
        assert_eq!(lobby.len(), usize::try_from(LOBBY_PER_UID_MAX).unwrap());
        assert!(lobby.iter().all(|entry| matches!(
            entry,
            Entry::Lobby(_, fault) if fault.code == Code::Busy && fault.expected.contains('1')
        )));
        drop(inside);
        assert!(matches!(beyond(), Some(Entry::Inside(_))));
        drop(lobby);
        assert!(beyond().is_some());
    }
}
