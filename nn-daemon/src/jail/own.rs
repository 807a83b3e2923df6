//! The jails of the daemon itself, of the spawner and, where there is one, of the dialer. The spawner's first, once it has tried what it is to make; the
//! daemon's own when everything is open that it will not be allowed to open, while it has one thread and no client has
//! been heard. What the kernel says of both is read for as long as the daemon lives: by descriptors that were opened
//! before, for it opens nothing below /proc any more. ADR 18.

mod places;
mod walls;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use nn_sandbox::{Facts, Layer, Need, OwnAsk, OwnPlan, OwnProfile, enter, own_steps};

use super::JailError;
use crate::config::{Config, Sandbox};
use crate::peer::own_uid;
use crate::remote::Dialer;
use crate::worker::spawn::Spawner;
use places::{is_writable, places};

/// A profile of our own processes, and what became of it.
#[derive(Debug)]
pub(crate) struct OwnJail {
    pub(crate) plan: OwnPlan,
    pub(crate) pid: u32,
    /// `/proc/PID/status`.
    status: File,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct OwnJails {
    pub(crate) broker: OwnJail,
    pub(crate) spawner: OwnJail,
    /// Where models may be computed elsewhere.
    pub(crate) dialer: Option<OwnJail>,
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

// === impl OwnJails ===

impl OwnJails {
    /// Each.
    pub(crate) fn all(&self) -> impl Iterator<Item = &OwnJail> {
        [&self.broker, &self.spawner]
            .into_iter()
            .chain(&self.dialer)
    }

    /// Tells the dialer what it may connect to, and has it jail itself.
    pub(crate) async fn dialer(
        sandbox: &Sandbox,
        facts: &Facts,
        (dialer, endpoints): (&Dialer, &[String]),
    ) -> Result<OwnJail, JailError> {
        let mut facts = left_out(facts, &sandbox.without_dialer, "sandbox.without_dialer");
        if facts.missing(Layer::NoNewPrivs).is_some() && own_uid() != 0 {
            facts.mark(Layer::Landlock, "it takes no_new_privs, or a capability");
        }
        let jail = OwnJail::plan("dialer", &facts, dialer.pid, sandbox.allow_degraded)?;
        let before = jail.walls()?;
        dialer.allow(endpoints, &jail.plan.active()).await?;
        jail.check(&before, Some(0))?;
        Ok(jail)
    }

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
            tcp_connect: Vec::new(),
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
}

#[cfg(test)]
mod tests {
    use super::*;

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
