//! The two sockets at the door: made in a private directory, never stolen from whoever listens there; or made by the
//! service manager, which keeps them while the daemon is away (`listen/inherit.rs`).

mod inherit;

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, socket,
};
use nn_proto::{FD_SOCKET, GRPC_SOCKET};
use nn_service::Inherited;
use tokio::net::UnixListener;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// File name of the lock in the runtime directory.
const LOCK: &str = "lock";

/// Both listeners. Dropping this removes the socket files that it made.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) grpc: UnixListener,
    /// A SOCK_SEQPACKET listener; `accept` is the same for both kinds.
    pub(crate) fd: UnixListener,
    /// Where clients find the first; the other is its sibling.
    pub(crate) path: PathBuf,
    _files: Files,
}

#[derive(Debug)]
struct Files {
    /// The lock file, and the sockets that are not the service manager's.
    paths: Vec<PathBuf>,
    /// Held as long as the daemon lives: whoever has it owns the sockets.
    _lock: File,
}

/// Why the door could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    #[error("cannot {what} {path}")]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "another nn-daemon uses {0}; hint: stop it, or use other directories (--runtime-dir, --state-dir)"
    )]
    Taken(PathBuf),
    #[error(
        "somebody listens on {0} already: systemd, for nn-daemon.socket, or another program; hint: let systemd start the \
         daemon (systemctl start nn-daemon), or use other directories (--runtime-dir, --state-dir)"
    )]
    Listening(PathBuf),
    #[error(
        "{0} is there and is no socket; hint: remove it, or use another directory (--runtime-dir)"
    )]
    NoSocket(PathBuf),
    #[error(transparent)]
    Inherited(#[from] inherit::Unfit),
}

fn failed<E: Into<io::Error>>(what: &'static str, path: &Path) -> impl FnOnce(E) -> ListenError {
    let path = path.to_owned();
    move |source| ListenError::Io {
        what,
        path,
        source: source.into(),
    }
}

/// A socket file that nobody listens on is what a daemon left that died: it may be replaced. Anything else may not.
fn check_stale(path: &Path, kind: SockType) -> Result<(), ListenError> {
    let Ok(there) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !there.file_type().is_socket() {
        return Err(ListenError::NoSocket(path.to_owned()));
    }
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let probe = socket(AddressFamily::Unix, kind, flags, None)
        .map_err(failed("make a socket for", path))?;
    let address = UnixAddr::new(path).map_err(failed("name a socket", path))?;
    match connect(std::os::fd::AsRawFd::as_raw_fd(&probe), &address) {
        // Removed in between, or left behind.
        Err(nix::Error::ECONNREFUSED | nix::Error::ENOENT) => Ok(()),
        // Also one of the other kind, one with a full queue, one that we may not use.
        Ok(()) | Err(_) => Err(ListenError::Listening(path.to_owned())),
    }
}

/// Binds a fresh socket under a temporary name and moves it into place, so that a client finds
/// either the old socket or one that listens.
fn listener(path: &Path, kind: SockType) -> Result<UnixListener, ListenError> {
    check_stale(path, kind)?;
    let unfinished = path.with_extension("new");
    let _ = fs::remove_file(&unfinished);
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd: OwnedFd = socket(AddressFamily::Unix, kind, flags, None)
        .map_err(failed("make a socket for", path))?;
    let address = UnixAddr::new(&unfinished).map_err(failed("name a socket", path))?;
    bind(std::os::fd::AsRawFd::as_raw_fd(&fd), &address).map_err(failed("bind", path))?;
    fs::set_permissions(&unfinished, Permissions::from_mode(0o660))
        .map_err(failed("set the mode of", path))?;
    let backlog = Backlog::new(BACKLOG).map_err(failed("listen on", path))?;
    listen(&fd, backlog).map_err(failed("listen on", path))?;
    fs::rename(&unfinished, path).map_err(failed("move into place", path))?;
    UnixListener::from_std(fd.into()).map_err(failed("watch", path))
}

/// No client has a descriptor to give. Where the kernel cannot refuse them, they are dropped as they come, and one whose
/// end takes long holds the daemon up that long.
fn refuse_descriptors(socket: BorrowedFd<'_>, path: &Path) -> Result<(), ListenError> {
    let refused =
        nn_shm::fds::refuse_descriptors(socket).map_err(failed("set options of", path))?;
    if !refused {
        tracing::info!("this kernel cannot refuse descriptors that clients send (Linux 6.16 can)");
    }
    Ok(())
}

/// Takes the directory's lock. A file that was removed between opening and locking it is nobody's
/// lock: then the next one is tried.
pub(crate) fn lock(dir: &Path) -> Result<File, ListenError> {
    let path = dir.join(LOCK);
    loop {
        let options = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .clone();
        let file = options.open(&path).map_err(failed("open", &path))?;
        file.try_lock()
            .map_err(|_| ListenError::Taken(dir.to_owned()))?;
        let same = |now: fs::Metadata| file.metadata().is_ok_and(|own| own.ino() == now.ino());
        if fs::metadata(&path).is_ok_and(same) {
            return Ok(file);
        }
    }
}

impl Door {
    /// Opens both sockets in `dir`, which is made (mode 0750) if need be; or takes those that the service manager has
    /// opened, wherever they are. Sockets left by a daemon that died are replaced; those of one that lives are not.
    pub(crate) fn open(dir: &Path, inherited: Vec<Inherited>) -> Result<Self, ListenError> {
        if !dir.is_dir() {
            fs::create_dir_all(dir).map_err(failed("make", dir))?;
            fs::set_permissions(dir, Permissions::from_mode(0o750))
                .map_err(failed("set the mode of", dir))?;
        }
        let held = lock(dir)?;
        let mut paths = vec![dir.join(LOCK)];
        let (grpc, fd, path) = if inherited.is_empty() {
            let (grpc, fd) = (dir.join(GRPC_SOCKET), dir.join(FD_SOCKET));
            // The descriptor socket first: who sees the gRPC socket may use both.
            let listeners = (
                listener(&fd, SockType::SeqPacket)?,
                listener(&grpc, SockType::Stream)?,
            );
            paths.extend([grpc.clone(), fd]);
            (listeners.1, listeners.0, grpc)
        } else {
            let pair = inherit::pair(inherited)?;
            let watch = |fd: OwnedFd| {
                UnixListener::from_std(fd.into()).map_err(failed("watch", &pair.path))
            };
            (watch(pair.grpc)?, watch(pair.fd)?, pair.path.clone())
        };
        for socket in [&grpc, &fd] {
            refuse_descriptors(socket.as_fd(), &path)?;
        }
        Ok(Self {
            grpc,
            fd,
            path,
            _files: Files { paths, _lock: held },
        })
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for path in &self.paths {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(dir: &Path) -> Result<Door, ListenError> {
        Door::open(dir, Vec::new())
    }

    #[tokio::test]
    async fn a_second_daemon_is_refused_and_a_dead_ones_sockets_are_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let first = open(dir.path()).unwrap();
        assert!(matches!(open(dir.path()), Err(ListenError::Taken(_))));
        drop(first);
        assert!(!dir.path().join(GRPC_SOCKET).exists());

        let left = std::os::unix::net::UnixListener::bind(dir.path().join(GRPC_SOCKET)).unwrap();
        drop(left);
        let second = open(dir.path());
        assert!(second.is_ok(), "{second:?}");
    }

    #[tokio::test]
    async fn a_socket_that_somebody_listens_on_is_left_alone_though_nobody_holds_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(GRPC_SOCKET);
        let _manager = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(matches!(open(dir.path()), Err(ListenError::Listening(p)) if p == path));
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(GRPC_SOCKET), "mine").unwrap();
        assert!(matches!(open(dir.path()), Err(ListenError::NoSocket(_))));
        assert_eq!(fs::read(dir.path().join(GRPC_SOCKET)).unwrap(), b"mine");
    }

    #[tokio::test]
    async fn inherited_sockets_are_served_and_stay_when_the_daemon_ends() {
        let (sockets, runtime) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let inherited = inherit::tests::pair_in(sockets.path());
        let door = Door::open(runtime.path(), inherited).unwrap();
        assert_eq!(door.path, sockets.path().join(GRPC_SOCKET));
        drop(door);
        assert!(sockets.path().join(GRPC_SOCKET).exists());
        assert!(sockets.path().join(FD_SOCKET).exists());
        assert!(!runtime.path().join(LOCK).exists());
    }
}
