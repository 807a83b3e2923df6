//! Sockets that the service manager has opened: told apart by what they are, not by what a unit calls them, since one
//! socket unit gives all of its sockets one name.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{SockType, UnixAddr, getsockname, getsockopt, sockopt};
use nn_proto::{FD_SOCKET, GRPC_SOCKET};
use nn_service::Inherited;

/// Both, ready to be accepted from.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) grpc: OwnedFd,
    pub(super) fd: OwnedFd,
    /// Of the first.
    pub(super) path: PathBuf,
}

/// Why what was inherited is not a door.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfit {
    #[error(
        "the inherited descriptor {name:?} is {got}; expected the two listening Unix sockets {GRPC_SOCKET} (ListenStream) \
         and {FD_SOCKET} (ListenSequentialPacket)"
    )]
    Kind { name: String, got: String },
    #[error(
        "{got} sockets of kind {kind} were inherited; expected one; hint: see nn-daemon.socket"
    )]
    Count { kind: &'static str, got: usize },
    #[error(
        "the inherited sockets are {grpc} and {fd}; expected {GRPC_SOCKET} and {FD_SOCKET} in one directory, as clients \
         look for the second beside the first"
    )]
    Paths { grpc: PathBuf, fd: PathBuf },
    #[error("cannot set up the inherited socket {path}")]
    System {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

struct Socket {
    fd: OwnedFd,
    kind: SockType,
    path: PathBuf,
}

/// The two sockets, out of all that were passed.
pub(super) fn pair(inherited: Vec<Inherited>) -> Result<Pair, Unfit> {
    let (mut grpc, mut fds) = (Vec::new(), Vec::new());
    for one in inherited {
        let socket = look_at(one)?;
        if socket.kind == SockType::Stream {
            grpc.push(socket);
        } else {
            fds.push(socket);
        }
    }
    let grpc = only(grpc, "SOCK_STREAM (ListenStream)")?;
    let fd = only(fds, "SOCK_SEQPACKET (ListenSequentialPacket)")?;
    // The names are the protocol's: a client is told of the first and opens its sibling.
    if !grpc.path.ends_with(GRPC_SOCKET) || fd.path != grpc.path.with_file_name(FD_SOCKET) {
        return Err(Unfit::Paths {
            grpc: grpc.path,
            fd: fd.path,
        });
    }
    for socket in [&grpc, &fd] {
        unblock(&socket.fd).map_err(|source| Unfit::System {
            path: socket.path.clone(),
            source: source.into(),
        })?;
    }
    Ok(Pair {
        path: grpc.path,
        grpc: grpc.fd,
        fd: fd.fd,
    })
}

fn only(mut sockets: Vec<Socket>, kind: &'static str) -> Result<Socket, Unfit> {
    let got = sockets.len();
    match sockets.pop() {
        Some(socket) if got == 1 => Ok(socket),
        _ => Err(Unfit::Count { kind, got }),
    }
}

fn look_at(inherited: Inherited) -> Result<Socket, Unfit> {
    let Inherited { name, fd } = inherited;
    let unfit = |got: &str| Unfit::Kind {
        name: name.clone(),
        got: got.to_owned(),
    };
    let kind = getsockopt(&fd, sockopt::SockType).map_err(|_| unfit("no socket"))?;
    if kind != SockType::Stream && kind != SockType::SeqPacket {
        return Err(unfit("a socket of another kind"));
    }
    if getsockopt(&fd, sockopt::AcceptConn) != Ok(true) {
        return Err(unfit("a socket that does not listen"));
    }
    let address = getsockname::<UnixAddr>(fd.as_fd().as_raw_fd());
    let path = address
        .ok()
        .and_then(|address| address.path().map(Path::to_owned))
        .ok_or_else(|| unfit("a socket without a path"))?;
    Ok(Socket { fd, kind, path })
}

fn unblock(fd: &OwnedFd) -> nix::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).map(drop)
}

#[cfg(test)]
pub(super) mod tests {
    use nix::sys::socket::{AddressFamily, Backlog, SockFlag, bind, listen, socket};

    use super::*;

    fn listening(kind: SockType, path: &Path) -> Inherited {
        let fd = socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(fd.as_raw_fd(), &UnixAddr::new(path).unwrap()).unwrap();
        listen(&fd, Backlog::new(1).unwrap()).unwrap();
        Inherited {
            name: "nn-daemon".to_owned(),
            fd,
        }
    }

    /// The right ones.
    pub(in crate::listen) fn pair_in(dir: &Path) -> Vec<Inherited> {
        vec![
            listening(SockType::SeqPacket, &dir.join(FD_SOCKET)),
            listening(SockType::Stream, &dir.join(GRPC_SOCKET)),
        ]
    }

    #[test]
    fn the_two_sockets_are_known_in_any_order() {
        let dir = tempfile::tempdir().unwrap();
        let pair = pair(pair_in(dir.path())).unwrap();
        assert_eq!(pair.path, dir.path().join(GRPC_SOCKET));
    }

    #[test]
    fn one_socket_alone_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let one = pair_in(dir.path()).split_off(1);
        assert!(matches!(pair(one), Err(Unfit::Count { got: 0, .. })));
    }

    #[test]
    fn sockets_under_other_names_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let sockets = vec![
            listening(SockType::SeqPacket, &dir.path().join(FD_SOCKET)),
            listening(SockType::Stream, &dir.path().join("grpc.sock")),
        ];
        assert!(matches!(pair(sockets), Err(Unfit::Paths { .. })));
    }

    #[test]
    fn what_is_no_listening_unix_socket_is_refused() {
        let file = Inherited {
            name: "stored".to_owned(),
            fd: tempfile::tempfile().unwrap().into(),
        };
        assert!(matches!(pair(vec![file]), Err(Unfit::Kind { .. })));
        let (end, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let connected = Inherited {
            name: "nn-daemon".to_owned(),
            fd: end.into(),
        };
        assert!(matches!(pair(vec![connected]), Err(Unfit::Kind { .. })));
    }
}
