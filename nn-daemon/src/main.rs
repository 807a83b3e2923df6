//! `nn-daemon`: parse, configure, run, exit code. Nothing is decided here.

use std::process::ExitCode;

use clap::Parser;
use nn_daemon::{Cli, Config, telemetry};

fn main() -> ExitCode {
    let cli = Cli::parse();
    telemetry::start(cli.log_level());
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let (check, print) = (cli.check, cli.print_config);
    let config = Config::try_from(cli)?;
    if print {
        telemetry::print(&config.to_string());
    }
    if check || print {
        return Ok(());
    }
    nn_daemon::run(config)
}
