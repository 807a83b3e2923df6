//! Why `nn-host serve` cannot begin.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use nn_service::InheritError;
use nn_tensor::{Fault, ModelRef, Tenant};

use crate::exit::CausedBy;
use crate::serve::document::Mistake;

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
    /// It says what it may not.
    #[error(transparent)]
    Mistake(#[from] Mistake),
    /// It is said twice what to serve.
    #[error("the file has routes, and the command line a guest or a tenant")]
    GuestAndRoutes,
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
    /// A component that cannot be compiled or linked.
    #[error("the guest {} cannot be run", path.display())]
    Unfit {
        path: PathBuf,
        #[source]
        source: CausedBy,
    },
    /// A core module.
    #[error("the guest {} is a core module; expected a component", .0.display())]
    NotComponent(PathBuf),
    /// A component that answers no HTTP.
    #[error("the guest {} does not answer HTTP", path.display())]
    NotProxy {
        path: PathBuf,
        #[source]
        source: CausedBy,
    },
    /// A component of many memories.
    #[error("the guest {} has {got} memories; expected at most {max}", path.display())]
    Memories { path: PathBuf, got: u32, max: u32 },
    /// A model that a route lists is not there, or not in time.
    #[error("the model {model} of the route {route} is not ready for tenant {tenant} (waited {} s at most)", waited.as_secs_f32())]
    NotReady {
        route: String,
        tenant: Tenant,
        model: ModelRef,
        waited: Duration,
        #[source]
        fault: Box<Fault>,
    },
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
            Self::Mistake(_) | Self::GuestAndRoutes | Self::NoGuest | Self::NoAddress => true,
            Self::File { .. }
            | Self::Listen { .. }
            | Self::Inherit(_)
            | Self::NotListening { .. }
            | Self::TooMany(_)
            | Self::Unfit { .. }
            | Self::NotComponent(_)
            | Self::NotProxy { .. }
            | Self::Memories { .. }
            | Self::NotReady { .. }
            | Self::Thread(_)
            | Self::Signals(_) => false,
        }
    }

    /// What to do about it; may be empty.
    pub(crate) fn hint(&self) -> &str {
        match self {
            Self::Mistake(mistake) => &mistake.hint,
            Self::GuestAndRoutes => "leave the guest and --tenant away, or the routes",
            Self::NotReady { fault, .. } => &fault.hint,
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
            Self::NotComponent(_) | Self::NotProxy { .. } => {
                "a component that exports wasi:http/incoming-handler@0.2 and imports no more than WASI 0.2, \
                 wasi:http and wasi:nn is what fits"
            }
            Self::File { .. }
            | Self::Unfit { .. }
            | Self::Memories { .. }
            | Self::Listen { .. }
            | Self::Inherit(_)
            | Self::Thread(_)
            | Self::Signals(_) => "",
        }
    }
}
