//! The parts of a daemon, made in the order in which each needs the others.

use std::fs::File;
use std::process::Child;
use std::sync::Arc;
use std::time::Instant;

use nix::fcntl::Flock;
use nn_sandbox::Plan;
use nn_service::{Inherited, Notifier};
use nn_tensor::{Code, Fault};
use tokio::sync::{Semaphore, watch};

use crate::cgroup::{Cgroups, NoCgroups};
use crate::config::{Config, Library};
use crate::context::Context;
use crate::guests::Guests;
use crate::listen::Door;
use crate::peer::Tenants;
use crate::registry::Registry;
use crate::session::Sessions;
use crate::worker::spawn::{Spawner, SpawnerProcess};
use crate::worker::{Ends, Startup};
use crate::{jail, listen};

/// What was made before there was a runtime: in this order, so that the spawner is born where the daemon is.
#[derive(Debug)]
pub(crate) struct Before {
    pub(crate) cgroups: Result<Cgroups, NoCgroups>,
    pub(crate) spawner: SpawnerProcess,
}

/// Everything, before anything of it serves.
pub(crate) struct Parts {
    pub(crate) context: Arc<Context>,
    pub(crate) door: Door,
    /// True from the moment the daemon begins to end.
    pub(crate) drain: watch::Sender<bool>,
    /// What the canary is started with, if there is a framework to start it with.
    pub(crate) canary: Option<Arc<Startup>>,
    pub(crate) spawner: Arc<Spawner>,
    pub(crate) child: Child,
    /// The lock of the state directory.
    pub(crate) state: Flock<File>,
}

/// Makes them all, and begins to load what was loaded before.
pub(crate) async fn parts(
    config: Config,
    inherited: Vec<Inherited>,
    before: Before,
    notifier: &Notifier,
) -> anyhow::Result<Parts> {
    let (spawner, child) =
        Spawner::connect(before.spawner, config.limits.workers_max, config.uid_first).await?;
    let plan = jail::prepare(&config.sandbox, &spawner).await?;
    let cgroups = jail::prepare_groups(&spawner, before.cgroups).await;
    let door = Door::open(&config.runtime_dir, inherited)?;
    let store = Registry::open_store(&config.state_dir)?;
    let state = listen::lock(&config.state_dir)?;
    let ends = Arc::new(Ends::default());
    let startup = startup(&config, &spawner, &plan, &ends);
    if let Err(fault) = &startup {
        tracing::error!("no model can be loaded: {fault}");
    }
    let limits = &config.limits;
    let tenants = Tenants::new(config.tenants.clone());
    let sessions = Arc::new(Sessions::new(limits.clone(), tenants.clone()));
    let registry = Arc::new(Registry::new(
        limits.clone(),
        store,
        Arc::clone(&sessions),
        startup.clone(),
    ));
    let canary = startup.clone().ok();
    let guests = Arc::new(Guests::new(limits.clone(), startup));
    registry.restore(&config.repositories, notifier);
    let (drain, draining) = watch::channel(false);
    let context = Arc::new(Context {
        config,
        started: Instant::now(),
        socket: door.path.clone(),
        sessions,
        registry,
        guests,
        tenants,
        draining,
        plan,
        cgroups,
        ends,
    });
    Ok(Parts {
        context,
        door,
        drain,
        canary,
        spawner,
        child,
        state,
    })
}

fn startup(
    config: &Config,
    spawner: &Arc<Spawner>,
    plan: &Plan,
    ends: &Arc<Ends>,
) -> Result<Arc<Startup>, Fault> {
    let Library::At(library) = &config.onnxruntime else {
        let none = Fault::new(
            Code::UnsupportedOperation,
            "the daemon has found no ONNX Runtime",
        );
        return Err(none.hint(
            "set NN_RUNTIMES or runtimes.onnxruntime; `nnctl status` shows where it looked",
        ));
    };
    Ok(Arc::new(Startup {
        spawner: Arc::clone(spawner),
        library: library.clone(),
        threads: config.threads,
        plan: plan.clone(),
        ends: Arc::clone(ends),
        loads: Semaphore::new(usize::try_from(config.limits.loads_at_once_max).unwrap_or(1)),
        limits: config.limits.clone(),
    }))
}
