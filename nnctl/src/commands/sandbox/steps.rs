//! How a worker comes up, in words: the plan's own steps, and what happens before, between and after them.
//! Pure. Numbers that depend on a model or a configuration are told as what they depend on.

use nn_sandbox::{Ask, Layer, Max, Profile, Step as Planned, Steps};
use serde::Serialize;

use crate::output::bytes;

/// One thing that is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Step {
    pub(super) stage: Stage,
    pub(super) what: String,
}

/// When, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stage {
    /// The spawner makes the process.
    Birth,
    /// The worker jails itself, before it loads anything.
    Jail,
    /// The framework, inside.
    Framework,
    /// The worker gives up what only loading needed.
    Seal,
    /// The daemon looks for itself.
    Attestation,
    /// Only now.
    Model,
}

/// The whole way, with these layers of the profile.
pub(super) fn of(profile: &'static Profile, layers: &[Layer]) -> Vec<Step> {
    // Only whether a step is there, and where, is asked here; words stand in for all that these would fill in.
    let ask = Ask {
        binds: Vec::new(),
        libraries: Vec::new(),
        uid: Some(0),
        data_bytes_max: 0,
        threads: 0,
        filter: profile.filter.to_vec(),
    };
    let Steps { enter, seal } = nn_sandbox::steps(profile, layers, &ask);
    let planned = |stage, steps: &[Planned]| {
        let words = |step| Step::new(stage, words(step, profile, layers));
        steps.iter().map(words).collect::<Vec<_>>()
    };
    let framework = "its library is loaded from the spawner's sealed copy, its threads start, a tiny model runs once";
    [
        vec![Step::new(Stage::Birth, birth(layers))],
        planned(Stage::Jail, &enter),
        vec![Step::new(Stage::Framework, framework.to_owned())],
        planned(Stage::Seal, &seal),
        vec![
            Step::new(Stage::Attestation, attestation(layers)),
            Step::new(Stage::Model, "arrives as sealed memory".to_owned()),
        ],
    ]
    .concat()
}

// === impl Step ===

impl Step {
    fn new(stage: Stage, what: String) -> Self {
        Self { stage, what }
    }
}

// === impl Stage ===

impl Stage {
    /// As JSON has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Birth => "birth",
            Self::Jail => "jail",
            Self::Framework => "framework",
            Self::Seal => "seal",
            Self::Attestation => "attestation",
            Self::Model => "model",
        }
    }
}

/// The most of a resource limit, in words.
pub(super) fn max_words(max: Max, is_bytes: bool) -> String {
    match max {
        Max::Fixed(max) if is_bytes => bytes(max),
        Max::Fixed(max) => max.to_string(),
        Max::Budget => "worker_memory_bytes + 4 x model".to_owned(),
        Max::Threads(besides) => format!("threads + {besides}"),
    }
}

fn birth(layers: &[Layer]) -> String {
    let namespaces: Vec<&str> = layers
        .iter()
        .filter_map(|layer| layer.namespace_file())
        .collect();
    if namespaces.is_empty() {
        return "a new process in the namespaces of the daemon".to_owned();
    }
    format!("a new process in new namespaces: {}", namespaces.join(", "))
}

fn attestation(layers: &[Layer]) -> String {
    let mut seen = vec!["no capabilities"];
    if layers.contains(&Layer::NoNewPrivs) {
        seen.push("no_new_privs");
    }
    if layers.contains(&Layer::Seccomp) {
        seen.push("a filter");
    }
    let mut text = format!(
        "the spawner reads in /proc, and the daemon judges as well, of every thread: {}",
        seen.join(", ")
    );
    if layers.iter().any(|layer| layer.namespace().is_some()) {
        text.push_str("; and that the namespaces are not its own");
    }
    text
}

fn words(step: &Planned, profile: &Profile, layers: &[Layer]) -> String {
    match step {
        Planned::Allocator => "the C library's allocator keeps to one arena".to_owned(),
        Planned::Root { .. } => format!(
            "its root is an empty tmpfs with the entries below and the sealed library, all read-only; on the way, {}",
            identity(layers)
        ),
        Planned::Bounding => "no capability by any exec, and uid 0 is nobody special".to_owned(),
        Planned::Become(_) => identity(layers).to_owned(),
        Planned::Landlock(_) => {
            "Landlock: read and execute below those entries, nothing else".to_owned()
        }
        Planned::Limit(limit, _) => {
            let bound = profile.limits.iter().find(|bound| bound.limit == *limit);
            let max = bound.map_or_else(String::new, |bound| {
                format!(" = {}", max_words(bound.max, super::is_bytes(*limit)))
            });
            format!("rlimit {}{max}", limit.name())
        }
        Planned::Capabilities => "no capabilities, in any set, for good".to_owned(),
        Planned::NoNewPrivs => "no_new_privs".to_owned(),
        Planned::NotDumpable => "not dumpable: no core, no look at its memory".to_owned(),
        Planned::PlainFaults => "no signal handlers for faults: a fault ends it".to_owned(),
        Planned::Answers(_) => {
            let names: Vec<&str> = profile.answered.iter().map(|call| call.name).collect();
            format!(
                "seccomp: {} answered with ENOSYS and not made",
                names.join(", ")
            )
        }
        Planned::Seccomp(filter) => format!(
            "seccomp: {} BPF instructions, in every thread at once",
            filter.len()
        ),
    }
}

/// Who it becomes.
fn identity(layers: &[Layer]) -> &'static str {
    if layers.contains(&Layer::UserNs) {
        "it becomes uid and gid 65534, with no other groups"
    } else {
        "it becomes a uid and gid of its own if the daemon is root, and else keeps the daemon's"
    }
}
