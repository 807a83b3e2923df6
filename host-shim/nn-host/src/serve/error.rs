//! Why `nn-host serve` cannot begin.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use nn_service::InheritError;

use crate::exit::CausedBy;

/// Why `nn-host serve` cannot begin. What happens to single requests is in `refusal.rs`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    /// The file with settings cannot be read.
    #[error("cannot read the configuration {}", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// It does not say what it may.
    #[error("the configuration {} is wrong", path.display())]
    Text {
        path: PathBuf,
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A bound is out of bounds.
    #[error("limits.{key} is {got}; expected {min} to {max}")]
    Limit {
        key: &'static str,
        got: u64,
        min: u64,
        max: u64,
    },
    /// A variable for the guest that no environment can hold.
    #[error("env.{0:?} is no name of a variable")]
    Variable(String),
    /// It is said nowhere what to serve.
    #[error("there is no guest to serve")]
    NoGuest,
    /// It is said nowhere where to listen.
    #[error("there is no address to listen on")]
    NoAddress,
    /// The address cannot be had.
    #[error("cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    /// What the service manager hands over is not to be had.
    #[error(transparent)]
    Inherit(#[from] InheritError),
    /// It hands over something else.
    #[error("the inherited descriptor {name:?} is no listening TCP socket")]
    NotListening { name: String },
    /// It hands over more than one.
    #[error("{0} sockets are inherited; expected one")]
    TooMany(usize),
    /// A core module.
    #[error("the guest is a core module; expected a component")]
    NotComponent,
    /// A component that answers no HTTP.
    #[error("the guest does not answer HTTP")]
    NotProxy(#[source] CausedBy),
    /// The thread that talks to the service manager cannot be started.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    /// Signals cannot be waited for.
    #[error("signals cannot be waited for")]
    Signals(#[source] io::Error),
}

// === impl ServeError ===

impl ServeError {
    /// Whether the command line or the file is to blame.
    pub(crate) fn is_usage(&self) -> bool {
        match self {
            Self::Text { .. }
            | Self::Limit { .. }
            | Self::Variable(_)
            | Self::NoGuest
            | Self::NoAddress => true,
            Self::File { .. }
            | Self::Listen { .. }
            | Self::Inherit(_)
            | Self::NotListening { .. }
            | Self::TooMany(_)
            | Self::NotComponent
            | Self::NotProxy(_)
            | Self::Thread(_)
            | Self::Signals(_) => false,
        }
    }

    /// What to do about it; may be empty.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::NoGuest => {
                "name it as the last argument, or by `component` in the file of --config"
            }
            Self::NoAddress => {
                "--listen 127.0.0.1:8080, or `listen` in the file of --config, or a socket unit"
            }
            Self::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
                "something else listens there; `ss -ltnp` shows what"
            }
            Self::Listen { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "ports below 1024 are for root: take a higher one, or let a socket unit open it"
            }
            Self::NotListening { .. } => "ListenStream=ADDR:PORT in the socket unit is what fits",
            Self::TooMany(_) => "one ListenStream= in the socket unit",
            Self::NotComponent | Self::NotProxy(_) => {
                "a component that exports wasi:http/incoming-handler@0.2 and imports no more than WASI 0.2, \
                 wasi:http and wasi:nn is what fits"
            }
            Self::Text { .. }
            | Self::File { .. }
            | Self::Limit { .. }
            | Self::Variable(_)
            | Self::Listen { .. }
            | Self::Inherit(_)
            | Self::Thread(_)
            | Self::Signals(_) => "",
        }
    }
}
