//! The host of the way through the daemon: the same host as in process, with wasi-nn from nn-host-shim.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use nn_client::Client;
use nn_host_shim::witx::{self, Dialect, WitxCtx};
use nn_host_shim::{WasiNnCtx, WasiNnCtxView, WasiNnView};
use nn_tensor::Tenant;
use wasmtime::Linker;

use crate::host::{self, ComponentState, CoreState, Ended, Guest};
use crate::procs::{Placement, talk};

/// A guest over nn-host-shim.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The daemon's socket.
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
    /// A directory for the guest; may be given again.
    #[arg(long = "dir", value_name = "HOST[::GUEST]")]
    dirs: Vec<String>,
    /// The guest, and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    guest: Vec<String>,
}

/// What starts such a host. `dir`: `HOST[::GUEST]`, where the guest reads files.
pub(crate) fn command(
    placement: Placement,
    socket: &Path,
    dir: Option<&str>,
    guest: &Path,
) -> io::Result<Command> {
    let mut command = placement.command(std::env::current_exe()?);
    command.arg("shim").arg("--socket").arg(socket);
    if let Some(dir) = dir {
        command.arg("--dir").arg(dir);
    }
    command.arg(guest);
    Ok(command)
}

impl WasiNnView for ComponentState<WasiNnCtx> {
    fn nn(&mut self) -> WasiNnCtxView<'_> {
        WasiNnCtxView {
            ctx: &mut self.nn,
            table: &mut self.table,
        }
    }
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let (file, rest) = options.guest.split_first().context("no guest")?;
    let client = Client::new(options.socket.clone(), Tenant::default());
    let ended = host::block_on(async {
        client.connect().await?;
        let guest = Guest::read(Path::new(file), rest, &options.dirs)?;
        let nn = WasiNnCtx::new(client);
        if guest.is_core() {
            let nn = WitxCtx::new(nn, Dialect::default());
            let link = |linker: &mut Linker<CoreState<WitxCtx>>| {
                witx::add_to_linker(linker, |state| &mut state.nn)
            };
            return guest.run_core(nn, link).await;
        }
        guest.run_component(nn, nn_host_shim::add_to_linker).await
    });
    // wasmtime's error is none of the standard library's.
    match ended.map_err(|error| anyhow!("{error:#}"))? {
        Ended::Exit(code) => Ok(ExitCode::from(code.to_le_bytes()[0])),
        Ended::Trap(why) => {
            talk(&format!("trap: {why}"));
            Ok(ExitCode::FAILURE)
        }
    }
}
