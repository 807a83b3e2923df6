//! The jails of our own long-lived processes, the broker, the spawner and the dialer, which put them up themselves. Profile and
//! facts into a plan and steps (pure), and the steps executed.

use std::fmt;
use std::path::PathBuf;

use crate::apply::{ApplyError, failed_step};
use crate::profile::{OWN, PROFILES};
use crate::step::{allocator, capabilities, landlock, process, seccomp};
use crate::{Call, Facts, Layer, Need, Profile};

/// What one of our own processes keeps. Each part says why.
#[derive(Debug)]
pub struct OwnProfile {
    /// `broker`.
    pub name: &'static str,
    /// The program: `nn-daemon`.
    pub process: &'static str,
    /// Its layers, in their order.
    pub layers: &'static [OwnLayer],
    /// What Landlock leaves, by the names of places.
    pub grants: &'static [GrantRule],
    /// The capabilities that are kept where there are any.
    pub capabilities: &'static [KeptCapability],
    /// The system calls that are left.
    pub calls: &'static [Call],
    /// The same as BPF, one instruction a number: code, jt, jf, k from the top.
    pub filter: &'static [u64],
    /// Calls among them that the kernel does not make, but answers with an error.
    pub answered: &'static [Call],
    /// The same as BPF; empty where there is none.
    pub answered_filter: &'static [u64],
}

/// A layer, in words that are true of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnLayer {
    /// Which.
    pub layer: Layer,
    /// How much it is wanted.
    pub need: Need,
    /// What it does.
    pub what: &'static str,
    /// What is lost where it is missing.
    pub without: &'static str,
}

/// What may be done below a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantRule {
    /// The place's name; which paths that are, the process knows.
    pub place: &'static str,
    /// What may be done.
    pub access: Access,
    /// Why.
    pub why: &'static str,
}

/// What may be done with files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Files and directories are read, written, made, moved and removed. None is executed, none is special.
    Keep,
    /// Files and directories are read.
    Read,
    /// Directories are listed.
    List,
    /// Files are removed.
    Remove,
}

/// A capability that is kept, where the process has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptCapability {
    /// `CAP_SETUID`.
    pub name: &'static str,
    /// When.
    pub when: When,
    /// Why.
    pub why: &'static str,
}

/// When a capability is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Wherever it is there.
    Always,
    /// Where namespaces take privileges: without user namespaces, or where only the privileged may make them.
    Privileged,
}

/// A path, and what may be done below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// A file or directory.
    pub path: PathBuf,
    /// What may be done.
    pub access: Access,
}

/// One layer on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnState {
    /// Which, and its words.
    pub rule: OwnLayer,
    /// Why there is none of it here; `None` where it is active.
    pub missing: Option<String>,
    /// What of it this kernel does not have, where it is active.
    pub lacks: Option<String>,
}

/// Which layers of a profile this machine gives.
#[derive(Clone, Debug)]
pub struct OwnPlan {
    /// The profile.
    pub profile: &'static OwnProfile,
    /// Its layers, in their order.
    pub layers: Vec<OwnState>,
}

/// What a process is to be jailed with, beyond its profile.
#[derive(Clone, Debug, Default)]
pub struct OwnAsk {
    /// The paths of each place.
    pub places: Vec<(&'static str, Vec<PathBuf>)>,
    /// Whether it speaks to abstract sockets of others.
    pub abstract_sockets: bool,
    /// The TCP ports that it may connect to, wherever that is.
    pub tcp_connect: Vec<u16>,
    /// Whether namespaces take privileges here.
    pub privileged: bool,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnStep {
    /// The C library's allocator keeps to one arena: threads that come and go for work with files would each leave one
    /// behind, in pieces.
    Allocator,
    /// No more rights by exec.
    NoNewPrivs,
    /// Landlock: these and nothing else.
    Landlock {
        /// What is left.
        grants: Vec<Grant>,
        /// TCP ports that may be connected to.
        tcp_connect: Vec<u16>,
        /// Whether abstract sockets of others stay in reach.
        abstract_sockets: bool,
    },
    /// No capabilities but these, in any set.
    Capabilities(Vec<&'static str>),
    /// The answers to calls that are not made.
    Answers(&'static [u64]),
    /// The filter, in all threads at once.
    Seccomp(&'static [u64]),
}

// === impl OwnProfile ===

impl OwnProfile {
    /// Every profile of this build.
    #[must_use]
    pub fn all() -> &'static [Self] {
        OWN
    }

    /// The profile of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        OWN.iter().find(|profile| profile.name == name)
    }
}

// === impl OwnPlan ===

impl OwnPlan {
    /// What of `profile` there can be, given what is known of this machine.
    #[must_use]
    pub fn new(profile: &'static OwnProfile, facts: &Facts) -> Self {
        let state = |&rule: &OwnLayer| {
            let missing = facts.missing(rule.layer).map(str::to_owned);
            let lacks = facts.lacks(rule.layer).filter(|_| missing.is_none());
            OwnState {
                rule,
                missing,
                lacks,
            }
        };
        Self {
            profile,
            layers: profile.layers.iter().map(state).collect(),
        }
    }

    /// The layers that the process gets.
    #[must_use]
    pub fn active(&self) -> Vec<Layer> {
        let active = self.layers.iter().filter(|state| state.missing.is_none());
        active.map(|state| state.rule.layer).collect()
    }

    /// Layers that the profile requires and that are missing.
    #[must_use]
    pub fn unmet(&self) -> Vec<&OwnState> {
        let unmet = |state: &&OwnState| state.rule.need == Need::Require && state.missing.is_some();
        self.layers.iter().filter(unmet).collect()
    }
}

/// The steps that give these layers of a profile, in the order that works: a process without rights must have given up
/// new ones before Landlock, whose own call a filter would have to allow.
#[must_use]
pub fn own_steps(profile: &'static OwnProfile, layers: &[Layer], ask: &OwnAsk) -> Vec<OwnStep> {
    let has = |layer| layers.contains(&layer);
    let mut steps = vec![OwnStep::Allocator];
    if has(Layer::NoNewPrivs) {
        steps.push(OwnStep::NoNewPrivs);
    }
    if has(Layer::Landlock) {
        steps.push(OwnStep::Landlock {
            grants: grants(profile, ask),
            tcp_connect: ask.tcp_connect.clone(),
            abstract_sockets: ask.abstract_sockets,
        });
    }
    let kept = profile.capabilities.iter();
    let kept = kept.filter(|one| one.when == When::Always || ask.privileged);
    steps.push(OwnStep::Capabilities(kept.map(|one| one.name).collect()));
    if has(Layer::Seccomp) {
        if !profile.answered_filter.is_empty() {
            steps.push(OwnStep::Answers(profile.answered_filter));
        }
        steps.push(OwnStep::Seccomp(profile.filter));
    }
    steps
}

fn grants(profile: &OwnProfile, ask: &OwnAsk) -> Vec<Grant> {
    let of = |rule: &GrantRule| {
        let access = rule.access;
        let named = ask
            .places
            .iter()
            .filter(move |(name, _)| *name == rule.place);
        let paths = named.flat_map(|(_, paths)| paths.iter().cloned());
        paths
            .map(move |path| Grant { path, access })
            .collect::<Vec<_>>()
    };
    profile.grants.iter().flat_map(of).collect()
}

/// Does all of it. Of a process with one thread.
///
/// # Errors
/// At the first step that fails. The process must then end: some of its walls are up, not all.
pub fn enter(steps: &[OwnStep]) -> Result<(), ApplyError> {
    steps.iter().try_for_each(|step| {
        let done = match step {
            OwnStep::Allocator => allocator::one_arena(),
            OwnStep::NoNewPrivs => process::no_new_privs(),
            OwnStep::Landlock {
                grants,
                tcp_connect,
                abstract_sockets,
            } => landlock::grant(grants, tcp_connect, *abstract_sockets),
            OwnStep::Capabilities(kept) => capabilities::keep(kept),
            OwnStep::Answers(filter) | OwnStep::Seccomp(filter) => seccomp::install(filter),
        };
        done.map_err(failed_step(step))
    })
}

/// Every profile's name, of workers and of our own.
#[must_use]
pub fn profile_names() -> Vec<&'static str> {
    let workers = PROFILES.iter().map(|profile: &Profile| profile.name);
    workers.chain(OWN.iter().map(|own| own.name)).collect()
}

// === impl Access, OwnStep ===

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keep => "keep",
            Self::Read => "read",
            Self::List => "list",
            Self::Remove => "remove",
        })
    }
}

/// For people.
impl fmt::Display for OwnStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allocator => f.write_str("allocator: one arena"),
            Self::NoNewPrivs => f.write_str("no_new_privs"),
            Self::Landlock {
                grants,
                tcp_connect,
                ..
            } => {
                write!(f, "landlock: {} paths", grants.len())?;
                match tcp_connect.len() {
                    0 => Ok(()),
                    ports => write!(f, ", {ports} ports"),
                }
            }
            Self::Capabilities(kept) if kept.is_empty() => {
                f.write_str("capabilities: none, in every set")
            }
            Self::Capabilities(kept) => {
                write!(f, "capabilities: none but {}", kept.join(", "))
            }
            Self::Answers(filter) => write!(f, "seccomp: answers, {} instructions", filter.len()),
            Self::Seccomp(filter) => {
                write!(f, "seccomp: {} instructions, every thread", filter.len())
            }
        }
    }
}

#[cfg(test)]
mod tests;
