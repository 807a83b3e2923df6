//! The frames between daemon and spawner.

use bincode::{Decode, Encode};

/// What the daemon tells the spawner.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ToSpawner {
    /// First: the worker program comes along as a descriptor to read it from. The spawner copies it
    /// into sealed memory; later changes of the file do not matter.
    Program {
        /// Workers get a uid of their own from here on, where the spawner may give one.
        uid_first: u32,
    },
    /// Try whether a process can be started in these new namespaces, and in the control group whose directory comes
    /// along, if one does. Answered by [`FromSpawner::Tried`].
    Try {
        /// `CLONE_NEW*`, or-ed.
        namespaces: u64,
    },
    /// Start a worker. Along come two descriptors: its end of the control socket, and the pipe for its log; and a third
    /// where it is to be born into a control group: that group's directory.
    Spawn {
        /// Names the worker in what follows; never used twice.
        worker: u32,
        /// The new namespaces it starts in: `CLONE_NEW*`, or-ed.
        namespaces: u64,
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
    /// Whether it worked.
    Tried {
        /// As asked.
        namespaces: u64,
        /// Whether workers get uids of their own.
        own_uids: bool,
        /// Else what failed.
        result: Result<(), String>,
    },
    /// The worker runs, or could not be started.
    Spawned {
        /// The worker.
        worker: u32,
        /// Else what failed, for the log.
        result: Result<Born, String>,
    },
    /// A worker has ended and been waited for.
    Exited {
        /// The worker.
        worker: u32,
        /// How.
        end: End,
    },
}

/// A process that has started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Born {
    /// Its process id, as the spawner and the daemon see it.
    pub pid: u32,
    /// The uid and gid that the worker is to become, as it sees them itself; `None` where it keeps its own.
    pub uid: Option<u32>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum End {
    /// By itself, with this status.
    Exit(i32),
    /// By this signal.
    Signal(i32),
}
