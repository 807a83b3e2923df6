//! Who is at the other end of a socket, by the kernel's word, and what that allows. Of a client over TCP the kernel knows an
//! address alone; its certificate says the rest (`tenancy/remotes.rs`).

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
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
    /// Of a client over TCP one that no process has.
    pub(crate) uid: u32,
    pub(crate) remote: Option<Remote>,
}

/// A client over TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remote {
    pub(crate) address: IpAddr,
    /// By which name of its certificate it is known, if by any.
    pub(crate) name: Option<NameId>,
}

/// A name of certificates that the configuration has, or has had since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NameId(pub(crate) u32);

/// Whose something is: what is bounded by uid is bounded by this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Whose {
    Uid(u32),
    /// Known by its certificate.
    Name(NameId),
    /// Known by nothing but its address, or the network of 64 bits that it is in.
    Address(IpAddr),
}

/// The uid that stands for nobody: system calls take it for none.
const NOBODY: u32 = u32::MAX;

/// Connections of one socket, or other things that a client has at a time, counted by whose they are.
#[derive(Debug, Default)]
pub(crate) struct Connections(Mutex<HashMap<Whose, u32>>);

/// Who is let in by one socket: so many connections of each client, and of those beyond a few, to be told so.
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

/// How many of each may be in a lobby at a time. Others beyond the bound are closed without a word.
const LOBBY_PER_UID_MAX: u32 = 4;

/// How long each may be there.
pub(crate) const LOBBY_MAX: Duration = Duration::from_secs(2);

/// A connection's place among those of its client, given up when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    connections: Arc<Connections>,
    whose: Whose,
}

impl Peer {
    /// Asks the kernel (SO_PEERCRED).
    pub(crate) fn of(socket: &impl AsFd) -> std::io::Result<Self> {
        let credentials = getsockopt(&socket.as_fd(), PeerCredentials)?;
        Ok(Self {
            pid: u32::try_from(credentials.pid()).unwrap_or(0),
            uid: credentials.uid(),
            remote: None,
        })
    }

    /// A process of a uid.
    #[cfg(any(test, fuzzing))]
    pub(crate) const fn of_uid(uid: u32) -> Self {
        Self {
            pid: 1,
            uid,
            remote: None,
        }
    }

    /// A client over TCP.
    pub(crate) fn over_tcp(remote: Remote) -> Self {
        Self {
            pid: 0,
            uid: NOBODY,
            remote: Some(remote),
        }
    }

    /// By what its bounds are counted.
    pub(crate) fn whose(self) -> Whose {
        match self.remote {
            None => Whose::Uid(self.uid),
            Some(Remote {
                name: Some(name), ..
            }) => Whose::Name(name),
            Some(Remote { address, .. }) => Whose::Address(network(address)),
        }
    }

    /// Administration is for the daemon's own uid and root.
    pub(crate) fn may_administer(self) -> Result<(), Fault> {
        let own = own_uid();
        if self.remote.is_none() && (self.uid == 0 || self.uid == own) {
            return Ok(());
        }
        let expected = if own == 0 {
            "uid 0".to_owned()
        } else {
            format!("uid {own} or 0")
        };
        Err(Fault::of(Reason::AdminDenied)
            .expected(expected)
            .got(self.to_string()))
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.remote {
            None => write!(f, "uid {}", self.uid),
            Some(remote) => write!(f, "a client over TCP at {}", remote.address),
        }
    }
}

/// What is counted as one address: whoever has one of version 6 has the 64 bits behind it.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() & !u128::from(u64::MAX))),
        four @ IpAddr::V4(_) => four,
    }
}

/// The daemon's own uid. Asked for once, at the latest before its jail, in which there is no such question.
pub(crate) fn own_uid() -> u32 {
    static OWN: OnceLock<u32> = OnceLock::new();
    *OWN.get_or_init(|| Uid::effective().as_raw())
}

impl Connections {
    /// A place for one more connection of this peer; `None` when `max` are of it, or of whom it cannot be told from.
    pub(crate) fn enter(self: &Arc<Self>, peer: Peer, max: u32) -> Option<Place> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let whose = peer.whose();
        let count = counts.entry(whose).or_default();
        if *count >= max {
            return None;
        }
        *count = count.saturating_add(1);
        Some(Place {
            connections: Arc::clone(self),
            whose,
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
            tracing::warn!(%peer, peer.pid, max, "too many connections: one refused");
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
            .get(&self.whose)
            .map_or(0, |count| count.saturating_sub(1));
        if count == 0 {
            counts.remove(&self.whose);
        } else {
            counts.insert(self.whose, count);
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
        let peer = |uid| Peer::of_uid(uid);
        let first = connections.enter(peer(7), 1);
        assert!(first.is_some() && connections.enter(peer(7), 1).is_none());
        assert!(connections.enter(peer(8), 1).is_some());
        drop(first);
        assert!(connections.enter(peer(7), 1).is_some());
    }

    #[test]
    fn a_few_beyond_the_bound_are_told_why_and_the_rest_is_not_let_in() {
        let places = Places::default();
        let peer = Peer::of_uid(7);
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

    #[test]
    fn who_comes_over_tcp_is_counted_by_its_certificate_or_by_its_network() {
        let of = |address: &str, name| {
            let address = address.parse().unwrap();
            Peer::over_tcp(Remote { address, name })
        };
        let whose = |address| of(address, None).whose();
        assert_ne!(whose("10.0.0.1"), whose("10.0.0.2"));
        assert_eq!(whose("10.0.0.1"), whose("::ffff:10.0.0.1"));
        assert_eq!(whose("2001:db8::1"), whose("2001:db8::2:1"));
        assert_ne!(whose("2001:db8::1"), whose("2001:db8:0:1::1"));
        let name = Some(NameId(3));
        assert_eq!(of("10.0.0.1", name).whose(), of("10.0.0.2", name).whose());
        assert!(of("127.0.0.1", name).may_administer().is_err());
        assert_ne!(of("127.0.0.1", None).whose(), Peer::of_uid(NOBODY).whose());
    }
}
