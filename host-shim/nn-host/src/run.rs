//! `nn-host run`: one guest, from its file to its exit code. The daemon is asked first: a guest would
//! learn that there is none only from its own load, and say less about it.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nn_client::{Client, socket_path};
use nn_tensor::Tenant;
use tokio::signal::unix::{SignalKind, signal};
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};
use wasmtime_wasi::p2::bindings::Command;
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtx, WasiCtxBuilder};

use crate::cli::RunArgs;
use crate::daemon::PrivateDaemon;
use crate::engine::engine;
use crate::exit::{CausedBy, Failure};
use crate::state::State;

/// The first bytes of a core module; a component's version differs.
const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// A guest and what it may do.
#[derive(Debug)]
pub(crate) struct Config {
    daemon: Daemon,
    tenant: Tenant,
    dirs: Vec<(PathBuf, String)>,
    env: Vec<(String, String)>,
    pub(crate) memory_max: usize,
    timeout: Option<Duration>,
    pub(crate) compute_timeout: Duration,
    guest: PathBuf,
    /// The guest's own name first.
    args: Vec<String>,
}

#[derive(Debug)]
enum Daemon {
    At(PathBuf),
    Private(Vec<PathBuf>),
}

// === impl Config ===

impl TryFrom<RunArgs> for Config {
    type Error = Failure;

    fn try_from(args: RunArgs) -> Result<Self, Failure> {
        let daemon = if args.spawn_daemon {
            Daemon::Private(args.model_repository)
        } else {
            Daemon::At(socket_path(args.socket.as_deref()))
        };
        Ok(Self {
            daemon,
            tenant: args.tenant.parse()?,
            dirs: args.dirs.iter().map(|dir| mapped(dir)).collect(),
            env: args.env.iter().filter_map(|var| variable(var)).collect(),
            memory_max: args.memory_max,
            timeout: args.timeout,
            compute_timeout: args.compute_timeout,
            // The command line has one at least.
            guest: args.guest.first().map(PathBuf::from).unwrap_or_default(),
            args: args.guest,
        })
    }
}

/// `HOST::GUEST`, or one path for both.
fn mapped(dir: &str) -> (PathBuf, String) {
    let (host, guest) = dir.split_once("::").unwrap_or((dir, dir));
    (PathBuf::from(host), guest.to_owned())
}

/// `NAME=VALUE`, or this process's value, if it has one.
fn variable(var: &str) -> Option<(String, String)> {
    match var.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => Some((var.to_owned(), env::var(var).ok()?)),
    }
}

/// Runs the guest; gives its exit code. A private daemon is gone afterwards, whatever happened.
pub(crate) async fn run(config: Config) -> Result<u8, Failure> {
    let bytes = read(&config.guest)?;
    let (socket, private) = match &config.daemon {
        Daemon::At(socket) => (socket.clone(), None),
        Daemon::Private(repositories) => {
            let daemon = PrivateDaemon::start(repositories)?;
            (daemon.socket(), Some(daemon))
        }
    };
    let client = Client::new(socket, config.tenant.clone());
    let Some(mut private) = private else {
        return interruptible(attend(client, &config, bytes)).await;
    };
    let attended = async {
        private.wait_ready(&client).await?;
        attend(client, &config, bytes).await
    };
    let result = interruptible(attended).await;
    private.stop().await;
    result
}

/// Until Ctrl-C or SIGTERM.
async fn interruptible(work: impl Future<Output = Result<u8, Failure>>) -> Result<u8, Failure> {
    let (mut interrupt, mut terminate) = match (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) {
        (Ok(interrupt), Ok(terminate)) => (interrupt, terminate),
        (Err(error), _) | (_, Err(error)) => {
            tracing::warn!(%error, "signals cannot be waited for");
            return work.await;
        }
    };
    tokio::select! {
        result = work => result,
        _ = interrupt.recv() => Err(Failure::Interrupted),
        _ = terminate.recv() => Err(Failure::Interrupted),
    }
}

async fn attend(client: Client, config: &Config, bytes: Vec<u8>) -> Result<u8, Failure> {
    client.connect().await?;
    let unfit = |error| Failure::Unfit(CausedBy(error));
    let engine = engine().map_err(unfit)?;
    let component = compile(engine.clone(), bytes).await?;
    let mut linker = Linker::<State>::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(unfit)?;
    nn_host_shim::add_to_linker(&mut linker).map_err(unfit)?;
    let mut store = State::store(&engine, wasi(config)?, client, config);
    let guest = async {
        let command = Command::instantiate_async(&mut store, &component, &linker)
            .await
            .map_err(unfit)?;
        let ran = command.wasi_cli_run().call_run(&mut store).await;
        exit_code(ran)
    };
    match config.timeout {
        None => guest.await,
        Some(limit) => tokio::time::timeout(limit, guest)
            .await
            .unwrap_or(Err(Failure::Timeout(limit))),
    }
}

fn exit_code(ran: wasmtime::Result<Result<(), ()>>) -> Result<u8, Failure> {
    match ran {
        Ok(Ok(())) => Ok(0),
        Ok(Err(())) => Ok(1),
        Err(error) => match error.downcast_ref::<I32Exit>() {
            // As everywhere on Unix: the low byte.
            Some(I32Exit(code)) => Ok(code.to_le_bytes()[0]),
            None => {
                // The reason is for the user; where it happened is for the guest's author (-vv).
                tracing::debug!("{error:?}");
                Err(Failure::Trap(error.root_cause().to_string()))
            }
        },
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = std::fs::read(path).map_err(|source| Failure::Guest {
        path: path.to_path_buf(),
        source,
    })?;
    // Text becomes binary, binary stays.
    let bytes = wat::parse_bytes(&bytes).map_err(|source| Failure::NotWasm {
        path: path.to_path_buf(),
        source,
    })?;
    if bytes.starts_with(CORE_MODULE) {
        return Err(Failure::CoreModule);
    }
    Ok(bytes.into_owned())
}

/// Off the executor: it takes long, and Ctrl-C must work meanwhile.
async fn compile(engine: Engine, bytes: Vec<u8>) -> Result<Component, Failure> {
    let compiled = tokio::task::spawn_blocking(move || Component::new(&engine, bytes)).await;
    compiled
        .unwrap_or_else(|error| Err(wasmtime::Error::new(error)))
        .map_err(|error| Failure::Unfit(CausedBy(error)))
}

fn wasi(config: &Config) -> Result<WasiCtx, Failure> {
    let mut builder = WasiCtxBuilder::new();
    builder.inherit_stdio();
    builder.args(&config.args);
    builder.envs(&config.env);
    for (host, guest) in &config.dirs {
        builder
            .preopened_dir(host, guest, FsPerms::ReadWrite)
            .map_err(|error| Failure::Dir {
                path: host.clone(),
                source: CausedBy(error),
            })?;
    }
    Ok(builder.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_may_have_a_name_of_its_own() {
        assert_eq!(mapped("a::/b"), (PathBuf::from("a"), "/b".to_owned()));
        assert_eq!(mapped("a"), (PathBuf::from("a"), "a".to_owned()));
    }

    #[test]
    fn a_variable_without_value_is_passed_on_if_it_is_set() {
        assert_eq!(variable("A=b=c"), Some(("A".to_owned(), "b=c".to_owned())));
        assert_eq!(variable("NN_HOST_NO_SUCH_VARIABLE"), None);
        assert_eq!(
            variable("PATH"),
            Some(("PATH".to_owned(), env::var("PATH").unwrap()))
        );
    }

    #[test]
    fn a_core_module_and_a_file_of_text_are_refused_for_what_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("guest");
        std::fs::write(&path, "(module)").unwrap();
        assert!(matches!(read(&path), Err(Failure::CoreModule)));
        std::fs::write(&path, "hello").unwrap();
        assert!(matches!(read(&path), Err(Failure::NotWasm { .. })));
        std::fs::write(&path, "(component)").unwrap();
        assert!(read(&path).is_ok());
    }

    #[test]
    fn exit_codes_pass_through() {
        assert_eq!(exit_code(Ok(Ok(()))).unwrap(), 0);
        assert_eq!(exit_code(Ok(Err(()))).unwrap(), 1);
        let exited = wasmtime::Error::new(I32Exit(77));
        assert_eq!(exit_code(Err(exited)).unwrap(), 77);
    }
}
