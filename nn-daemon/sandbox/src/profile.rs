//! Profiles as data, compiled in from `sandbox-profiles/`.

use crate::own::{Access, GrantRule, KeptCapability, OwnLayer, OwnProfile, When};
use crate::{Layer, Need};

include!(concat!(env!("OUT_DIR"), "/profiles.rs"));

/// What a kind of worker may reach. Each part says why.
#[derive(Debug)]
pub struct Profile {
    /// `worker-ort`, `worker-openvino`.
    pub name: &'static str,
    /// Layers without which no worker starts.
    pub require: &'static [Layer],
    /// Layers without which it starts, and says so.
    pub prefer: &'static [Layer],
    /// The most threads of the framework.
    pub threads_max: u32,
    /// Why so many.
    pub threads_why: &'static str,
    /// What of the machine is in the root.
    pub binds: &'static [Bind],
    /// The system's libraries that are there too.
    pub libraries: &'static [Library],
    /// Resource limits.
    pub limits: &'static [Bound],
    /// Why Landlock besides the mount namespace.
    pub landlock_why: &'static str,
    /// Why the filter comes when it comes.
    pub seal_why: &'static str,
    /// The system calls that are left after the seal.
    pub calls: &'static [Call],
    /// The same as BPF, one instruction a number: code, jt, jf, k from the top.
    pub filter: &'static [u64],
    /// Calls among them that are answered with an error and not made.
    pub answered: &'static [Call],
    /// What answers them: a filter of its own.
    pub answered_filter: &'static [u64],
}

/// A file or directory of the machine.
#[derive(Debug)]
pub struct Bind {
    /// An absolute path; `runtime` is the directory of the framework's library.
    pub path: &'static str,
    /// Why it is there.
    pub why: &'static str,
}

/// A library of the system.
#[derive(Debug)]
pub struct Library {
    /// Its soname.
    pub name: &'static str,
    /// Why it is there.
    pub why: &'static str,
}

/// A system call that is allowed.
#[derive(Debug)]
pub struct Call {
    /// Its name.
    pub name: &'static str,
    /// Why it is allowed.
    pub why: &'static str,
    /// What its arguments must be, in words; none: any.
    pub conditions: &'static [&'static str],
}

/// One resource limit.
#[derive(Debug)]
pub struct Bound {
    /// Which.
    pub limit: Limit,
    /// How much.
    pub max: Max,
    /// Why so much.
    pub why: &'static str,
}

/// What is limited, by `setrlimit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `RLIMIT_CORE`, bytes.
    Core,
    /// `RLIMIT_FSIZE`, bytes.
    FileSize,
    /// `RLIMIT_NOFILE`.
    Descriptors,
    /// `RLIMIT_MEMLOCK`, bytes.
    LockedMemory,
    /// `RLIMIT_MSGQUEUE`, bytes.
    MessageQueues,
    /// `RLIMIT_SIGPENDING`.
    QueuedSignals,
    /// `RLIMIT_STACK`, bytes.
    Stack,
    /// `RLIMIT_DATA`, bytes.
    Data,
    /// `RLIMIT_NPROC`: processes and threads.
    Processes,
}

/// How much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Max {
    /// So much.
    Fixed(u64),
    /// The model's memory budget.
    Budget,
    /// The framework's threads, the main one among them, and so many besides: the one that takes interrupts, and the
    /// framework's helpers.
    Threads(u32),
}

// === impl Profile ===

impl Profile {
    /// Every profile of this build.
    #[must_use]
    pub fn all() -> &'static [Self] {
        PROFILES
    }

    /// The profile of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        PROFILES.iter().find(|profile| profile.name == name)
    }
}

// === impl Limit ===

impl Limit {
    /// Its name in profiles.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::FileSize => "fsize",
            Self::Descriptors => "nofile",
            Self::LockedMemory => "memlock",
            Self::MessageQueues => "msgqueue",
            Self::QueuedSignals => "sigpending",
            Self::Stack => "stack",
            Self::Data => "data",
            Self::Processes => "nproc",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worker_of_onnx_runtime_has_at_most_25_calls() {
        let profile = Profile::named("worker-ort").unwrap();
        assert!(profile.calls.len() <= 25, "{}", profile.calls.len());
    }

    #[test]
    fn the_worker_of_openvino_has_at_most_45_rules() {
        let profile = Profile::named("worker-openvino").unwrap();
        assert!(profile.calls.len() <= 45, "{}", profile.calls.len());
    }

    #[test]
    fn no_profile_lets_a_sealed_worker_open_connect_start_or_load() {
        let forbidden = [
            "open", "openat2", "creat", "socket", "connect", "bind", "execve", "execveat", "fork",
            "vfork", "mount", "ptrace", "prctl", "seccomp", "ioctl", "unshare", "setns",
        ];
        let calls = Profile::all().iter().flat_map(|profile| profile.calls);
        let found: Vec<_> = calls
            .filter(|call| forbidden.contains(&call.name))
            .collect();
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn a_worker_that_prepares_has_the_calls_of_one_that_serves_and_a_few_narrow_ones_to_write() {
        let calls = |name: &str| {
            let calls = Profile::named(name).unwrap().calls.iter();
            let each = calls.map(|call| (call.name, call.conditions));
            each.collect::<Vec<_>>()
        };
        let more = |serves: &str, prepares: &str| {
            let serves = calls(serves);
            let mut more = calls(prepares);
            more.retain(|call| !serves.contains(call));
            assert!(more.iter().all(|(_, conditions)| !conditions.is_empty()));
            more.iter().map(|(name, _)| *name).collect::<Vec<_>>()
        };
        assert_eq!(
            more("worker-ort", "worker-ort-prepares"),
            ["openat", "writev", "write"]
        );
        assert_eq!(
            more("worker-openvino", "worker-openvino-prepares"),
            ["openat", "writev", "write", "lseek"]
        );
    }

    #[test]
    fn what_openvino_opens_is_a_directory_and_what_it_starts_a_thread() {
        let named = |profile: &Profile, name| {
            let calls = profile.calls.iter().filter(|call| call.name == name);
            calls.map(|call| call.conditions).collect::<Vec<_>>()
        };
        let openvino = Profile::named("worker-openvino").unwrap();
        let [opens] = named(openvino, "openat")[..] else {
            panic!("one rule");
        };
        assert!(opens[0].contains("O_DIRECTORY"), "{opens:?}");
        let [starts] = named(openvino, "clone")[..] else {
            panic!("one rule");
        };
        assert_eq!(starts, ["exactly the flags of a thread"]);
        let answered: Vec<_> = openvino.answered.iter().map(|call| call.name).collect();
        assert_eq!(answered, ["clone3"]);
        let ort = Profile::named("worker-ort").unwrap();
        for name in ["openat", "clone", "clone3", "mprotect"] {
            assert!(named(ort, name).is_empty(), "{name}");
        }
        assert!(ort.answered_filter.is_empty());
    }
}
