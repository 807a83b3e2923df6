//! Why a worker ends, and the code that tells it. The table is in `main.rs`.

use std::error::Error as _;
use std::io;

use nn_backend::BackendError;
use nn_sandbox::{ApplyError, WorldError};
use nn_worker_wire::status;

/// Why a worker ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Exit {
    #[error("the daemon has no further use for this worker")]
    Clean,
    #[error("not started as a worker: {0}")]
    Usage(String),
    #[error("{0}: {detail}", detail = .1.as_deref().unwrap_or("no details"))]
    Framework(String, Option<String>),
    #[error("{call} failed: {source}")]
    System {
        call: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("{0}: {source}", source = .0.source)]
    Jail(#[from] ApplyError),
    #[error("{0}: {source}", source = .0.source().map(ToString::to_string).unwrap_or_default())]
    World(#[from] WorldError),
    #[error("the daemon broke the protocol: {0}")]
    Protocol(String),
}

// === impl Exit ===

impl Exit {
    /// The process's exit code.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Usage(_) => 64,
            Self::Framework(..) => status::FRAMEWORK,
            Self::System { .. } => 71,
            Self::Jail(_) | Self::World(_) => status::JAIL,
            Self::Protocol(_) => 76,
        }
    }

    /// A system call that failed.
    pub(crate) fn system<E: Into<io::Error>>(call: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::System {
            call,
            source: source.into(),
        }
    }

    /// A frame or descriptor that should not have come.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "so that `map_err` can take it by name"
    )]
    pub(crate) fn protocol(what: impl ToString) -> Self {
        Self::Protocol(what.to_string())
    }
}

impl From<BackendError> for Exit {
    fn from(error: BackendError) -> Self {
        let (fault, detail) = error.split();
        Self::Framework(fault.message, Some(detail))
    }
}
