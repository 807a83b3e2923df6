//! The frames between daemon and spawner.

use bincode::{Decode, Encode};

use crate::Workers;

/// What the daemon tells the spawner.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ToSpawner {
    /// First: the worker program comes along as a descriptor to read it from. The spawner copies it
    /// into sealed memory; later changes of the file do not matter.
    Program {
        /// Workers get a uid of their own from here on, where the spawner may give one.
        uid_first: u32,
    },
    /// The relay program comes along, likewise: workers of the backend [`REMOTE`](crate::REMOTE) are started from it.
    Relay,
    /// Try whether a process can be started in these new namespaces, and in the control group whose directory comes
    /// along, if one does. Answered by [`FromSpawner::Tried`].
    Try {
        /// `CLONE_NEW*`, or-ed.
        namespaces: u64,
    },
    /// What workers of one backend are made of from here on. Along come the framework's libraries, open for reading: the
    /// spawner copies them into sealed memory; later changes of the files do not matter. As often as wanted before
    /// [`ToSpawner::Jail`], never after it.
    Workers(Workers),
    /// Start a worker, as [`ToSpawner::Workers`] says. Along come two descriptors: its end of the control socket, and the
    /// pipe for its log; and a third where it is to be born into a control group: that group's directory.
    Spawn {
        /// Names the worker in what follows; never used twice.
        worker: u32,
        /// Which backend it is to be made for, of those that were said.
        backend: String,
        /// The most memory that its heap, stacks and libraries' data may take, in bytes: no more than
        /// [`Workers::data_bytes_max`].
        data_bytes_max: u64,
        /// Threads of the framework for one run: no more than [`Workers::threads_max`]. None is as one.
        threads: u32,
    },
    /// Kill a worker by SIGKILL. Not an error when it has ended already.
    Kill {
        /// The worker.
        worker: u32,
    },
    /// Put up your own jail, which every worker from here on inherits, and hold on to what workers are made of. Once.
    /// Answered by [`FromSpawner::Jailed`].
    Jail {
        /// The layers of it, by name.
        layers: Vec<String>,
        /// Whether namespaces take privileges here, which are kept then.
        privileged: bool,
    },
    /// Read what the kernel says of a worker, and kill it if that is not the jail that it was to have. Answered by
    /// [`FromSpawner::Attested`].
    Attest {
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
    /// The worker runs, or could not be started. Along come its pidfd, and its `/proc/PID/status` where there is /proc.
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
    /// The spawner's own jail is up. One that cannot put it up ends.
    Jailed,
    /// What /proc says of a worker. Along comes its `/proc/PID/smaps_rollup`, where the spawner may look at that.
    Attested {
        /// The worker.
        worker: u32,
        /// Else what could not be read, or is not as it was to be, for the log.
        result: Result<Report, String>,
    },
}

/// What the kernel says of a worker's process: read by its parent, which depends on nothing that the worker says.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Report {
    /// Each thread, and the lines of its `status` that tell of walls ([`WALLS`]).
    pub threads: Vec<(u32, String)>,
    /// The same of the spawner, whose walls every worker has from birth.
    pub spawner: String,
    /// Its namespaces beside the spawner's, which are the daemon's; without those that could not be read.
    pub namespaces: Vec<Namespace>,
}

/// One namespace of a worker.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Namespace {
    /// Its file below `/proc/PID/ns`.
    pub file: String,
    /// What it links to.
    pub worker: String,
    /// What the spawner's links to.
    pub spawner: String,
}

impl Report {
    /// Whether the worker's namespace of this file is another than the spawner's. One that was not read is not.
    #[must_use]
    pub fn has_own(&self, file: &str) -> bool {
        let mut named = self.namespaces.iter().filter(|one| one.file == file);
        named.any(|one| one.worker != one.spawner)
    }
}

/// The fields of `/proc/PID/status` that tell of walls.
pub const WALLS: [&str; 8] = [
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapBnd",
    "CapAmb",
    "NoNewPrivs",
    "Seccomp",
    "Seccomp_filters",
];

/// The most threads that are read of one worker: more than any has.
pub const THREADS_MAX: usize = 128;

/// The lines of a `status` that tell of walls.
#[must_use]
pub fn walls(status: &str) -> String {
    let wall = |line: &&str| {
        let name = line.split_once(':').map(|(name, _)| name);
        name.is_some_and(|name| WALLS.contains(&name))
    };
    let lines: Vec<&str> = status.lines().filter(wall).collect();
    lines.join("\n")
}

/// A process that has started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Born {
    /// Its process id, as the spawner and the daemon see it.
    pub pid: u32,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum End {
    /// By itself, with this status.
    Exit(i32),
    /// By this signal.
    Signal(i32),
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str =
        "Name:\tnn-worker\nCapEff:\t0\nSeccomp:\t2\nSeccomp_filters:\t2\nThreads:\t1\n";

    #[test]
    fn only_lines_of_walls_are_passed_on() {
        assert_eq!(
            walls(STATUS),
            "CapEff:\t0\nSeccomp:\t2\nSeccomp_filters:\t2"
        );
    }

    #[test]
    fn a_report_of_as_many_threads_as_there_can_be_fits_into_a_frame() {
        let line = |name: &str| format!("{name}:\t000001ffffffffff");
        let lines: Vec<String> = WALLS.iter().map(|name| line(name)).collect();
        let threads = (0..THREADS_MAX).map(|_| (u32::MAX, lines.join("\n")));
        let namespace = Namespace {
            file: "cgroup".into(),
            worker: "cgroup:[4026531835]".into(),
            spawner: "cgroup:[4026531835]".into(),
        };
        let report = Report {
            threads: threads.collect(),
            spawner: lines.join("\n"),
            namespaces: vec![namespace; 7],
        };
        let frame = FromSpawner::Attested {
            worker: 7,
            result: Ok(report),
        };
        assert!(crate::encode(&frame).is_ok());
    }
}
