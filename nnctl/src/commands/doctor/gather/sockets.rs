//! Looks at the two sockets and knocks at each. It never waits: a queue that is full is a finding.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use nn_proto::FD_SOCKET;

use super::super::facts::{Door, Knock, Me, Socket, SocketFile};
use super::machine;

pub(super) fn door(path: &Path, by_flag: bool, me: &Me) -> Door {
    Door {
        because: because(path, by_flag),
        grpc: look(path.to_owned(), SockType::Stream, me),
        fd: look(path.with_file_name(FD_SOCKET), SockType::SeqPacket, me),
    }
}

/// Why it is this one, by the order in which every client looks.
fn because(path: &Path, by_flag: bool) -> &'static str {
    let names = |variable: &str| env::var_os(variable).filter(|value| !value.is_empty());
    let in_session = names("XDG_RUNTIME_DIR").map(PathBuf::from);
    if by_flag {
        "by --socket"
    } else if names("NN_SOCKET").is_some() {
        "by NN_SOCKET"
    } else if in_session.is_some_and(|dir| path.starts_with(dir)) {
        "there is one in XDG_RUNTIME_DIR"
    } else {
        "nothing names another"
    }
}

fn look(path: PathBuf, kind: SockType, me: &Me) -> Socket {
    let file = match fs::metadata(&path) {
        Ok(metadata) if metadata.file_type().is_socket() => {
            let (group, listed) = machine::group(metadata.gid(), &me.name);
            SocketFile::Socket {
                owner: machine::user(metadata.uid()),
                group,
                mode: metadata.mode() & 0o7777,
                listed,
                knock: knock(&path, kind),
            }
        }
        Ok(_) => SocketFile::Other,
        Err(error) => match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => SocketFile::Absent,
            ErrorKind::PermissionDenied => SocketFile::Hidden,
            _ => SocketFile::Failed(error.to_string()),
        },
    };
    Socket { path, file }
}

fn knock(path: &Path, kind: SockType) -> Knock {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let connected = socket(AddressFamily::Unix, kind, flags, None)
        .and_then(|fd| connect(fd.as_raw_fd(), &UnixAddr::new(path)?));
    match connected {
        Ok(()) => Knock::Accepted,
        Err(Errno::ECONNREFUSED) => Knock::Stale,
        Err(Errno::EACCES | Errno::EPERM) => Knock::Denied,
        Err(Errno::EPROTOTYPE) => Knock::WrongKind,
        Err(Errno::EAGAIN) => Knock::Full,
        Err(error) => Knock::Failed(error.desc().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn each_way_in_which_a_socket_can_fail_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nn.sock");
        let me = machine::me();
        let knocked = |kind| match look(path.clone(), kind, &me).file {
            SocketFile::Socket { knock, .. } => Some(knock),
            _ => None,
        };
        assert_eq!(knocked(SockType::Stream), None);
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(knocked(SockType::Stream), Some(Knock::Accepted));
        assert_eq!(knocked(SockType::SeqPacket), Some(Knock::WrongKind));
        drop(listener);
        assert_eq!(knocked(SockType::Stream), Some(Knock::Stale));
    }

    #[test]
    fn a_file_is_no_socket() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nn.sock");
        fs::write(&path, "").unwrap();
        let looked = look(path, SockType::Stream, &machine::me());
        assert!(matches!(looked.file, SocketFile::Other), "{looked:?}");
    }
}
