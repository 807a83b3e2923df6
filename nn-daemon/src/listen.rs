//! The two sockets at the door: made in a private directory, never stolen from a daemon that lives.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket,
};
use nn_proto::{FD_SOCKET, GRPC_SOCKET};
use tokio::net::UnixListener;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// File name of the lock in the runtime directory.
const LOCK: &str = "lock";

/// Both listeners. Dropping this removes the socket files.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) grpc: UnixListener,
    /// A SOCK_SEQPACKET listener; `accept` is the same for both kinds.
    pub(crate) fd: UnixListener,
    _files: Files,
}

#[derive(Debug)]
struct Files {
    /// The sockets and the lock file.
    paths: [PathBuf; 3],
    /// Held as long as the daemon lives: whoever has it owns the sockets.
    _lock: Flock<File>,
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
}

fn failed<E: Into<io::Error>>(what: &'static str, path: &Path) -> impl FnOnce(E) -> ListenError {
    let path = path.to_owned();
    move |source| ListenError::Io {
        what,
        path,
        source: source.into(),
    }
}

/// Binds a fresh socket under a temporary name and moves it into place, so that a client finds
/// either the old socket or one that listens.
fn listener(path: &Path, kind: SockType) -> Result<UnixListener, ListenError> {
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

/// Takes the directory's lock. A file that was removed between opening and locking it is nobody's
/// lock: then the next one is tried.
pub(crate) fn lock(dir: &Path) -> Result<Flock<File>, ListenError> {
    let path = dir.join(LOCK);
    loop {
        let options = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .clone();
        let file = options.open(&path).map_err(failed("open", &path))?;
        let held = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|_| ListenError::Taken(dir.to_owned()))?;
        let same = |now: fs::Metadata| held.metadata().is_ok_and(|own| own.ino() == now.ino());
        if fs::metadata(&path).is_ok_and(same) {
            return Ok(held);
        }
    }
}

impl Door {
    /// Opens both sockets in `dir`, which is made (mode 0750) if need be. Sockets left by a daemon
    /// that died are replaced; those of one that lives are not.
    pub(crate) fn open(dir: &Path) -> Result<Self, ListenError> {
        if !dir.is_dir() {
            fs::create_dir_all(dir).map_err(failed("make", dir))?;
            fs::set_permissions(dir, Permissions::from_mode(0o750))
                .map_err(failed("set the mode of", dir))?;
        }
        let held = lock(dir)?;
        let paths = [dir.join(GRPC_SOCKET), dir.join(FD_SOCKET), dir.join(LOCK)];
        let [grpc, fd, _] = &paths;
        // The descriptor socket first: who sees the gRPC socket may use both.
        let fd = listener(fd, SockType::SeqPacket)?;
        let grpc = listener(grpc, SockType::Stream)?;
        Ok(Self {
            grpc,
            fd,
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

    #[tokio::test]
    async fn a_second_daemon_is_refused_and_a_dead_ones_sockets_are_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let first = Door::open(dir.path()).unwrap();
        assert!(matches!(Door::open(dir.path()), Err(ListenError::Taken(_))));
        drop(first);
        assert!(!dir.path().join(GRPC_SOCKET).exists());

        fs::write(dir.path().join(GRPC_SOCKET), "left behind").unwrap();
        let second = Door::open(dir.path());
        assert!(second.is_ok(), "{second:?}");
    }
}
