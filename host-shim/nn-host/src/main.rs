//! `nn-host`: parse, configure, run, exit code. Nothing is decided here.

mod bounds;
mod cache;
mod cli;
mod clock;
mod command;
mod daemon;
mod engine;
mod exit;
mod guest;
mod manual;
mod run;
mod serve;
mod state;
mod telemetry;
mod turns;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{CommandFactory, Parser};

use crate::cli::{Cli, Command};
use crate::exit::Failure;

/// What still blocks a thread when the guest is done (a read of stdin, say) is not waited for longer.
const SHUTDOWN_WAIT: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    if let Some(folder) = nn_manual::wanted(std::env::args_os()) {
        return ended(write_manual(&folder));
    }
    let cli = Cli::parse();
    telemetry::start(cli.log_level());
    ended(start(cli))
}

/// For whoever packs an installation.
fn write_manual(folder: &Path) -> anyhow::Result<ExitCode> {
    nn_manual::write(&Cli::command(), &manual::MANUAL, folder)?;
    Ok(ExitCode::SUCCESS)
}

fn ended(result: anyhow::Result<ExitCode>) -> ExitCode {
    match result {
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
    match cli.command {
        Command::Run(args) => {
            let config = run::Config::try_from(args)?;
            attend(run::run(config))
        }
        Command::Serve(args) => {
            let config = serve::Config::try_from(args.clone())?;
            // Before there are threads, and before descriptors of our own.
            let inherited = serve::inherited()?;
            attend(serve::serve(args, config, inherited))
        }
    }
}

/// How many turns of tasks there may be before an executor's thread looks whether something has come. After each: a guest's turn
/// may be as long as a tick of the epoch, and to look takes a thousandth of that.
const EVENT_INTERVAL: u32 = 1;

fn attend(work: impl Future<Output = Result<u8, Failure>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .event_interval(EVENT_INTERVAL)
        .build()
        .context("cannot start the async runtime")?;
    let result = runtime.block_on(work);
    runtime.shutdown_timeout(SHUTDOWN_WAIT);
    Ok(ExitCode::from(result?))
}
