//! `nnctl sandbox explain`: what jails a worker, layer by layer, and why each part is so. The profile is the one
//! compiled in here; which of its layers there are the daemon knows, which has tried. Where it does not answer,
//! what this user can read of the kernel stands in for it, and the report says that it does.

mod own;
mod steps;
mod text;
mod which;

use std::path::Path;

use nn_proto::v1;
use nn_sandbox::{Call, Facts, Layer, LayerState, Limit, Max, Need, OwnProfile, Plan, Profile};
use serde::Serialize;

use self::steps::Step;
pub(crate) use self::which::{Which, check};
use crate::daemon::{Daemon, within};
use crate::exit::Exit;
use crate::failure::Failure;

/// A profile and what this machine gives of it.
///
/// ```text
/// {
///   "profile": "worker-ort",
///   "source": { "kind": "daemon", "pid": 9, "version": "0.1.0", "text": "as nn-daemon pid 9 found them" },
///   "unmet": [],                       // layers that are required and missing
///   "layers": [{ "layer": "seccomp", "need": "require", "state": "active", "what": "…", "detail": "…", "without": "…" }],
///   "steps": [{ "stage": "jail", "what": "…" }],
///   "landlock_why": "…", "seal_why": "…",
///   "threads": { "max": 64, "why": "…" },
///   "root": { "in_force": true, "entries": [{ "name": "/proc/cpuinfo", "kind": "path", "why": "…" }] },
///   "limits": [{ "limit": "data", "of": "budget", "max": null, "unit": "bytes", "why": "…" }],
///   "system_calls": {
///     "in_force": true,
///     "allowed": [{ "name": "mmap", "conditions": ["never PROT_EXEC"], "why": "…" }],
///     "bpf_instructions": 133
///   }
/// }
/// ```
#[derive(Debug, Serialize)]
pub(crate) struct Explanation {
    profile: &'static str,
    source: Source,
    unmet: Vec<String>,
    layers: Vec<LayerView>,
    /// In their order, with the layers that are not missing.
    steps: Vec<Step>,
    landlock_why: &'static str,
    seal_why: &'static str,
    threads: Threads,
    root: Root,
    limits: Vec<LimitView>,
    system_calls: SystemCalls,
}

/// Who says which layers there are.
#[derive(Debug, Serialize)]
struct Source {
    kind: Kind,
    /// The daemon's; `null` where none answers.
    pid: Option<u32>,
    /// The daemon's; `null` where none answers.
    version: Option<String>,
    /// The same as a person reads it.
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// The daemon, which has tried.
    Daemon,
    /// This process, by reading.
    Machine,
}

#[derive(Debug, Serialize)]
struct LayerView {
    layer: String,
    /// `require` or `prefer`.
    need: String,
    state: State,
    /// What it does.
    what: &'static str,
    /// What it does, and what of that this kernel does not have; or why there is none of it, and what that means.
    detail: String,
    /// What is lost where it is missing.
    without: &'static str,
}

/// Whether a layer is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// Workers have it.
    Active,
    /// The kernel has it.
    Available,
    /// Nothing speaks against it; only the daemon tries.
    Untried,
    /// There is none.
    Missing,
}

#[derive(Debug, Serialize)]
struct Threads {
    max: u32,
    why: &'static str,
}

#[derive(Debug, Serialize)]
struct Root {
    /// Workers have a root of their own.
    in_force: bool,
    entries: Vec<Entry>,
}

#[derive(Debug, Serialize)]
struct Entry {
    /// A path, or a library's soname; `runtime` is the directory of the framework's library.
    name: &'static str,
    /// `path` or `library`.
    kind: &'static str,
    why: &'static str,
}

#[derive(Debug, Serialize)]
struct LimitView {
    limit: &'static str,
    /// `fixed`, `budget` or `threads`.
    of: &'static str,
    /// `null` where it depends on the model or the configuration.
    max: Option<u64>,
    /// `bytes` or `count`.
    unit: &'static str,
    why: &'static str,
    /// `of` and `max`, for the text form.
    #[serde(skip)]
    bound: Max,
}

#[derive(Debug, Serialize)]
struct SystemCalls {
    /// Workers have a filter.
    in_force: bool,
    /// A call that stands here twice may meet the conditions of either.
    allowed: Vec<CallView>,
    bpf_instructions: usize,
}

#[derive(Debug, Serialize)]
struct CallView {
    name: &'static str,
    /// All of them hold.
    conditions: &'static [&'static str],
    why: &'static str,
}

/// Asks the daemon, or else the kernel.
pub(crate) async fn explain(socket: &Path, profile: &'static Profile) -> Explanation {
    weigh(profile, socket, ask(socket).await)
}

/// The jail of one of our own processes: by the daemon's word, or as the profile has it.
pub(crate) async fn explain_own(
    socket: &Path,
    profile: &'static OwnProfile,
) -> own::OwnExplanation {
    own::weigh(profile, socket, ask(socket).await)
}

/// The daemon's answer, or the kernel's where that is none for this profile.
fn weigh(
    profile: &'static Profile,
    socket: &Path,
    answer: Result<v1::StatusResponse, Failure>,
) -> Explanation {
    match answer {
        Ok(answer) if has_workers_of(&answer, profile.name) => told(profile, answer),
        Ok(answer) => {
            let workers = match answer.sandbox_profile.as_str() {
                "" => "does not tell the profile of its workers".to_owned(),
                other => format!("has workers of profile {other}"),
            };
            let note = format!("nn-daemon pid {} {workers}", answer.pid);
            read(profile, &Facts::read(), &note)
        }
        Err(failure) => read(profile, &Facts::read(), &excuse(socket, &failure)),
    }
}

/// Whether workers of a daemon are jailed so.
fn has_workers_of(answer: &v1::StatusResponse, profile: &str) -> bool {
    let mut runtimes = answer.runtimes.iter();
    answer.sandbox_profile == profile
        || runtimes.any(|runtime| runtime.available && runtime.profile == profile)
}

async fn ask(socket: &Path) -> Result<v1::StatusResponse, Failure> {
    let daemon = Daemon::connect(socket).await?;
    let answer = within("status", daemon.admin().status(v1::StatusRequest {})).await?;
    Ok(answer.into_inner())
}

/// Why it is not the daemon who says it.
fn excuse(socket: &Path, failure: &Failure) -> String {
    let at = socket.display();
    match failure.exit {
        Exit::Unreachable => format!("no daemon answers at {at}"),
        Exit::Refused => format!("the daemon at {at} does not tell this user"),
        Exit::Ok | Exit::Failed | Exit::Usage | Exit::NotFound => {
            format!(
                "the daemon at {at} does not tell ({})",
                failure.fault.message
            )
        }
    }
}

/// As the daemon has found it.
fn told(profile: &'static Profile, answer: v1::StatusResponse) -> Explanation {
    let ours = env!("CARGO_PKG_VERSION");
    let mut text = format!("as nn-daemon pid {} found them", answer.pid);
    if answer.version != ours {
        let version = &answer.version;
        text.push_str(&format!(
            "; it is of version {version}, the profile shown here of {ours}"
        ));
    }
    let source = Source {
        kind: Kind::Daemon,
        pid: Some(answer.pid),
        version: Some(answer.version),
        text,
    };
    // What no profile asks for is `nnctl status`'s to tell.
    let layers = answer.isolation.into_iter();
    let layers = layers.filter(|layer| layer.need != "always");
    Explanation::new(profile, source, layers.map(Into::into).collect())
}

/// As far as reading tells.
fn read(profile: &'static Profile, facts: &Facts, note: &str) -> Explanation {
    let source = Source {
        kind: Kind::Machine,
        pid: None,
        version: None,
        text: format!("{note}: as this user finds them; namespaces were not tried"),
    };
    let plan = Plan::new(profile, facts);
    Explanation::new(
        profile,
        source,
        plan.layers.iter().map(Into::into).collect(),
    )
}

// === impl Explanation ===

impl Explanation {
    fn new(profile: &'static Profile, source: Source, layers: Vec<LayerView>) -> Self {
        let unmet = layers.iter();
        let unmet = unmet.filter(|view| view.need == "require" && view.state == State::Missing);
        let unmet = unmet.map(|view| view.layer.clone()).collect();
        let there = layers.iter().filter(|view| view.state != State::Missing);
        let there: Vec<Layer> = there.filter_map(|view| Layer::named(&view.layer)).collect();
        Self {
            profile: profile.name,
            source,
            unmet,
            steps: steps::of(profile, &there),
            layers,
            landlock_why: profile.landlock_why,
            seal_why: profile.seal_why,
            threads: Threads {
                max: profile.threads_max,
                why: profile.threads_why,
            },
            root: Root {
                in_force: there.contains(&Layer::MountNs),
                entries: entries(profile),
            },
            limits: profile.limits.iter().map(Into::into).collect(),
            system_calls: SystemCalls {
                in_force: there.contains(&Layer::Seccomp),
                allowed: profile.calls.iter().map(Into::into).collect(),
                bpf_instructions: profile.filter.len(),
            },
        }
    }
}

fn entries(profile: &'static Profile) -> Vec<Entry> {
    let paths = profile.binds.iter().map(|bind| Entry {
        name: bind.path,
        kind: "path",
        why: bind.why,
    });
    let libraries = profile.libraries.iter().map(|library| Entry {
        name: library.name,
        kind: "library",
        why: library.why,
    });
    paths.chain(libraries).collect()
}

/// Whether a limit counts bytes.
fn is_bytes(limit: Limit) -> bool {
    match limit {
        Limit::Core
        | Limit::FileSize
        | Limit::LockedMemory
        | Limit::MessageQueues
        | Limit::Stack
        | Limit::Data => true,
        Limit::Descriptors | Limit::QueuedSignals | Limit::Processes => false,
    }
}

// === impl LayerView, LimitView, CallView ===

impl From<v1::ProtectionStatus> for LayerView {
    fn from(told: v1::ProtectionStatus) -> Self {
        // One that this build does not know explains itself, by the daemon's words.
        let layer = Layer::named(&told.layer);
        Self {
            what: layer.map_or("", Layer::what),
            without: layer.map_or("", Layer::without),
            layer: told.layer,
            need: told.need,
            state: if told.active {
                State::Active
            } else {
                State::Missing
            },
            detail: told.detail,
        }
    }
}

impl From<&LayerState> for LayerView {
    fn from(found: &LayerState) -> Self {
        let (what, without) = (found.layer.what(), found.layer.without());
        let (state, detail) = match (&found.missing, &found.lacks) {
            (Some(why), _) => (State::Missing, format!("{why}; without it, {without}")),
            (None, _) if found.layer.namespace().is_some() => (State::Untried, what.to_owned()),
            (None, Some(lacks)) => (State::Available, format!("{what}; in part: {lacks}")),
            (None, None) => (State::Available, what.to_owned()),
        };
        Self {
            layer: found.layer.name().to_owned(),
            need: match found.need {
                Need::Require => "require",
                Need::Prefer => "prefer",
            }
            .to_owned(),
            state,
            what,
            detail,
            without,
        }
    }
}

impl From<&nn_sandbox::Bound> for LimitView {
    fn from(bound: &nn_sandbox::Bound) -> Self {
        let (of, max) = match bound.max {
            Max::Fixed(max) => ("fixed", Some(max)),
            Max::Budget => ("budget", None),
            Max::Threads(_) => ("threads", None),
        };
        Self {
            limit: bound.limit.name(),
            of,
            max,
            unit: if is_bytes(bound.limit) {
                "bytes"
            } else {
                "count"
            },
            why: bound.why,
            bound: bound.max,
        }
    }
}

impl From<&'static Call> for CallView {
    fn from(call: &'static Call) -> Self {
        Self {
            name: call.name,
            conditions: call.conditions,
            why: call.why,
        }
    }
}

#[cfg(test)]
mod tests;
