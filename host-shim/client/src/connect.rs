//! From a socket's path to a gRPC channel, and what to tell people when there is none. One channel is
//! one connection: it is never re-made behind the back of whoever holds it.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use nn_tensor::{Code, Fault};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tonic::transport::{Channel, Endpoint};

use crate::fault;
use crate::sync::lock;

/// Longest time to connect.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Between two attempts at a socket whose queue of connections is full.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(5);

/// A connection without traffic is asked for a sign of life so often, and given up after so long.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);

const SYSTEM_SOCKET: &str = "/run/nn-daemon/nn.sock";

/// Why there is no session with the daemon.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The socket's file does not exist.
    #[error("there is no socket at {}", path.display())]
    NoSocket {
        /// The socket.
        path: PathBuf,
    },
    /// The file is there, but nobody listens: left over from a daemon that died.
    #[error("nobody listens on {}", path.display())]
    Stale {
        /// The socket.
        path: PathBuf,
    },
    /// This user may not use it.
    #[error("no permission to connect to {}", path.display())]
    Denied {
        /// The socket.
        path: PathBuf,
    },
    /// Nobody answered in time.
    #[error("nothing answered on {} within {} ms", path.display(), waited.as_millis())]
    Timeout {
        /// The socket.
        path: PathBuf,
        /// How long was waited.
        waited: Duration,
    },
    /// The system failed in another way.
    #[error("cannot connect to {}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// Somebody answered, but not in gRPC.
    #[error("whoever listens on {} does not speak gRPC", path.display())]
    Transport {
        /// The socket.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: tonic::transport::Error,
    },
    /// The daemon answered and said no.
    #[error("nn-daemon refused the session: {}", .0.message)]
    Refused(Box<Fault>),
}

/// The daemon's socket: `flag` if given, else `NN_SOCKET`, else `$XDG_RUNTIME_DIR/nn-daemon/nn.sock` if
/// that exists, else `/run/nn-daemon/nn.sock`.
#[must_use]
pub fn socket_path(flag: Option<&Path>) -> PathBuf {
    resolve(
        flag,
        env::var_os("NN_SOCKET").map(PathBuf::from),
        env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from),
    )
}

fn resolve(flag: Option<&Path>, named: Option<PathBuf>, runtime_dir: Option<PathBuf>) -> PathBuf {
    let given = |path: &PathBuf| !path.as_os_str().is_empty();
    let in_session = runtime_dir
        .filter(given)
        .map(|dir| dir.join("nn-daemon").join(nn_proto::GRPC_SOCKET));
    flag.map(Path::to_path_buf)
        .or(named.filter(given))
        .or(in_session.filter(|path| path.exists()))
        .unwrap_or_else(|| PathBuf::from(SYSTEM_SOCKET))
}

/// Connects to a daemon's gRPC socket, within 2 s. The channel does not connect a second time: once it
/// is lost, every call on it fails.
pub async fn channel(socket: &Path) -> Result<Channel, ConnectError> {
    let path = || socket.to_path_buf();
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    let late = || ConnectError::Timeout {
        path: path(),
        waited: CONNECT_TIMEOUT,
    };
    let stream = loop {
        let attempt = timeout_at(deadline, UnixStream::connect(socket));
        match attempt.await.map_err(|_| late())? {
            Ok(stream) => break stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                sleep(QUEUE_FULL_PAUSE).await;
            }
            Err(error) => return Err(refused(socket, error)),
        }
    };
    let once = Arc::new(Mutex::new(Some(stream)));
    let connector = tower::service_fn(move |_| {
        let stream = lock(&once).take().map(TokioIo::new);
        let gone = || io::Error::new(io::ErrorKind::NotConnected, "the connection was lost");
        std::future::ready(stream.ok_or_else(gone))
    });
    let endpoint = Endpoint::from_static("http://nn-daemon")
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true);
    timeout(CONNECT_TIMEOUT, endpoint.connect_with_connector(connector))
        .await
        .map_err(|_| late())?
        .map_err(|source| ConnectError::Transport {
            path: path(),
            source,
        })
}

/// What a failed `connect` says of the daemon.
pub(crate) fn refused(socket: &Path, source: io::Error) -> ConnectError {
    let path = socket.to_path_buf();
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ConnectError::NoSocket { path },
        io::ErrorKind::ConnectionRefused => ConnectError::Stale { path },
        io::ErrorKind::PermissionDenied => ConnectError::Denied { path },
        _ => ConnectError::Io { path, source },
    }
}

// === impl ConnectError ===

impl ConnectError {
    pub(crate) fn from_daemon(fault: Fault) -> Self {
        Self::Refused(Box::new(fault))
    }

    /// What the daemon said, if it was the daemon that said no.
    pub(crate) fn refusal(&self) -> Option<&Fault> {
        match self {
            Self::Refused(fault) => Some(fault),
            Self::NoSocket { .. }
            | Self::Stale { .. }
            | Self::Denied { .. }
            | Self::Timeout { .. }
            | Self::Io { .. }
            | Self::Transport { .. } => None,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoSocket { .. } => {
                "is nn-daemon running? Name its socket by --socket or NN_SOCKET; \
                 `nn-host run --spawn-daemon` starts a private one"
                    .to_owned()
            }
            Self::Stale { .. } => "nn-daemon seems to have died; start it again".to_owned(),
            // The directory: who may not enter it cannot ask whose the socket is.
            Self::Denied { path } => {
                let dir = path.parent().unwrap_or(path).display();
                format!(
                    "join the group of {dir} (`stat -c %G {dir}`; nn-clients, as installed), then log in again"
                )
            }
            Self::Timeout { .. } => {
                "nn-daemon is overloaded or stopped; its log says more".to_owned()
            }
            Self::Io { .. } => "is nn-daemon running, and is that its socket?".to_owned(),
            Self::Transport { .. } => "is that nn-daemon's nn.sock, and not fd.sock?".to_owned(),
            Self::Refused(fault) => fault.hint.clone(),
        }
    }

    /// Whether trying again at once is of no use: the answer will be the same.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Denied { .. } => true,
            Self::Refused(fault) => !matches!(fault.code, Code::Busy | Code::Leaving),
            Self::NoSocket { .. }
            | Self::Stale { .. }
            | Self::Timeout { .. }
            | Self::Io { .. }
            | Self::Transport { .. } => false,
        }
    }
}

/// For a guest, who is told neither paths nor the system's texts.
impl From<ConnectError> for Fault {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Refused(fault) => *fault,
            ConnectError::NoSocket { .. }
            | ConnectError::Stale { .. }
            | ConnectError::Denied { .. }
            | ConnectError::Timeout { .. }
            | ConnectError::Io { .. }
            | ConnectError::Transport { .. } => fault::unreachable(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_wins_over_the_environment() {
        let path = resolve(Some(Path::new("/a")), Some("/b".into()), Some("/c".into()));
        assert_eq!(path, Path::new("/a"));
    }

    #[test]
    fn an_empty_variable_is_as_good_as_none() {
        let path = resolve(None, Some("".into()), Some("".into()));
        assert_eq!(path, Path::new(SYSTEM_SOCKET));
    }

    #[test]
    fn the_users_socket_is_taken_where_there_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let runtime_dir = || Some(dir.path().to_path_buf());
        assert_eq!(resolve(None, None, runtime_dir()), Path::new(SYSTEM_SOCKET));
        let socket = dir.path().join("nn-daemon").join("nn.sock");
        std::fs::create_dir(dir.path().join("nn-daemon")).unwrap();
        std::fs::write(&socket, "").unwrap();
        assert_eq!(resolve(None, None, runtime_dir()), socket);
        assert_eq!(
            resolve(None, Some("/b".into()), runtime_dir()),
            Path::new("/b")
        );
    }

    #[tokio::test]
    async fn a_missing_socket_and_a_stale_one_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nn.sock");
        assert!(matches!(
            channel(&path).await,
            Err(ConnectError::NoSocket { .. })
        ));
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let stale = channel(&path).await.unwrap_err();
        assert!(matches!(stale, ConnectError::Stale { .. }));
        assert!(stale.hint().contains("start it again"));
    }

    #[test]
    fn a_guest_is_told_no_path() {
        let error = ConnectError::NoSocket {
            path: "/run/x/nn.sock".into(),
        };
        assert!(!Fault::from(error).to_string().contains('/'));
    }
}
