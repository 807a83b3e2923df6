//! Why a process ends, and the code that tells it. The table is in the programs' `main.rs`.

use std::error::Error as _;
use std::io;

use nn_sandbox::{ApplyError, WorldError};
use nn_worker_wire::status;

/// Why a process ends.
#[derive(Debug, thiserror::Error)]
pub enum Exit {
    /// Bye, or the end of the control socket.
    #[error("the daemon has no further use for this process")]
    Clean,
    /// Arguments, environment or descriptors are not the spawner's.
    #[error("not started by nn-spawner: {0}")]
    Usage(String),
    /// What it computes with did not come up: our own words, and what was said.
    #[error("{0}: {detail}", detail = .1.as_deref().unwrap_or("no details"))]
    Framework(String, Option<String>),
    /// A system call that it cannot do without.
    #[error("{call} failed: {source}")]
    System {
        /// Which.
        call: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A step of the jail.
    #[error("{0}: {source}", source = .0.source)]
    Jail(#[from] ApplyError),
    /// What the jail is to be made of.
    #[error("{0}: {source}", source = .0.source().map(ToString::to_string).unwrap_or_default())]
    World(#[from] WorldError),
    /// A frame that cannot be read, or that should not have come.
    #[error("the daemon broke the protocol: {0}")]
    Protocol(String),
}

// === impl Exit ===

impl Exit {
    /// The process's exit code.
    #[must_use]
    pub fn code(&self) -> u8 {
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
    pub fn system<E: Into<io::Error>>(call: &'static str) -> impl FnOnce(E) -> Self {
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
    pub fn protocol(what: impl ToString) -> Self {
        Self::Protocol(what.to_string())
    }
}
