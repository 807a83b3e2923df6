//! The jails of the daemon itself and of the spawner. The spawner's first, once it has tried what it is to make; the
//! daemon's own when everything is open that it will not be allowed to open, while it has one thread and no client has
//! been heard. What the kernel says of both is read for as long as the daemon lives: by descriptors that were opened
//! before, for it opens nothing below /proc any more. ADR 18.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use nn_sandbox::{Facts, Layer, Need, OwnAsk, OwnPlan, OwnProfile, enter, own_steps};
use nn_worker_wire::walls;

use super::JailError;
use crate::config::{Config, Library, Sandbox};
use crate::peer::own_uid;
use crate::worker::spawn::Spawner;

/// More than any `status` has.
const STATUS_BYTES_MAX: u64 = 16 * 1024;

/// What a process without a capability has in each set.
const NONE: &str = "0000000000000000";

/// `CAP_SETPCAP` among them: with it the bounding set is emptied, without it there is nothing to bound.
const SETPCAP: u64 = 1 << 8;

/// A profile of our own processes, and what became of it.
#[derive(Debug)]
pub(crate) struct OwnJail {
    pub(crate) plan: OwnPlan,
    pub(crate) pid: u32,
    /// `/proc/PID/status`.
    status: File,
}

/// Both.
#[derive(Debug)]
pub(crate) struct OwnJails {
    pub(crate) broker: OwnJail,
    pub(crate) spawner: OwnJail,
}

/// Why one of our own processes has no jail.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OwnJailError {
    #[error("this build has no sandbox profile {0}")]
    Profile(&'static str),
    #[error("cannot read what the kernel says of process {pid}")]
    Status {
        pid: u32,
        #[source]
        source: io::Error,
    },
    #[error("{threads} threads run before the daemon's jail is up; expected one")]
    Threads { threads: String },
    #[error("{process} did not jail itself; expected {field} {expected}, got {got}")]
    Field {
        process: &'static str,
        field: &'static str,
        expected: String,
        got: String,
    },
    #[error(transparent)]
    Apply(#[from] nn_sandbox::ApplyError),
    #[error("in its jail the spawner cannot start workers any more: {0}")]
    Spawner(String),
    #[error(
        "in its jail the daemon cannot write to {path}; hint: without capabilities root is a user like others: start the \
         daemon as the owner of its state, or give the directory to whom it runs as"
    )]
    State {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// What the kernel said before.
struct Walls(String);

// === impl OwnJails ===

impl OwnJails {
    /// Jails the spawner; workers that are started from here on inherit it.
    pub(crate) async fn spawner(
        sandbox: &Sandbox,
        facts: &Facts,
        workers: &nn_sandbox::Plan,
        (spawner, pid): (&Spawner, u32),
    ) -> Result<OwnJail, JailError> {
        let mut facts = left_out(facts, &sandbox.without_spawner, "sandbox.without_spawner");
        let theirs = workers.active();
        for layer in Layer::ALL {
            if !theirs.contains(&layer) {
                facts.mark(layer, "workers go without it, and would inherit it");
            }
        }
        let jail = OwnJail::plan("spawner", &facts, pid, sandbox.allow_degraded)?;
        let before = jail.walls()?;
        let privileged = !theirs.contains(&Layer::UserNs) || Facts::namespaces_take_privileges();
        spawner.jail(&jail.plan.active(), privileged).await?;
        let kept = if privileged { None } else { Some(0xc0) };
        jail.check(&before, kept)?;
        // What worked before must still.
        let trial = spawner.try_namespaces(workers.namespaces()).await?;
        trial.result.map_err(OwnJailError::Spawner)?;
        Ok(jail)
    }

    /// Jails this process, which has one thread. `file`: the configuration's.
    pub(crate) fn broker(
        config: &Config,
        facts: &Facts,
        spawner: &Spawner,
        (file, abstract_sockets): (Option<&Path>, bool),
    ) -> Result<OwnJail, JailError> {
        let sandbox = &config.sandbox;
        let mut facts = left_out(facts, &sandbox.without_broker, "sandbox.without_broker");
        // Asked for here in any case: in the jail it cannot be.
        let is_root = own_uid() == 0;
        if facts.missing(Layer::NoNewPrivs).is_some() && !is_root {
            facts.mark(Layer::Landlock, "it takes no_new_privs, or a capability");
        }
        let jail = OwnJail::plan("broker", &facts, std::process::id(), sandbox.allow_degraded)?;
        let before = jail.walls()?;
        let threads = before.value("Threads").unwrap_or("no");
        if threads != "1" {
            let threads = threads.to_owned();
            return Err(OwnJailError::Threads { threads }.into());
        }
        let ask = OwnAsk {
            places: places(config, file, spawner),
            abstract_sockets,
            privileged: false,
        };
        let steps = own_steps(jail.plan.profile, &jail.plan.active(), &ask);
        enter(&steps).map_err(OwnJailError::from)?;
        jail.check(&before, Some(0))?;
        is_writable(&config.state_dir)?;
        Ok(jail)
    }
}

fn left_out(facts: &Facts, without: &[Layer], key: &str) -> Facts {
    let mut facts = facts.clone();
    for &layer in without {
        facts.mark(layer, &format!("left out by {key} of the configuration"));
    }
    facts
}

/// A full disk is no reason not to start; a directory of somebody else's is.
fn is_writable(state_dir: &Path) -> Result<(), OwnJailError> {
    match tempfile::NamedTempFile::new_in(state_dir) {
        Err(source) if source.kind() == io::ErrorKind::PermissionDenied => {
            let path = state_dir.to_owned();
            Err(OwnJailError::State { path, source })
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The paths of what the profile grants.
fn places(
    config: &Config,
    file: Option<&Path>,
    spawner: &Spawner,
) -> Vec<(&'static str, Vec<PathBuf>)> {
    let runtimes = match &config.onnxruntime {
        Library::At(path) | Library::Missing(path) => path.parent().map(Path::to_owned),
        Library::NotIn(_) => None,
    };
    let searched = match &config.onnxruntime {
        Library::NotIn(places) => places.clone(),
        Library::At(_) | Library::Missing(_) => Vec::new(),
    };
    for repository in config.repositories.iter().filter(|path| !path.exists()) {
        tracing::warn!(
            "the model repository {} is not there; the daemon sees it after a restart only",
            repository.display()
        );
    }
    let groups = spawner.cgroups().map(|groups| groups.workers().to_owned());
    vec![
        ("state_dir", vec![config.state_dir.clone()]),
        ("runtime_dir", vec![config.runtime_dir.clone()]),
        ("model_repository", config.repositories.clone()),
        ("configuration", file.map(configuration).unwrap_or_default()),
        ("runtimes", [Vec::from_iter(runtimes), searched].concat()),
        ("cgroups", Vec::from_iter(groups)),
    ]
}

/// Where a configuration file is looked for again: its directory, and that of what it is a link to. A directory that
/// much else lies below (/etc, /tmp, a link to the root) is not opened for that: then it is the file as it is now.
fn configuration(file: &Path) -> Vec<PathBuf> {
    let lies_in = |file: &Path| {
        let folder = fs::canonicalize(file.parent()?)
            .or_else(|_| fs::canonicalize("."))
            .ok()?;
        let own = folder.components().count() > 2;
        own.then_some(folder)
    };
    let link = std::path::absolute(file).ok();
    let target = fs::canonicalize(file).ok();
    let both = [link, target].into_iter().flatten();
    both.map(|path| lies_in(&path).unwrap_or(path)).collect()
}

// === impl OwnJail ===

impl OwnJail {
    fn plan(
        name: &'static str,
        facts: &Facts,
        pid: u32,
        allow_degraded: bool,
    ) -> Result<Self, JailError> {
        let profile = OwnProfile::named(name).ok_or(OwnJailError::Profile(name))?;
        let plan = OwnPlan::new(profile, facts);
        let process = profile.process;
        for state in &plan.layers {
            let (layer, without) = (state.rule.layer, state.rule.without);
            match (&state.missing, &state.lacks) {
                (Some(why), _) if state.rule.need == Need::Prefer => {
                    tracing::warn!("{process} has no {layer}: {why}; {without}");
                }
                (None, Some(lacks)) => {
                    tracing::debug!("{process} has a part of {layer} only: {lacks}");
                }
                _ => {}
            }
        }
        let unmet = plan.unmet().into_iter().map(|state| {
            let why = state.missing.as_deref().unwrap_or_default();
            let (layer, without) = (state.rule.layer, state.rule.without);
            format!("\n  {layer}: {why}; without it, {without}")
        });
        let missing: String = unmet.collect();
        if !missing.is_empty() && !allow_degraded {
            let what = process;
            return Err(JailError::Unmet {
                what,
                profile: name,
                missing,
            });
        }
        if !missing.is_empty() {
            tracing::error!(
                "DEGRADED: {process} is NOT jailed as profile {name} requires, by --allow-degraded:{missing}"
            );
        }
        let path = format!("/proc/{pid}/status");
        let status = File::open(path).map_err(|source| OwnJailError::Status { pid, source })?;
        Ok(Self { plan, pid, status })
    }

    /// Whether this layer is up.
    pub(crate) fn has(&self, layer: Layer) -> bool {
        self.plan.active().contains(&layer)
    }

    /// What the kernel says of its walls now, in one line.
    pub(crate) fn kernel(&self) -> String {
        match self.walls() {
            Ok(Walls(status)) => walls(&status).replace('\t', " ").replace('\n', ", "),
            Err(error) => anyhow::Error::from(error).root_cause().to_string(),
        }
    }

    fn walls(&self) -> Result<Walls, OwnJailError> {
        let mut text = Vec::new();
        // From the beginning each time: the kernel writes it anew then. One thread reads (ADR 7).
        let mut status = &self.status;
        let read = status.rewind().and_then(|()| {
            let mut bounded = status.take(STATUS_BYTES_MAX);
            bounded.read_to_end(&mut text)
        });
        let pid = self.pid;
        read.map_err(|source| OwnJailError::Status { pid, source })?;
        Ok(Walls(String::from_utf8_lossy(&text).into_owned()))
    }

    /// Whether what was planned is there. `kept`: the capabilities that may be left, if that is known.
    fn check(&self, before: &Walls, kept: Option<u64>) -> Result<(), OwnJailError> {
        let after = self.walls()?;
        let active = self.plan.active();
        let mut expected: Vec<(&'static str, &str)> = Vec::new();
        if active.contains(&Layer::NoNewPrivs) {
            expected.push(("NoNewPrivs", "1"));
        }
        if active.contains(&Layer::Seccomp) {
            expected.push(("Seccomp", "2"));
        }
        expected.extend([("CapInh", NONE), ("CapAmb", NONE)]);
        if kept == Some(0) && before.bits("CapEff") & SETPCAP != 0 {
            expected.push(("CapBnd", NONE));
        }
        for (field, expected) in expected {
            let got = after.value(field).unwrap_or("nothing");
            if got != expected {
                return Err(self.wrong(field, expected, got));
            }
        }
        for field in ["CapPrm", "CapEff"] {
            if let Some(kept) = kept
                && after.bits(field) & !kept != 0
            {
                let expected = format!("at most {kept:016x}");
                let got = after.value(field).unwrap_or("nothing");
                return Err(self.wrong(field, &expected, got));
            }
        }
        // A filter that somebody else has installed before (a service manager) is none of ours.
        let filters = |walls: &Walls| walls.value("Seccomp_filters")?.parse::<u64>().ok();
        if active.contains(&Layer::Seccomp)
            && let (Some(before), Some(after)) = (filters(before), filters(&after))
            && after <= before
        {
            let expected = format!("more than {before}");
            return Err(self.wrong("Seccomp_filters", &expected, &after.to_string()));
        }
        Ok(())
    }

    fn wrong(&self, field: &'static str, expected: &str, got: &str) -> OwnJailError {
        OwnJailError::Field {
            process: self.plan.profile.process,
            field,
            expected: expected.to_owned(),
            got: got.to_owned(),
        }
    }
}

// === impl Walls ===

impl Walls {
    fn value(&self, field: &str) -> Option<&str> {
        let of = |line: &'_ str| line.split_once(':').is_some_and(|(name, _)| name == field);
        let line = self.0.lines().find(|line| of(line))?;
        line.split_once(':').map(|(_, value)| value.trim())
    }

    fn bits(&self, field: &str) -> u64 {
        let bits = self.value(field);
        // What cannot be read is taken for everything.
        bits.and_then(|bits| u64::from_str_radix(bits, 16).ok())
            .unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jail() -> OwnJail {
        OwnJail::plan("broker", &Facts::read(), std::process::id(), true).unwrap()
    }

    fn walls_of(text: &str) -> Walls {
        Walls(text.to_owned())
    }

    #[test]
    fn a_process_that_did_not_jail_itself_is_found_out() {
        let jail = jail();
        let nothing = walls_of("Seccomp_filters:\t0\nCapEff:\t000001ffffffffff");
        let checked = jail.check(&nothing, Some(0));
        assert!(
            matches!(checked, Err(OwnJailError::Field { .. })),
            "{checked:?}"
        );
    }

    #[test]
    fn what_the_kernel_says_is_one_line_of_walls() {
        let line = jail().kernel();
        assert!(
            line.contains("NoNewPrivs: ") && line.contains(", Seccomp: "),
            "{line}"
        );
        assert!(!line.contains('\n') && !line.contains("Name"), "{line}");
    }

    #[test]
    fn a_value_that_is_not_there_is_taken_for_every_capability() {
        assert_eq!(walls_of("Name:\tx").bits("CapEff"), u64::MAX);
        assert_eq!(walls_of("CapEff:\t00c0").bits("CapEff"), 0xc0);
    }

    #[test]
    fn the_directory_of_a_configuration_file_is_granted_unless_much_else_lies_there() {
        let folder = tempfile::tempdir().unwrap();
        let real = fs::canonicalize(folder.path()).unwrap();
        let file = folder.path().join("nn-daemon.toml");
        fs::write(&file, "").unwrap();
        assert!(configuration(&file).iter().all(|path| *path == real));
        let shared = Path::new("/etc/nn-daemon-that-is-not-there.toml");
        assert_eq!(configuration(shared), [shared]);
    }

    #[test]
    fn a_layer_that_is_left_out_and_required_is_refused_without_leave() {
        let facts = left_out(
            &Facts::default(),
            &[Layer::Seccomp],
            "sandbox.without_broker",
        );
        let refused = OwnJail::plan("broker", &facts, std::process::id(), false);
        let text = refused.unwrap_err().to_string();
        assert!(
            text.contains("left out by sandbox.without_broker"),
            "{text}"
        );
        assert!(OwnJail::plan("broker", &facts, std::process::id(), true).is_ok());
    }
}
