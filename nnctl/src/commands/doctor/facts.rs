//! What was gathered, before anybody has judged it. Plain data: `None` is what could not be read.

use std::collections::BTreeMap;
use std::path::PathBuf;

use nn_proto::v1;
use nn_sandbox::LayerState;

/// Everything.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) me: Me,
    pub(super) kernel: Kernel,
    /// What this user reads of the jail's layers.
    pub(super) layers: Vec<LayerState>,
    pub(super) programs: Programs,
    pub(super) configuration: Configuration,
    /// Whether the framework's library that daemon or configuration name is there; `None` where neither names one, or
    /// the daemon sees other files.
    pub(super) library_there: Option<bool>,
    pub(super) door: Door,
    pub(super) answer: Answer,
    /// The daemon that answers, as /proc shows it.
    pub(super) process: Option<Process>,
    pub(super) service: Service,
    pub(super) state_dir: Option<StateDir>,
    /// Those that the configuration names.
    pub(super) repositories: Vec<Repository>,
    /// Who the daemon is, or would be by its unit; `None` where neither tells.
    pub(super) daemon_user: Option<User>,
    /// In bytes.
    pub(super) memory_available: Option<u64>,
}

/// Who asks.
#[derive(Debug)]
pub(super) struct Me {
    pub(super) uid: u32,
    pub(super) name: String,
    /// Of this process; what the user's database says may be newer.
    pub(super) gids: Vec<u32>,
}

/// The kernel, as this process sees it.
#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) release: String,
    /// sysctl user.max_user_namespaces.
    pub(super) userns_max: Option<u64>,
    /// sysctl kernel.unprivileged_userns_clone, of Debian's and Ubuntu's kernels.
    pub(super) userns_unprivileged: Option<u64>,
    /// sysctl kernel.apparmor_restrict_unprivileged_userns, of Ubuntu's.
    pub(super) userns_apparmor: Option<u64>,
    /// Whether shared memory can be made and sealed; else what failed.
    pub(super) sealing: Result<(), String>,
    /// The controllers of the root group of version 2; `None` where that is not mounted.
    pub(super) cgroup_controllers: Option<Vec<String>>,
}

/// The programs of the installation.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) nnctl: PathBuf,
    /// nn-daemon, if it was found, and what it says of its version.
    pub(super) daemon: Option<(PathBuf, Result<String, String>)>,
    /// nn-worker, where the configuration finds it, and the build that it says it is of.
    pub(super) worker: Option<(PathBuf, Result<String, String>)>,
    /// nn-relay and nn-dialer, likewise; `None` where no model may name a remote engine.
    pub(super) relay: Option<(PathBuf, Result<String, String>)>,
    pub(super) dialer: Option<(PathBuf, Result<String, String>)>,
    /// nn-spawner, where the configuration finds it, and whether it can be run.
    pub(super) spawner: Option<(PathBuf, bool)>,
}

/// The daemon's configuration.
#[derive(Debug)]
pub(super) struct Configuration {
    /// The file; `None` where there is none and every key has its default.
    pub(super) file: Option<PathBuf>,
    /// What nn-daemon makes of it, or says against it; `None` where it could not be asked.
    pub(super) printed: Option<Result<Printed, String>>,
}

/// `nn-daemon --print-config`.
#[derive(Debug, Default)]
pub(super) struct Printed {
    pub(super) state_dir: Option<PathBuf>,
    /// ONNX Runtime's library, if it was found.
    pub(super) onnxruntime: Option<PathBuf>,
    /// OpenVINO's, likewise.
    pub(super) openvino: Option<PathBuf>,
    pub(super) worker: Option<PathBuf>,
    pub(super) spawner: Option<PathBuf>,
    pub(super) relay: Option<PathBuf>,
    pub(super) dialer: Option<PathBuf>,
    /// The keys that take a network, as people write them.
    pub(super) network: Vec<&'static str>,
    pub(super) limits: BTreeMap<String, u64>,
    pub(super) repositories: Vec<PathBuf>,
    /// The uids of each tenant that has some; empty where everybody may infer for any.
    pub(super) tenants: BTreeMap<String, Vec<u32>>,
}

/// The two sockets.
#[derive(Debug)]
pub(super) struct Door {
    /// What named the first.
    pub(super) because: &'static str,
    pub(super) grpc: Socket,
    pub(super) fd: Socket,
}

/// A socket's file.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) path: PathBuf,
    pub(super) file: SocketFile,
}

#[derive(Debug)]
pub(super) enum SocketFile {
    /// There is none.
    Absent,
    /// A directory on the way may not be entered.
    Hidden,
    /// There is something else.
    Other,
    /// It could not be looked at: why.
    Failed(String),
    Socket {
        owner: Named,
        group: Named,
        mode: u32,
        /// This user is in its group by the user database, whatever this process was given at login.
        listed: bool,
        knock: Knock,
    },
}

/// A user or a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) id: u32,
    pub(super) name: String,
}

/// What came of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Knock {
    Accepted,
    /// Nobody listens: left by a daemon that died.
    Stale,
    Denied,
    /// A socket of another kind.
    WrongKind,
    /// Too many connections wait already.
    Full,
    Failed(String),
}

/// What the daemon says of itself.
#[derive(Debug)]
pub(super) enum Answer {
    Status(Box<v1::StatusResponse>),
    /// It does not tell this user.
    Refused,
    /// There is none: why.
    None(String),
}

/// A daemon's process.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) uid: Option<u32>,
    /// Its program, as /proc links to it.
    pub(super) program: Option<String>,
    /// RLIMIT_NOFILE that holds.
    pub(super) descriptors_max: Option<u64>,
}

/// The service manager's word.
#[derive(Debug)]
pub(super) enum Service {
    /// This machine was not started by systemd, or has no systemctl.
    NoSystemd,
    /// It could not be asked: why.
    Failed(String),
    Units {
        service: Unit,
        socket: Box<Unit>,
        /// Every nn-host@NAME.service that it knows, or why it does not tell.
        sites: Result<Vec<Site>, String>,
    },
}

/// A line of `systemctl list-units`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Site {
    /// nn-host@NAME.
    pub(super) unit: String,
    pub(super) active: String,
    pub(super) sub: String,
}

/// `systemctl show`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) load: String,
    pub(super) active: String,
    pub(super) sub: String,
    pub(super) result: String,
    pub(super) restarts: u64,
    pub(super) main_pid: u32,
    /// Its file has changed since it was read.
    pub(super) outdated: bool,
    pub(super) walls: Walls,
}

/// What a unit leaves of the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Walls {
    /// It has one of its own, with nothing in it.
    pub(super) private_network: bool,
    /// RestrictAddressFamilies=, as systemd shows it.
    pub(super) families: String,
    /// IPAddressDeny= denies all addresses, and IPAddressAllow= allows none.
    pub(super) no_address: bool,
}

/// Where uploaded models are kept.
#[derive(Debug)]
pub(super) struct StateDir {
    pub(super) path: PathBuf,
    pub(super) found: DirFound,
}

#[derive(Debug)]
pub(super) enum DirFound {
    Absent,
    /// It could not be looked at: why.
    Failed(String),
    Dir {
        owner: Named,
        free_bytes: u64,
    },
    /// There is something else.
    Other,
}

/// A user, with everything that opens files to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gids: Vec<u32>,
}

/// A directory of models.
#[derive(Debug)]
pub(super) struct Repository {
    pub(super) path: PathBuf,
    /// It and the directories above it, from the root on, as far as this user can look; else why not.
    pub(super) steps: Result<Vec<Step>, RepositoryGap>,
}

/// What may be done with a file, by its owner, group and mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) path: PathBuf,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mode: u32,
}

/// Why there is no directory to judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RepositoryGap {
    Absent,
    /// There is something else.
    Other,
    /// It could not be looked at: why.
    Failed(String),
}

// === impl Facts ===

impl Facts {
    /// What the daemon says, if it tells this user.
    pub(super) fn status(&self) -> Option<&v1::StatusResponse> {
        match &self.answer {
            Answer::Status(status) => Some(status),
            Answer::Refused | Answer::None(_) => None,
        }
    }

    /// What the configuration comes to, if it comes to anything.
    pub(super) fn printed(&self) -> Option<&Printed> {
        self.configuration.printed.as_ref()?.as_ref().ok()
    }

    /// A limit, by the daemon's word, else by the configuration's.
    pub(super) fn limit(&self, name: &str) -> Option<u64> {
        match self.status() {
            Some(status) => {
                let mut limits = status.limits.iter();
                limits
                    .find(|limit| limit.name == name)
                    .map(|limit| limit.value)
            }
            None => self.printed()?.limits.get(name).copied(),
        }
    }
}
