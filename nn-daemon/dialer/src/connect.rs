//! A name to addresses, and addresses to a connection: the first that answers, each begun a little after the one before.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::sockopt;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, connect as begin, getsockopt, setsockopt,
    socket,
};
use nn_worker_wire::{DialFailure, Endpoint};

/// The most addresses of a name that are tried.
const ADDRESSES_MAX: usize = 8;

/// How long one is waited for alone, before the next is begun besides it.
const STAGGER: Duration = Duration::from_millis(250);

/// When a connection is asked whether it is there, how often, and how long what was sent may be unheard of.
const KEEP_IDLE_S: u32 = 30;
const KEEP_INTERVAL_S: u32 = 10;
const KEEP_COUNT: u32 = 3;
const UNHEARD_MS: u32 = 30_000;

/// Whether this moment has come.
pub(crate) fn is_late(deadline: Instant) -> bool {
    Instant::now() >= deadline
}

/// A connected socket, which does not wait.
pub(crate) fn connect(
    addresses: Vec<SocketAddr>,
    deadline: Instant,
) -> Result<OwnedFd, DialFailure> {
    if is_late(deadline) {
        return Err(DialFailure::Late);
    }
    let mut left = addresses.into_iter().peekable();
    let mut begun: Vec<OwnedFd> = Vec::new();
    let mut last = DialFailure::NoAddress;
    loop {
        if let Some(address) = left.next() {
            match start(address) {
                Ok(socket) => begun.push(socket),
                Err(errno) => last = failure(errno),
            }
        }
        if begun.is_empty() && left.peek().is_none() {
            return Err(last);
        }
        // With one more to try, not all of the time.
        let until = match left.peek() {
            Some(_) => deadline.min(Instant::now() + STAGGER),
            None => deadline,
        };
        match wait(&mut begun, until) {
            Ok(Some(socket)) => return Ok(socket),
            Ok(None) => {}
            Err(failed) => last = failed,
        }
        if is_late(deadline) {
            return Err(DialFailure::Late);
        }
    }
}

/// Where that is. The C library asks name servers for as long as it likes, where it is a name.
pub(crate) fn addresses(endpoint: &Endpoint) -> Result<Vec<SocketAddr>, DialFailure> {
    if let Some(address) = endpoint.address() {
        return Ok(vec![SocketAddr::new(address, endpoint.port())]);
    }
    let found = (endpoint.host(), endpoint.port()).to_socket_addrs();
    let found: Vec<SocketAddr> = found
        .map_err(|_| DialFailure::NoAddress)?
        .take(ADDRESSES_MAX)
        .collect();
    if found.is_empty() {
        return Err(DialFailure::NoAddress);
    }
    Ok(found)
}

/// Begins to connect.
fn start(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(family, SockType::Stream, flags, None)?;
    setsockopt(&socket, sockopt::TcpNoDelay, &true)?;
    setsockopt(&socket, sockopt::KeepAlive, &true)?;
    setsockopt(&socket, sockopt::TcpKeepIdle, &KEEP_IDLE_S)?;
    setsockopt(&socket, sockopt::TcpKeepInterval, &KEEP_INTERVAL_S)?;
    setsockopt(&socket, sockopt::TcpKeepCount, &KEEP_COUNT)?;
    setsockopt(&socket, sockopt::TcpUserTimeout, &UNHEARD_MS)?;
    match begin(socket.as_raw_fd(), &SockaddrStorage::from(address)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(socket),
        Err(errno) => Err(errno),
    }
}

/// The first that is connected, until then. Those that failed are let go, and if it was one of them, why.
fn wait(begun: &mut Vec<OwnedFd>, until: Instant) -> Result<Option<OwnedFd>, DialFailure> {
    let mut last = None;
    while !begun.is_empty() {
        let left = until.saturating_duration_since(Instant::now());
        // Never before its time: a wait of no time would be tried again and again.
        let left = left.as_millis().saturating_add(1);
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let wanted = |socket| PollFd::new(socket, PollFlags::POLLOUT);
        let mut polled: Vec<PollFd<'_>> = begun.iter().map(|one| wanted(one.as_fd())).collect();
        match poll(&mut polled, left) {
            Ok(0) => break,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return Err(DialFailure::System),
        }
        let is_there = |one: &PollFd<'_>| one.revents().is_some_and(|events| !events.is_empty());
        let Some(index) = polled.iter().position(is_there) else {
            if is_late(until) {
                break;
            }
            continue;
        };
        let socket = begun.swap_remove(index);
        match getsockopt(&socket, sockopt::SocketError) {
            Ok(0) => return Ok(Some(socket)),
            Ok(errno) => last = Some(failure(Errno::from_raw(errno))),
            Err(errno) => last = Some(failure(errno)),
        }
    }
    last.map_or(Ok(None), Err)
}

fn failure(errno: Errno) -> DialFailure {
    match errno {
        Errno::ECONNREFUSED
        | Errno::ECONNRESET
        | Errno::EHOSTUNREACH
        | Errno::ENETUNREACH
        | Errno::EACCES
        | Errno::EPERM
        | Errno::EADDRNOTAVAIL
        | Errno::EINVAL => DialFailure::Refused,
        Errno::ETIMEDOUT => DialFailure::Late,
        _ => DialFailure::System,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn connect(endpoint: &Endpoint, deadline: Instant) -> Result<OwnedFd, DialFailure> {
        super::connect(addresses(endpoint)?, deadline)
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[test]
    fn an_address_and_a_name_are_connected_to() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "localhost"] {
            let endpoint = Endpoint::parse(&format!("{host}:{port}")).unwrap();
            assert!(connect(&endpoint, soon()).is_ok(), "{host}");
        }
    }

    #[test]
    fn nobody_there_is_refused_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let endpoint = Endpoint::parse(&format!("127.0.0.1:{port}")).unwrap();
        assert_eq!(
            connect(&endpoint, soon()).unwrap_err(),
            DialFailure::Refused
        );
    }

    #[test]
    fn a_name_that_nobody_has_has_no_address() {
        let endpoint = Endpoint::parse("nobody.invalid:1").unwrap();
        assert_eq!(
            connect(&endpoint, soon()).unwrap_err(),
            DialFailure::NoAddress
        );
    }

    #[test]
    fn one_that_does_not_answer_is_late_and_not_waited_for_longer() {
        // A queue of connections that nobody takes: the third and following hang.
        let listener = socket(
            AddressFamily::Inet,
            SockType::Stream,
            SockFlag::empty(),
            None,
        )
        .unwrap();
        let any = SockaddrStorage::from("127.0.0.1:0".parse::<SocketAddr>().unwrap());
        nix::sys::socket::bind(listener.as_raw_fd(), &any).unwrap();
        let one = nix::sys::socket::Backlog::new(0).unwrap();
        nix::sys::socket::listen(&listener, one).unwrap();
        let listener = TcpListener::from(listener);
        let address = listener.local_addr().unwrap();
        let endpoint = Endpoint::parse(&address.to_string()).unwrap();
        let mut kept = Vec::new();
        let late = (0..8).find_map(|_| {
            let deadline = Instant::now() + Duration::from_millis(300);
            match connect(&endpoint, deadline) {
                Ok(socket) => {
                    kept.push(socket);
                    None
                }
                Err(failure) => Some(failure),
            }
        });
        assert_eq!(late, Some(DialFailure::Late));
    }
}
