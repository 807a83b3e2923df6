//! The parts of a daemon, made in the order in which each needs the others.

use std::fs::File;
use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::time::Instant;

use nn_catalogue::Store;
use nn_sandbox::{Facts, Plan};
use nn_service::{Inherited, Notifier, NotifySocket};
use nn_tensor::{Fault, Reason};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::cgroup::{Cgroups, NoCgroups};
use crate::config::Config;
use crate::context::Context;
use crate::events::{Events, Journal, Kind, Told};
use crate::framework::Frameworks;
use crate::guests::Guests;
use crate::jail::GroupsStatus;
use crate::jail::own::{OwnJail, OwnJails};
use crate::lifecycle::admission::Admission;
use crate::lifecycle::policy::Policy;
use crate::listen::Door;
use crate::metrics::Process;
use crate::prepared::Prepared;
use crate::quarantine::Quarantine;
use crate::registry::Registry;
use crate::remote::{Authorities, Dialer, DialerProcess, Remotes, warn_without_network};
use crate::session::Sessions;
use crate::shutdown::Wish;
use crate::tenancy::Tenancy;
use crate::worker::outfit;
use crate::worker::spawn::{Spawner, SpawnerProcess};
use crate::worker::{Ends, Startup};
use crate::{jail, listen, metrics, server};

/// What was made before there was a runtime: in this order, so that the spawner is born where the daemon is.
#[derive(Debug)]
pub(crate) struct Before {
    pub(crate) cgroups: Result<Cgroups, NoCgroups>,
    pub(crate) spawner: SpawnerProcess,
    /// Where models may be computed elsewhere.
    pub(crate) dialer: Option<DialerProcess>,
}

/// What is opened, and jailed, while the daemon may still open and jail: the ground that everything else stands on.
pub(crate) struct Ground {
    config: Config,
    spawner: Arc<Spawner>,
    child: Child,
    /// Of what workers can be made.
    frameworks: Frameworks,
    plan: Plan,
    cgroups: GroupsStatus,
    policy: Policy,
    jails: OwnJails,
    door: Door,
    store: Store,
    state: File,
    scrapes: Option<TcpListener>,
    kserve: Option<server::Door>,
    process: Process,
    remotes: Result<Arc<Remotes>, Fault>,
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
    pub(crate) state: File,
    /// Where metrics are asked for over TCP, if they may be.
    pub(crate) scrapes: Option<TcpListener>,
    /// Where KServe's clients connect over TCP, if they may.
    pub(crate) kserve: Option<server::Door>,
    /// The way to remote engines, where there is one.
    pub(crate) remotes: Result<Arc<Remotes>, Fault>,
}

/// Opens sockets and directories, has the spawner jail itself, and then jails this process, which must not have started
/// a thread. No client is heard before that.
pub(crate) async fn ground(
    config: Config,
    file: Option<&Path>,
    inherited: Vec<Inherited>,
    before: Before,
    manager: &NotifySocket,
) -> anyhow::Result<(Ground, Journal)> {
    let (spawner, child) =
        Spawner::connect(before.spawner, config.limits.workers_max, config.uid_first).await?;
    let facts = Facts::read();
    let plan = jail::prepare(&config.sandbox, &facts, &spawner).await?;
    let cgroups = jail::prepare_groups(&spawner, before.cgroups).await;
    let frameworks = outfit::make(&config, &plan, &spawner).await?;
    let process = (&*spawner, child.id());
    let theirs = OwnJails::spawner(&config.sandbox, &facts, &plan, process).await?;
    let (remotes, dialer) = remotes(&config, &facts, before.dialer).await?;
    let door = Door::open(&config.runtime_dir, inherited)?;
    let store = Store::open(&config.state_dir)?;
    let state = listen::lock(&config.state_dir)?;
    let (events, journal) = Events::open(&config.state_dir);
    events.tell(Told::new(Kind::Started).because(env!("CARGO_PKG_VERSION")));
    let policy = Policy {
        isolation: config.isolation,
        warm_spare: config.warm_spare,
        quarantine: Arc::new(Quarantine::open(&config.state_dir, &config.limits)),
        admission: Arc::new(Admission::new(config.limits.clone())),
        spares: Arc::default(),
        residents: Arc::default(),
        meter: Arc::default(),
        events: Arc::new(events),
        prepared: Arc::new(Prepared::open(&config.state_dir, &config.limits)),
    };
    let scrapes = config.metrics.map(metrics::listen).transpose()?;
    let kserve = server::Door::open(&config.kserve)?;
    let process = Process::open();
    let jails = OwnJails {
        spawner: theirs,
        dialer,
        broker: OwnJails::broker(&config, &facts, &spawner, (file, manager.is_abstract()))?,
    };
    let ground = Ground {
        config,
        spawner,
        child,
        frameworks,
        plan,
        cgroups,
        policy,
        jails,
        door,
        store,
        state,
        scrapes,
        kserve,
        process,
        remotes,
    };
    Ok((ground, journal))
}

/// Makes the rest, and begins to load what was loaded before.
pub(crate) fn parts(ground: Ground, notifier: &Notifier) -> Parts {
    let ends = Arc::new(Ends::default());
    let startup = startup(&ground, &ends);
    if let Err(fault) = &startup {
        tracing::error!("no model can be loaded: {fault}");
    }
    let limits = &ground.config.limits;
    let events = &ground.policy.events;
    let listed = ground.config.tenants.clone();
    let tenancy = Tenancy::new(limits, listed, Some(Arc::clone(events)));
    tenancy
        .remotes()
        .replace(ground.config.kserve.tenants.clone());
    let sessions = Arc::new(Sessions::new(limits.clone(), tenancy.clone()));
    let registry = Arc::new(Registry::new(
        limits.clone(),
        ground.store,
        Arc::clone(&sessions),
        startup.clone(),
        (Arc::clone(events), tenancy.clone()),
    ));
    let computes = |startup: &Arc<Startup>| startup.frameworks.first().is_ok();
    let canary = startup.clone().ok().filter(computes);
    let remotes = ground.remotes;
    if let Ok(remotes) = &remotes {
        tokio::spawn(Arc::clone(&remotes.dialer).listen());
    }
    let guests = Arc::new(Guests::new(limits.clone(), tenancy.clone(), startup));
    registry.restore(&ground.config.repositories, notifier);
    let (drain, draining) = watch::channel(false);
    let context = Arc::new(Context {
        config: ground.config,
        started: Instant::now(),
        socket: ground.door.path.clone(),
        sessions,
        registry,
        guests,
        tenancy,
        draining,
        end: Wish::default(),
        plan: ground.plan,
        cgroups: ground.cgroups,
        jails: ground.jails,
        ends,
        policy: ground.policy,
        process: ground.process,
        certificates: ground.kserve.as_ref().and_then(server::Door::certificates),
        remotes: remotes.clone(),
    });
    Parts {
        context,
        door: ground.door,
        drain,
        canary,
        spawner: ground.spawner,
        child: ground.child,
        state: ground.state,
        scrapes: ground.scrapes,
        kserve: ground.kserve,
        remotes,
    }
}

/// The way to remote engines, where the configuration allows any: the dialer, told once, and jailed.
async fn remotes(
    config: &Config,
    facts: &Facts,
    dialer: Option<DialerProcess>,
) -> anyhow::Result<(Result<Arc<Remotes>, Fault>, Option<OwnJail>)> {
    let (Some(remote), Some(process)) = (&config.remote, dialer) else {
        let fault = Fault::of(Reason::PlacementOff).expected("an endpoint in [remote] endpoints");
        return Ok((Err(fault), None));
    };
    warn_without_network();
    let dialer = Arc::new(Dialer::connect(process)?);
    let jail = OwnJails::dialer(&config.sandbox, facts, (&dialer, &remote.endpoints)).await?;
    let remotes = Remotes::new(remote, dialer, Authorities::of_machine());
    Ok((Ok(Arc::new(remotes)), Some(jail)))
}

fn startup(ground: &Ground, ends: &Arc<Ends>) -> Result<Arc<Startup>, Fault> {
    ground.frameworks.any()?;
    let limits = ground.config.limits.clone();
    Ok(Arc::new(Startup {
        spawner: Arc::clone(&ground.spawner),
        frameworks: ground.frameworks.clone(),
        remotes: ground.remotes.clone(),
        threads: ground.config.threads,
        plan: ground.plan.clone(),
        ends: Arc::clone(ends),
        loads: Semaphore::new(usize::try_from(limits.loads_at_once_max).unwrap_or(1)),
        limits,
        policy: ground.policy.clone(),
    }))
}
