//! The frames between daemon and spawner.

use bincode::{Decode, Encode};

/// What the daemon tells the spawner.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ToSpawner {
    /// First: the worker program comes along as a descriptor to read it from. The spawner copies it
    /// into sealed memory; later changes of the file do not matter.
    Program,
    /// Start a worker. Along come two descriptors: its end of the control socket, and the pipe for its log.
    Spawn {
        /// Names the worker in what follows; never used twice.
        worker: u32,
    },
    /// Kill a worker by SIGKILL. Not an error when it has ended already.
    Kill {
        /// The worker.
        worker: u32,
    },
}

/// What the spawner tells the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum FromSpawner {
    /// The worker runs, or could not be started.
    Spawned {
        /// The worker.
        worker: u32,
        /// Its process id; else what failed, for the log.
        result: Result<u32, String>,
    },
    /// A worker has ended and been waited for.
    Exited {
        /// The worker.
        worker: u32,
        /// How.
        end: End,
    },
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum End {
    /// By itself, with this status.
    Exit(i32),
    /// By this signal.
    Signal(i32),
}
