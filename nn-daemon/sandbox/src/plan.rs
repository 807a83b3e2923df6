//! Profile and facts into layers and steps. Pure: the same plan can be executed or printed.

use std::fmt;
use std::os::fd::RawFd;
use std::path::PathBuf;

use crate::{Facts, Layer, Limit, Max, Profile};

/// How much a profile wants a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// No worker starts without it.
    Require,
    /// A worker starts without it, and that is said.
    Prefer,
}

/// One layer of a profile on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerState {
    /// Which.
    pub layer: Layer,
    /// How much it is wanted.
    pub need: Need,
    /// Why there is none of it here; `None` where it is active.
    pub missing: Option<String>,
    /// What of it this kernel does not have, where it is active.
    pub lacks: Option<String>,
}

/// Which layers of a profile this machine can give.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The profile.
    pub profile: &'static Profile,
    /// Its layers, in their order.
    pub layers: Vec<LayerState>,
}

/// What a worker is to be jailed with, beyond its profile.
#[derive(Clone, Debug)]
pub struct Ask {
    /// What the root holds.
    pub binds: Vec<PathBuf>,
    /// The framework's libraries, which the root holds too.
    pub libraries: Vec<Sealed>,
    /// The uid and gid to become.
    pub uid: Option<u32>,
    /// The memory budget, in bytes.
    pub data_bytes_max: u64,
    /// The framework's threads.
    pub threads: u32,
    /// The system call filter.
    pub filter: Vec<u64>,
}

/// A file that the process holds open, and where its root has it: whatever lies at that path outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Absolute and without symbolic links.
    pub path: PathBuf,
    /// Its number, which has to stay open for as long as the file is to be found.
    pub descriptor: RawFd,
}

/// The steps in their order: before and after the framework is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steps {
    /// The jail.
    pub enter: Vec<Step>,
    /// The seal.
    pub seal: Vec<Step>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The C library's allocator keeps to one arena, which never opens a file to decide something.
    Allocator,
    /// A tmpfs as root, read-only, with these in it; become that uid on the way.
    Root {
        /// Files and directories, absolute and without symbolic links.
        binds: Vec<PathBuf>,
        /// Files that are held open, in their places.
        sealed: Vec<Sealed>,
        /// Who to become.
        uid: Option<u32>,
    },
    /// No capability by any exec, and nothing special about uid 0: before a change of uid takes the right to say so.
    Bounding,
    /// Become that uid and gid, without other groups.
    Become(u32),
    /// Landlock: read and execute below these, nothing else.
    Landlock(Vec<PathBuf>),
    /// A resource limit.
    Limit(Limit, u64),
    /// No capabilities, in any set, ever.
    Capabilities,
    /// No more rights by exec.
    NoNewPrivs,
    /// Not dumpable: no core, and no look at its memory from outside.
    NotDumpable,
    /// Faults kill: no handler of the language's own runs first.
    PlainFaults,
    /// The answers to calls that are not made, in all threads at once.
    Answers(&'static [u64]),
    /// The filter, in all threads at once.
    Seccomp(Vec<u64>),
}

// === impl Plan ===

impl Plan {
    /// What of `profile` there can be, given what is known of this machine.
    #[must_use]
    pub fn new(profile: &'static Profile, facts: &Facts) -> Self {
        let state = |layer: Layer| {
            let need = if profile.require.contains(&layer) {
                Need::Require
            } else if profile.prefer.contains(&layer) {
                Need::Prefer
            } else {
                return None;
            };
            let missing = facts.missing(layer).map(str::to_owned);
            let lacks = facts.lacks(layer).filter(|_| missing.is_none());
            Some(LayerState {
                layer,
                need,
                missing,
                lacks,
            })
        };
        Self {
            profile,
            layers: Layer::ALL.into_iter().filter_map(state).collect(),
        }
    }

    /// The layers that a worker gets.
    #[must_use]
    pub fn active(&self) -> Vec<Layer> {
        let active = self.layers.iter().filter(|state| state.missing.is_none());
        active.map(|state| state.layer).collect()
    }

    /// Layers that the profile requires and that are missing.
    #[must_use]
    pub fn unmet(&self) -> Vec<&LayerState> {
        let unmet = |state: &&LayerState| state.need == Need::Require && state.missing.is_some();
        self.layers.iter().filter(unmet).collect()
    }

    /// The new namespaces of a worker: `CLONE_NEW*`, or-ed.
    #[must_use]
    pub fn namespaces(&self) -> u64 {
        let flags = self.active().into_iter().filter_map(Layer::namespace);
        flags.fold(0, |all, flag| all | flag)
    }
}

/// The steps that give these layers of a profile.
#[must_use]
pub fn steps(profile: &Profile, layers: &[Layer], ask: &Ask) -> Steps {
    let has = |layer| layers.contains(&layer);
    let mut enter = vec![Step::Allocator];
    // The right to build a root goes with the uid, unless it is that of a user namespace.
    let early = ask
        .uid
        .filter(|_| has(Layer::UserNs) && has(Layer::MountNs));
    if has(Layer::MountNs) {
        enter.push(Step::Root {
            binds: ask.binds.clone(),
            sealed: ask.libraries.clone(),
            uid: early,
        });
    }
    if let (None, Some(uid)) = (early, ask.uid) {
        enter.extend([Step::Bounding, Step::Become(uid)]);
    }
    if has(Layer::Landlock) {
        // Without capabilities of its own a process must have given up new rights before it may restrict itself.
        if has(Layer::NoNewPrivs) && !has(Layer::UserNs) {
            enter.push(Step::NoNewPrivs);
        }
        enter.push(Step::Landlock(ask.binds.clone()));
    }
    let mut seal = Vec::new();
    for bound in profile.limits {
        match bound.max {
            // The warm-up writes its results to a memory file.
            Max::Fixed(max) if bound.limit == Limit::FileSize => {
                seal.push(Step::Limit(bound.limit, max));
            }
            Max::Fixed(max) => enter.push(Step::Limit(bound.limit, max)),
            Max::Budget => enter.push(Step::Limit(bound.limit, ask.data_bytes_max)),
            Max::Threads(besides) => {
                let max = u64::from(ask.threads).saturating_add(besides.into());
                seal.push(Step::Limit(bound.limit, max));
            }
        }
    }
    enter.push(Step::Capabilities);
    if has(Layer::NoNewPrivs) && !enter.contains(&Step::NoNewPrivs) {
        enter.push(Step::NoNewPrivs);
    }
    enter.push(Step::NotDumpable);
    seal.push(Step::PlainFaults);
    if has(Layer::Seccomp) {
        if !profile.answered_filter.is_empty() {
            seal.push(Step::Answers(profile.answered_filter));
        }
        seal.push(Step::Seccomp(ask.filter.clone()));
    }
    Steps { enter, seal }
}

// === impl Step ===

/// For people.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allocator => f.write_str("allocator: one arena"),
            Self::Root { binds, sealed, uid } => {
                write!(
                    f,
                    "root: tmpfs, read-only, with {} read-only binds",
                    binds.len()
                )?;
                match sealed.len() {
                    0 => {}
                    1 => f.write_str(" and the framework's sealed library")?,
                    several => write!(f, " and the framework's {several} sealed libraries")?,
                }
                uid.map_or(Ok(()), |uid| write!(f, "; uid {uid}"))
            }
            Self::Bounding => f.write_str("capability bounds: none; uid 0 is nobody special"),
            Self::Become(uid) => write!(f, "uid and gid {uid}, no other groups"),
            Self::Landlock(paths) => {
                write!(f, "landlock: read and execute below {} paths", paths.len())
            }
            Self::Limit(limit, max) => write!(f, "rlimit {} = {max}", limit.name()),
            Self::Capabilities => f.write_str("capabilities: none, in every set"),
            Self::NoNewPrivs => f.write_str("no_new_privs"),
            Self::NotDumpable => f.write_str("not dumpable"),
            Self::PlainFaults => f.write_str("signal handlers of faults: none"),
            Self::Answers(filter) => write!(f, "seccomp: answers, {} instructions", filter.len()),
            Self::Seccomp(filter) => {
                write!(f, "seccomp: {} instructions, every thread", filter.len())
            }
        }
    }
}

#[cfg(test)]
mod tests;
