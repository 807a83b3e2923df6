//! The layers of a jail: each has a name, and a reason that is told where it is missing.

use nix::libc;

/// One layer. Each stands on its own: what gets past one meets the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// A user namespace: capabilities count for nothing outside.
    UserNs,
    /// A mount namespace with a root of its own.
    MountNs,
    /// A process id namespace.
    PidNs,
    /// A network namespace without interfaces.
    NetNs,
    /// A namespace of System V and POSIX message queues.
    IpcNs,
    /// A namespace of host names.
    UtsNs,
    /// A namespace of control groups.
    CgroupNs,
    /// Landlock.
    Landlock,
    /// `no_new_privs`.
    NoNewPrivs,
    /// The system call filter.
    Seccomp,
}

// === impl Layer ===

impl Layer {
    /// All of them, in the order in which they come.
    pub const ALL: [Self; 10] = [
        Self::UserNs,
        Self::MountNs,
        Self::PidNs,
        Self::NetNs,
        Self::IpcNs,
        Self::UtsNs,
        Self::CgroupNs,
        Self::Landlock,
        Self::NoNewPrivs,
        Self::Seccomp,
    ];

    /// Its name in profiles, configuration and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::UserNs => "userns",
            Self::MountNs => "mntns",
            Self::PidNs => "pidns",
            Self::NetNs => "netns",
            Self::IpcNs => "ipcns",
            Self::UtsNs => "utsns",
            Self::CgroupNs => "cgroupns",
            Self::Landlock => "landlock",
            Self::NoNewPrivs => "no_new_privs",
            Self::Seccomp => "seccomp",
        }
    }

    /// The layer of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|layer| layer.name() == name)
    }

    /// What it does for us.
    #[must_use]
    pub fn what(self) -> &'static str {
        match self {
            Self::UserNs => "its own user namespace; capabilities count for nothing outside",
            Self::MountNs => "its own read-only root: the framework's libraries and nothing else",
            Self::PidNs => "it sees and signals no other process",
            Self::NetNs => "it has no network, not even loopback",
            Self::IpcNs => "no shared System V memory, semaphores or message queues",
            Self::UtsNs => "its own host name",
            Self::CgroupNs => "it does not see where it is among the control groups",
            Self::Landlock => {
                "files only below its libraries; no TCP; no foreign signals or abstract sockets"
            }
            Self::NoNewPrivs => "no program it could start would have more rights than it has",
            Self::Seccomp => "a short list of system calls; any other one kills it",
        }
    }

    /// What a model that has taken over its worker gains where this is missing.
    #[must_use]
    pub fn without(self) -> &'static str {
        match self {
            Self::UserNs => {
                "it keeps the daemon's uid, and its root cannot be built without privileges"
            }
            Self::MountNs => {
                "it could see every file that its uid may read, if the other layers fail too"
            }
            Self::PidNs => {
                "it could see, trace and signal processes of its uid, if seccomp fails too"
            }
            Self::NetNs => "it could reach the network, if seccomp fails too",
            Self::IpcNs => {
                "it could reach shared memory and queues of its uid, if seccomp fails too"
            }
            Self::UtsNs => "it could read the host's name, if seccomp fails too",
            Self::CgroupNs => {
                "it could read its place among the control groups, if the mount namespace fails too"
            }
            Self::Landlock => {
                "one wall less before files, sockets and signals; namespaces and seccomp remain"
            }
            Self::NoNewPrivs => {
                "a set-uid program could raise its rights, if seccomp fails too (a filter brings it along)"
            }
            Self::Seccomp => {
                "every system call of the kernel is open to it: the largest loss there is"
            }
        }
    }

    /// The flag by which clone3 makes it, if it is a namespace.
    #[must_use]
    pub fn namespace(self) -> Option<u64> {
        let flag = match self {
            Self::UserNs => libc::CLONE_NEWUSER,
            Self::MountNs => libc::CLONE_NEWNS,
            Self::PidNs => libc::CLONE_NEWPID,
            Self::NetNs => libc::CLONE_NEWNET,
            Self::IpcNs => libc::CLONE_NEWIPC,
            Self::UtsNs => libc::CLONE_NEWUTS,
            Self::CgroupNs => libc::CLONE_NEWCGROUP,
            Self::Landlock | Self::NoNewPrivs | Self::Seccomp => return None,
        };
        Some(u64::from(flag.cast_unsigned()))
    }

    /// Its file below `/proc/PID/ns`, if it is a namespace.
    #[must_use]
    pub fn namespace_file(self) -> Option<&'static str> {
        match self {
            Self::UserNs => Some("user"),
            Self::MountNs => Some("mnt"),
            Self::PidNs => Some("pid"),
            Self::NetNs => Some("net"),
            Self::IpcNs => Some("ipc"),
            Self::UtsNs => Some("uts"),
            Self::CgroupNs => Some("cgroup"),
            Self::Landlock | Self::NoNewPrivs | Self::Seccomp => None,
        }
    }
}

impl std::fmt::Display for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_is_found_by_its_name() {
        let found = Layer::ALL.map(|layer| Layer::named(layer.name()));
        assert_eq!(found, Layer::ALL.map(Some));
        assert_eq!(Layer::named("chroot"), None);
    }
}
