//! Why a worker has ended, from how it ended. Pure.

use nn_tensor::{Code, Fault};
use nn_worker_wire::{End, status};

/// As the kernel reports them.
const PANIC: i32 = status::PANIC as i32;
const OUT_OF_MEMORY: i32 = status::OUT_OF_MEMORY as i32;
const FRAMEWORK: i32 = status::FRAMEWORK as i32;
const JAIL: i32 = status::JAIL as i32;
const NOT_STARTED: i32 = status::NOT_STARTED as i32;

/// Why a worker is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It left when asked to.
    Clean,
    /// Its own code panicked.
    Panic,
    /// It used up its memory budget where that could not be answered.
    OutOfMemory,
    /// It left with a status of its own: something was wrong with its start or with what it was told.
    Status(i32),
    /// It died by a signal that its own code raised: a fault in framework or model.
    Crash(&'static str),
    /// It made a system call that it may not make (SIGSYS).
    Violation,
    /// Somebody killed it: the operator, the system for want of memory, the daemon.
    Killed,
    /// The daemon killed it: a compute went on past its deadline and would not stop.
    Timeout,
    /// It answered what the protocol does not allow, and was killed for it.
    Protocol,
    /// How it ended could not be learnt in time.
    Unknown,
}

impl Cause {
    /// Reads the end of a process.
    pub(crate) fn of(end: End) -> Self {
        match end {
            End::Exit(0) => Self::Clean,
            End::Exit(PANIC) => Self::Panic,
            End::Exit(OUT_OF_MEMORY) => Self::OutOfMemory,
            End::Exit(status) => Self::Status(status),
            End::Signal(4) => Self::Crash("SIGILL"),
            End::Signal(6) => Self::Crash("SIGABRT"),
            End::Signal(7) => Self::Crash("SIGBUS"),
            End::Signal(8) => Self::Crash("SIGFPE"),
            End::Signal(9 | 15) => Self::Killed,
            End::Signal(11) => Self::Crash("SIGSEGV"),
            End::Signal(31) => Self::Violation,
            End::Signal(_) => Self::Crash("a signal"),
        }
    }

    /// What its callers are told.
    pub(crate) fn fault(&self) -> Fault {
        let fault = Fault::new(Code::BackendCrashed, format!("the model's worker {self}"));
        match self {
            Self::Killed | Self::Timeout | Self::Clean => {
                fault.hint("try again; a new worker is being started")
            }
            Self::OutOfMemory => {
                fault.hint("use smaller inputs, or have limits.worker_memory_bytes raised")
            }
            Self::Panic
            | Self::Status(_)
            | Self::Crash(_)
            | Self::Violation
            | Self::Protocol
            | Self::Unknown => fault.hint(
                "try again; if it happens each time, the model or these inputs crash the framework",
            ),
        }
    }
}

/// Follows "the worker".
impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Clean => f.write_str("left"),
            Self::Panic => f.write_str("failed by a defect of its own (panic)"),
            Self::OutOfMemory => f.write_str("ran out of memory"),
            Self::Status(JAIL) => f.write_str("could not build its jail"),
            Self::Status(FRAMEWORK) => f.write_str("could not load its framework"),
            Self::Status(NOT_STARTED) => {
                f.write_str("could not be prepared between clone and exec")
            }
            Self::Status(status) => write!(f, "gave up with status {status}"),
            Self::Crash(signal) => write!(f, "crashed ({signal})"),
            Self::Violation => {
                f.write_str("made a forbidden system call and was stopped (violation)")
            }
            Self::Killed => f.write_str("was killed"),
            Self::Timeout => f.write_str("was killed because a compute overstayed its deadline"),
            Self::Protocol => f.write_str("broke the protocol and was killed"),
            Self::Unknown => f.write_str("vanished"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_apart() {
        let causes = [
            End::Exit(0),
            End::Exit(134),
            End::Exit(137),
            End::Signal(9),
            End::Signal(31),
            End::Signal(11),
        ]
        .map(Cause::of);
        let expected = [
            Cause::Clean,
            Cause::Panic,
            Cause::OutOfMemory,
            Cause::Killed,
            Cause::Violation,
            Cause::Crash("SIGSEGV"),
        ];
        assert_eq!(causes, expected);
    }
}
