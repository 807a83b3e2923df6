//! `nn-host`: parse, configure, run, exit code. Nothing is decided here.

mod cache;
mod cli;
mod command;
mod daemon;
mod engine;
mod exit;
mod guest;
mod run;
mod state;
mod telemetry;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;

use crate::cli::{Cli, Command};
use crate::exit::Failure;
use crate::run::Config;

/// What still blocks a thread when the guest is done (a read of stdin, say) is not waited for longer.
const SHUTDOWN_WAIT: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let cli = Cli::parse();
    telemetry::start(cli.log_level());
    match start(cli) {
        Ok(code) => code,
        Err(error) => {
            let code = error
                .downcast_ref::<Failure>()
                .map_or(exit::FAILED, Failure::exit_code);
            telemetry::report(&error);
            ExitCode::from(code)
        }
    }
}

fn start(cli: Cli) -> anyhow::Result<ExitCode> {
    let Command::Run(args) = cli.command;
    let config = Config::try_from(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the async runtime")?;
    let result = runtime.block_on(run::run(config));
    runtime.shutdown_timeout(SHUTDOWN_WAIT);
    Ok(ExitCode::from(result?))
}
