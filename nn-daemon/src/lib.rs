//! The broker. It owns models, runs each in a worker process of its own, and hands clients' jobs to
//! them. It links no inference framework and looks at no tensor byte.
//!
//! ```text
//!  clients ──gRPC, descriptors──▶ nn-daemon ──▶ nn-worker (one per model version)
//!                                     └──────▶ nn-spawner (starts and reaps the workers)
//! ```
//!
//! One inference: `server/infer.rs` → `infer.rs` → `queue.rs` → `queue/dispatch.rs` → `worker.rs`, and
//! back by `worker/reader.rs` → `worker/answer.rs` → `infer.rs` → `server/infer.rs`.

mod arena;
mod cli;
mod config;
mod context;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod guests;
mod infer;
mod jail;
mod lifecycle;
mod limits;
mod listen;
mod model;
mod packet;
mod peer;
mod queue;
mod registry;
mod server;
mod session;
mod shutdown;
pub mod telemetry;
mod worker;

pub use cli::Cli;
pub use config::{Config, ConfigError};
pub use limits::Limits;

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nn_sandbox::Plan;
use nn_tensor::{Code, Fault};
use tokio::sync::{Semaphore, watch};

use context::Context;
use guests::Guests;
use listen::Door;
use peer::Tenants;
use registry::Registry;
use session::Sessions;
use worker::spawn::{Spawner, SpawnerProcess};
use worker::{Ends, Startup};

/// Runs the daemon until it is asked to end (SIGTERM, SIGINT) or cannot go on.
///
/// # Errors
/// When it cannot start, or when the spawner ends and with it every worker.
pub fn run(config: Config) -> anyhow::Result<()> {
    // Before there is a runtime, and before anything from outside has been read.
    let process = SpawnerProcess::start(&config.spawner, &config.worker)?;
    raise_descriptors();
    // One thread: ADR 7.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .build()
        .context("cannot start the runtime")?;
    let served = runtime.block_on(serve(config, process));
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

async fn serve(config: Config, process: SpawnerProcess) -> anyhow::Result<()> {
    let (spawner, mut child) =
        Spawner::connect(process, config.limits.workers_max, config.uid_first).await?;
    let plan = jail::prepare(&config.sandbox, &spawner).await?;
    let door = Door::open(&config.runtime_dir)?;
    let store = Registry::open_store(&config.state_dir)?;
    let _state = listen::lock(&config.state_dir)?;
    let ends = Arc::new(Ends::default());
    let startup = startup(&config, &spawner, &plan, &ends);
    if let Err(fault) = &startup {
        tracing::error!("no model can be loaded: {fault}");
    }
    let tenants = Tenants(config.tenants.clone());
    let sessions = Arc::new(Sessions::new(config.limits.clone(), tenants));
    let registry = Arc::new(Registry::new(
        config.limits.clone(),
        store,
        Arc::clone(&sessions),
        startup.clone(),
    ));
    let guests = Arc::new(Guests::new(config.limits.clone(), startup));
    registry.restore(&config.repositories);
    let (drain, draining) = watch::channel(false);
    let end_with_stdin = config.end_with_stdin;
    let context = Arc::new(Context {
        config,
        started: Instant::now(),
        sessions,
        registry,
        guests,
        draining,
        plan,
        ends,
    });

    let descriptors = tokio::spawn(session::fd::serve(Arc::clone(&context), door.fd));
    let (stop, mut stopped) = watch::channel(false);
    let until = async move {
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    let server = tokio::spawn(server::serve(Arc::clone(&context), door.grpc, until));
    tokio::spawn(trim(Arc::clone(&context)));
    tracing::info!(
        socket = %context.config.runtime_dir.join(nn_proto::GRPC_SOCKET).display(),
        state = %context.config.state_dir.display(),
        "nn-daemon {} is ready",
        env!("CARGO_PKG_VERSION"),
    );

    let lost = tokio::select! {
        signal = shutdown::requested(end_with_stdin) => {
            tracing::info!("ending: {}", signal?);
            false
        }
        () = spawner.lost() => true,
    };
    drain.send_replace(true);
    shutdown::drain(&context, server, &stop, lost).await;
    descriptors.abort();
    spawner.close();
    let ended = tokio::task::spawn_blocking(move || child.wait());
    let _ = tokio::time::timeout(shutdown::SPAWNER_TIMEOUT, ended).await;
    anyhow::ensure!(!lost, "the spawner ended, and with it every worker");
    Ok(())
}

/// Takes idle output segments back from workers, every now and then.
async fn trim(context: Arc<Context>) {
    loop {
        tokio::time::sleep(context.config.limits.idle()).await;
        for worker in context.workers() {
            worker.trim();
        }
    }
}

fn startup(
    config: &Config,
    spawner: &Arc<Spawner>,
    plan: &Plan,
    ends: &Arc<Ends>,
) -> Result<Arc<Startup>, Fault> {
    let library = config.onnxruntime.clone().map_err(|_| {
        Fault::new(
            Code::UnsupportedOperation,
            "the daemon has found no ONNX Runtime",
        )
        .hint("set NN_RUNTIMES or runtimes.onnxruntime; `nnctl status` shows where it looked")
    })?;
    Ok(Arc::new(Startup {
        spawner: Arc::clone(spawner),
        library,
        threads: config.threads,
        plan: plan.clone(),
        ends: Arc::clone(ends),
        loads: Semaphore::new(usize::try_from(config.limits.loads_at_once_max).unwrap_or(1)),
        limits: config.limits.clone(),
    }))
}
