//! Why there is no spawner, or no worker.

use std::io;
use std::path::PathBuf;

/// Why there is no spawner, or no worker.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpawnError {
    #[error("cannot start {path}")]
    Spawner {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot read the worker program {path}")]
    Program {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "{path} is of another build; expected {expected}; hint: build and install daemon and workers together"
    )]
    Build {
        path: PathBuf,
        expected: &'static str,
    },
    #[error("cannot make a worker's sockets")]
    System(#[from] io::Error),
    #[error("there are {0} workers already; hint: unload a model, or raise limits.workers_max")]
    TooMany(usize),
    #[error("the spawner could not start a worker: {0}")]
    Failed(String),
    #[error("the spawner does not vouch for a worker: {0}")]
    Report(String),
    #[error("the spawner is gone")]
    Lost,
    #[error("the spawner did not start a worker in time")]
    Late,
}

// === impl SpawnError ===

impl SpawnError {
    /// Whether it is only that there are so many workers.
    pub(crate) fn is_for_want_of_room(&self) -> bool {
        matches!(self, Self::TooMany(_))
    }
}
