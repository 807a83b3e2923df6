//! `nn-daemon`: parse, configure, run, exit code. Nothing is decided here.

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use nn_daemon::{Cli, Config, MANUAL, telemetry};

fn main() -> ExitCode {
    if let Some(folder) = nn_manual::wanted(std::env::args_os()) {
        telemetry::start(tracing::Level::INFO);
        let written = nn_manual::write(&Cli::command(), &MANUAL, &folder);
        return ended(written.map(drop).map_err(Into::into));
    }
    let cli = Cli::parse();
    telemetry::start(cli.log_level());
    ended(run(cli))
}

fn ended(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    // Before anything else opens descriptors.
    let inherited = nn_service::inherited()?;
    let (check, print) = (cli.check, cli.print_config);
    let config = Config::try_from(cli.clone())?;
    if print {
        telemetry::print(&config.to_string());
    }
    if check || print {
        return Ok(());
    }
    nn_daemon::run(config, cli, inherited)
}
