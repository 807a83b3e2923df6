//! Which jail workers get on this machine: asked of the kernel once, at the start, by reading and by trying. Those of the
//! daemon and the spawner: `jail/own.rs`.

pub(crate) mod own;

use nn_sandbox::{Facts, Layer, LayerState, Need, Plan};

use crate::cgroup::{Cgroups, NoCgroups};
use crate::config::Sandbox;
use crate::worker::spawn::{SpawnError, Spawner};

/// Why no worker is to be started here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JailError {
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    #[error(transparent)]
    Dialer(#[from] crate::remote::DialerError),
    #[error(transparent)]
    Own(#[from] own::OwnJailError),
    #[error(
        "this machine cannot jail {what} as profile {profile} requires:{missing}\n  hint: mend that, or accept \
         the loss with --allow-degraded; `nnctl sandbox explain` shows every layer"
    )]
    Unmet {
        what: &'static str,
        profile: &'static str,
        missing: String,
    },
}

/// Plans, and says what is missing; fails if the profile requires it and nobody said that this is accepted.
pub(crate) async fn prepare(
    sandbox: &Sandbox,
    facts: &Facts,
    spawner: &Spawner,
) -> Result<Plan, JailError> {
    let mut facts = facts.clone();
    for &layer in &sandbox.without {
        facts.mark(layer, "left out by sandbox.without of the configuration");
    }
    try_namespaces(&mut facts, spawner).await?;
    let plan = Plan::new(sandbox.profile, &facts);
    for state in &plan.layers {
        tell(state);
    }
    let unmet = plan.unmet();
    if unmet.is_empty() {
        return Ok(plan);
    }
    let missing: String = unmet.iter().map(|state| line(state)).collect();
    let profile = sandbox.profile.name;
    if !sandbox.allow_degraded {
        let what = "a worker";
        return Err(JailError::Unmet {
            what,
            profile,
            missing,
        });
    }
    tracing::error!(
        "DEGRADED: workers are NOT jailed as profile {profile} requires, by --allow-degraded:{missing}"
    );
    Ok(plan)
}

fn tell(state: &LayerState) {
    let layer = state.layer;
    if let Some(why) = &state.missing {
        if state.need == Need::Prefer {
            tracing::warn!("workers have no {layer}: {why}; {}", layer.without());
        }
    } else if let Some(lacks) = &state.lacks {
        tracing::warn!("workers have a part of {layer} only: {lacks}");
    } else {
        tracing::debug!("workers have {layer}");
    }
}

fn line(state: &LayerState) -> String {
    let why = state.missing.as_deref().unwrap_or_default();
    format!(
        "\n  {}: {why}; without it, {}",
        state.layer,
        state.layer.without()
    )
}

/// What control groups do for workers, in words.
#[derive(Debug)]
pub(crate) struct GroupsStatus {
    pub(crate) active: bool,
    pub(crate) detail: String,
}

/// Has workers born into control groups where that can be, and says what comes of it.
pub(crate) async fn prepare_groups(
    spawner: &Spawner,
    cgroups: Result<Cgroups, NoCgroups>,
) -> GroupsStatus {
    let used = match cgroups {
        Ok(cgroups) => spawner.use_cgroups(cgroups).await,
        Err(error) => Err(error),
    };
    if let Err(error) = used {
        let error = anyhow::Error::from(error);
        tracing::info!("workers have no control groups: {error:#}");
        return GroupsStatus {
            active: false,
            detail: format!(
                "{error:#}; resource limits (RLIMIT_DATA, RLIMIT_NPROC) hold each worker"
            ),
        };
    }
    let lacks = spawner.cgroups().and_then(Cgroups::lacks);
    let detail = spawner.cgroups().map(Cgroups::detail).unwrap_or_default();
    let lacks = lacks.map(|lacks| format!("; in part: {lacks}"));
    GroupsStatus {
        active: true,
        detail: detail + &lacks.unwrap_or_default(),
    }
}

/// All at once first, as they will be made; only where that fails each by itself, to know which it is.
async fn try_namespaces(facts: &mut Facts, spawner: &Spawner) -> Result<(), SpawnError> {
    let candidates = |facts: &Facts| {
        let there = |layer: &Layer| facts.missing(*layer).is_none();
        let layers = Layer::ALL.into_iter().filter(there);
        layers
            .filter_map(|layer| Some((layer, layer.namespace()?)))
            .collect::<Vec<_>>()
    };
    let combined = |facts: &Facts| {
        candidates(facts)
            .iter()
            .fold(0, |all, (_, flag)| all | flag)
    };
    let trial = spawner.try_namespaces(combined(facts)).await?;
    if !trial.own_uids {
        let lacks = "workers have the daemon's uid outside, and so each other's (uids of their own take \
                     CAP_SETUID and CAP_SETGID, and workers.uid_first mapped here)";
        facts.note(Layer::UserNs, lacks);
    }
    if trial.result.is_ok() {
        return Ok(());
    }
    let user_there = facts.missing(Layer::UserNs).is_none();
    let user = Layer::UserNs.namespace().filter(|_| user_there);
    let mut user = user.unwrap_or_default();
    for (layer, flag) in candidates(facts) {
        // The others are made inside the user namespace, which gives the right to make them; it comes first.
        if let Err(why) = spawner.try_namespaces(user | flag).await?.result {
            facts.mark(layer, &why);
            if layer == Layer::UserNs {
                user = 0;
            }
        }
    }
    // What works one by one must also work together.
    if let Err(why) = spawner.try_namespaces(combined(facts)).await?.result {
        for (layer, _) in candidates(facts) {
            facts.mark(layer, &why);
        }
    }
    Ok(())
}
