//! `nn-host run`: one guest, from its file to its exit code. The daemon is asked first: a guest would
//! learn that there is none only from its own load, and say less about it.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use nn_client::Client;
use nn_host_shim::witx::Dialect;
use nn_tensor::Tenant;
use tokio::signal::unix::{SignalKind, signal};
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

use crate::cli::RunArgs;
use crate::daemon::Daemon;
use crate::exit::{CausedBy, Failure};
use crate::guest::Keep;
use crate::state::Ceilings;
use crate::{command, guest, telemetry};

/// A guest and what it may do.
#[derive(Debug)]
pub(crate) struct Config {
    daemon: Daemon,
    tenant: Tenant,
    dirs: Vec<(PathBuf, String)>,
    env: Vec<(String, String)>,
    pub(crate) ceilings: Ceilings,
    timeout: Option<Duration>,
    pub(crate) dialect: Dialect,
    cache: Keep,
    guest: PathBuf,
    /// The guest's own name first.
    args: Vec<String>,
}

// === impl Config ===

impl TryFrom<RunArgs> for Config {
    type Error = Failure;

    fn try_from(args: RunArgs) -> Result<Self, Failure> {
        Ok(Self {
            daemon: Daemon::chosen(args.daemon, None),
            tenant: args.tenant.parse()?,
            dirs: args.dirs.iter().map(|dir| mapped(dir)).collect(),
            env: args.env.iter().filter_map(|var| variable(var)).collect(),
            ceilings: Ceilings {
                memory_max: args.memory_max,
                compute_timeout: args.compute_timeout,
            },
            timeout: args.timeout,
            dialect: args.witx_dialect,
            cache: Keep::from(args.cache),
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
    let bytes = guest::read(&config.guest)?;
    let (socket, private) = config.daemon.start()?;
    let client = Client::new(socket, config.tenant.clone());
    let Some(mut private) = private else {
        return interruptible(attend(client, &config, bytes)).await;
    };
    let attended = async {
        private.wait_ready(&client).await?;
        // Nobody else will ever read its log.
        telemetry::repeat(&private.complaints());
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
    let (engine, guest) = guest::compile(bytes, config.cache.clone(), None).await?;
    let running = command::run(&engine, guest, wasi(config)?, client, config);
    match config.timeout {
        None => running.await,
        Some(limit) => tokio::time::timeout(limit, running)
            .await
            .unwrap_or(Err(Failure::Timeout(limit))),
    }
}

fn wasi(config: &Config) -> Result<WasiCtxBuilder, Failure> {
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
    Ok(builder)
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
}
