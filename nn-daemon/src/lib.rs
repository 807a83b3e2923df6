//! The broker. It owns models, runs each in a worker process of its own, and hands clients' jobs to
//! them. It links no inference framework and looks at no tensor byte; it copies those that come in messages (`kserve.rs`).
//!
//! ```text
//!  clients ──gRPC, descriptors──▶ nn-daemon ──▶ nn-worker (one per model version)
//!                                     └──────▶ nn-spawner (starts and reaps the workers)
//! ```
//!
//! One inference: `server/infer.rs` → `infer.rs` → `queue.rs` → `queue/dispatch.rs` → `worker.rs`, and
//! back by `worker/reader.rs` → `worker/answer.rs` → `infer.rs` → `server/infer.rs`.

mod arena;
mod assemble;
mod cgroup;
mod cli;
mod config;
mod context;
mod events;
mod framework;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod guests;
mod health;
mod infer;
mod jail;
mod kserve;
mod lifecycle;
mod limits;
mod listen;
mod manual;
mod metrics;
mod model;
mod packet;
mod peer;
mod prepared;
mod quarantine;
mod queue;
mod registry;
mod reload;
mod remote;
mod server;
mod session;
mod shutdown;
pub mod telemetry;
mod tenancy;
mod worker;

pub use cli::Cli;
pub use config::{Config, ConfigError, Kserve, Remote, RemoteError, Tls};
pub use lifecycle::policy::Isolation;
pub use limits::Limits;
pub use manual::MANUAL;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nn_service::{Inherited, NotifySocket};
use tokio::sync::watch;

use assemble::{Before, Parts};
use cgroup::Cgroups;
use context::Context;
use events::{Kind, Told};
use remote::{DialerProcess, Remotes};
use worker::spawn::SpawnerProcess;

/// Threads that read and write files.
const FILE_THREADS_MAX: usize = 4;

/// How long each waits for more. The allocator keeps up to a quarter of a MiB for a thread while it lives.
const FILE_THREAD_IDLE_MAX: Duration = Duration::from_millis(50);

/// How often it is looked which versions may rest.
const REST_INTERVAL: Duration = Duration::from_secs(1);

/// Runs the daemon until it is asked to end (SIGTERM, SIGINT) or cannot go on. `cli` is what the configuration came from,
/// and comes from again at SIGHUP; `inherited` the sockets that the service manager has opened, if it has.
///
/// # Errors
/// When it cannot start, or when the spawner ends and with it every worker.
pub fn run(config: Config, cli: Cli, inherited: Vec<Inherited>) -> anyhow::Result<()> {
    // Before there is a runtime, and before anything from outside has been read; and before the spawner is born.
    let before = Before {
        cgroups: Cgroups::take(),
        spawner: SpawnerProcess::start(&config.spawner, &config.worker)?,
        dialer: config
            .remote
            .as_ref()
            .map(|remote| DialerProcess::start(&remote.dialer))
            .transpose()?,
    };
    raise_descriptors();
    // One thread: ADR 7.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(FILE_THREADS_MAX)
        .thread_keep_alive(FILE_THREAD_IDLE_MAX)
        .build()
        .context("cannot start the runtime")?;
    let served = runtime.block_on(serve(config, cli, inherited, before));
    // Files that are still being written are left as they are: what counts is moved into place whole.
    runtime.shutdown_timeout(shutdown::FILES_TIMEOUT);
    served
}

/// Every segment is a descriptor: as many as the system allows.
fn raise_descriptors() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!("the limit of descriptors stays as it is: {error}");
    }
}

async fn serve(
    config: Config,
    cli: Cli,
    inherited: Vec<Inherited>,
    before: Before,
) -> anyhow::Result<()> {
    let hangups = reload::hangups().context("cannot hear SIGHUP")?;
    let requests = shutdown::Requests::hear().context("cannot hear SIGTERM")?;
    let end_with_stdin = config.end_with_stdin;
    config.warn();
    let manager = NotifySocket::from_env().context("cannot tell the service manager")?;
    let file = cli.config.as_deref();
    let (ground, journal) = assemble::ground(config, file, inherited, before, &manager).await?;
    tokio::spawn(journal.run());
    // Jailed from here on. Not before: this starts a thread.
    let notifier = manager.start().context("cannot tell the service manager")?;
    let Parts {
        context,
        door,
        drain,
        canary,
        spawner,
        mut child,
        state: _state,
        scrapes,
        kserve,
        remotes,
    } = assemble::parts(ground, &notifier);

    let descriptors = tokio::spawn(session::fd::serve(Arc::clone(&context), door.fd));
    let (stop, stopped) = watch::channel(false);
    let doors = (door.grpc, kserve);
    let server = tokio::spawn(server::serve(Arc::clone(&context), doors, stopped));
    if let Some(scrapes) = scrapes {
        tokio::spawn(metrics::serve(Arc::clone(&context), scrapes));
    }
    tokio::spawn(trim(Arc::clone(&context)));
    tokio::spawn(rest(Arc::clone(&context)));
    tokio::spawn(measure(Arc::clone(&context)));
    tracing::info!(
        socket = %door.path.display(),
        state = %context.config.state_dir.display(),
        "nn-daemon {} is ready",
        env!("CARGO_PKG_VERSION"),
    );
    notifier.ready(&health::summary(&context));
    let (watched, watchdog) = (Arc::clone(&context), nn_service::watchdog());
    let health = tokio::spawn(health::watch(watched, canary, notifier.clone(), watchdog));
    let reloaded = Arc::clone(&context);
    tokio::spawn(reload::on_hangup(reloaded, hangups, cli, notifier.clone()));

    let lost = tokio::select! {
        ending = asked_to_end(&context, requests, end_with_stdin) => {
            context.policy.events.tell(ending?);
            false
        }
        () = spawner.lost() => {
            let why = "the spawner has ended";
            context.policy.events.tell(Told::new(Kind::Ending).because(why));
            true
        }
    };
    notifier.stopping("computes in flight end, then the workers");
    // The canary goes while there is a spawner to kill it.
    health.abort();
    drain.send_replace(true);
    shutdown::drain(&context, server, &stop, lost).await;
    context.policy.events.flush().await;
    descriptors.abort();
    spawner.close();
    close_dialer(remotes.ok()).await;
    let ended = tokio::task::spawn_blocking(move || child.wait());
    let _ = tokio::time::timeout(shutdown::SPAWNER_TIMEOUT, ended).await;
    notifier.flush();
    anyhow::ensure!(!lost, "the spawner ended, and with it every worker");
    Ok(())
}

/// Lets the dialer end, where there is one.
async fn close_dialer(remotes: Option<Arc<Remotes>>) {
    if let Some(remotes) = remotes {
        remotes.dialer.close().await;
    }
}

/// Returns once somebody wants the daemon to end: who or what, as it is told among the events.
async fn asked_to_end(
    context: &Context,
    requests: shutdown::Requests,
    end_with_stdin: bool,
) -> anyhow::Result<Told> {
    let ending = Told::new(Kind::Ending);
    tokio::select! {
        signal = requests.requested(end_with_stdin) => {
            let signal = signal?;
            tracing::info!("ending: {signal}");
            Ok(ending.because(signal))
        }
        peer = context.end.wanted() => {
            tracing::info!(uid = peer.uid, pid = peer.pid, "ending: an operator drains the daemon");
            Ok(ending.by(peer).because("nnctl drain"))
        }
    }
}

/// Has versions rest that nobody needs, and tells of denials that were held back.
async fn rest(context: Arc<Context>) {
    loop {
        tokio::time::sleep(REST_INTERVAL).await;
        context.registry.rest_idle();
        context.tenancy.denials().settle();
    }
}

/// Measures what workers have of memory, and has them be fewer where that is too much.
async fn measure(context: Arc<Context>) {
    loop {
        let pause = context.registry.measure().await;
        tokio::time::sleep(pause).await;
    }
}

/// Takes idle output segments back from workers, every now and then.
async fn trim(context: Arc<Context>) {
    loop {
        tokio::time::sleep(context.config.limits.idle()).await;
        for worker in context.workers() {
            worker.trim();
        }
        context.registry.retire_idle();
    }
}
