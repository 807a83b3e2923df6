//! `nnctl`: parse, connect, run one command, report, exit code. Nothing is decided here.

mod cli;
mod commands;
mod daemon;
mod exit;
mod failure;
mod manual;
mod npy;
mod output;
mod values;

use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use nn_tensor::{Fault, ModelRef, Tenant};

use cli::{Cli, Command, Quarantine, Sandbox};
use commands::{
    bench, describe, doctor, drain, events, explain, infer, list, load, logs, metrics, naming,
    quarantine, sandbox, status, unload,
};
use daemon::{Daemon, unless_leaving};
use exit::Exit;
use failure::Failure;
use output::Output;

fn main() -> ExitCode {
    if let Some(folder) = nn_manual::wanted(std::env::args_os()) {
        return ended(Output::new(false), write_manual(&folder));
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            Output::clap(&error);
            let exit = if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Ok
            };
            return exit.into();
        }
    };
    let output = Output::new(cli.json);
    ended(output, block_on(run(cli, output)))
}

fn ended(output: Output, result: Result<Exit, Failure>) -> ExitCode {
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output.failure(&failure);
            failure.exit.into()
        }
    }
}

/// For whoever packs an installation.
fn write_manual(folder: &Path) -> Result<Exit, Failure> {
    let written = nn_manual::write(&Cli::command(), &manual::MANUAL, folder);
    written.map(|_| Exit::Ok).map_err(Failure::from)
}

fn block_on(command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Fault::runtime("cannot start the event loop").got(e.to_string()))?;
    runtime.block_on(command)
}

async fn loaded(socket: &Path, args: &cli::Load, output: Output) -> Result<(), Failure> {
    let loaded = unless_leaving(|| async {
        let upload = load::check(args.clone())?;
        let daemon = Daemon::connect(socket).await?;
        load::run(&daemon, upload).await
    });
    output.report(&loaded.await?)
}

async fn described(
    socket: &Path,
    model: Option<&ModelRef>,
    markdown: bool,
    output: Output,
) -> Result<(), Failure> {
    let daemon = Daemon::connect(socket).await?;
    if markdown {
        Output::data(&describe::catalogue(&daemon, model).await?)
    } else {
        output.report(&describe::run(&daemon, model).await?)
    }
}

async fn explained(socket: &Path, profile: &str, output: Output) -> Result<(), Failure> {
    match sandbox::check(profile)? {
        sandbox::Which::Worker(profile) => output.report(&sandbox::explain(socket, profile).await),
        sandbox::Which::Own(profile) => output.report(&sandbox::explain_own(socket, profile).await),
    }
}

/// Of the daemon; or of its tenants, or one of them.
async fn status_of(
    socket: &Path,
    tenants: Option<&Option<Tenant>>,
    output: Output,
) -> Result<(), Failure> {
    let daemon = Daemon::connect(socket).await?;
    match tenants {
        None => output.report(&status::run(&daemon).await?),
        Some(which) => output.report(&status::tenants::run(&daemon, which.as_ref()).await?),
    }
}

async fn quarantined(socket: &Path, what: Quarantine, output: Output) -> Result<(), Failure> {
    let daemon = Daemon::connect(socket).await?;
    match what {
        Quarantine::List => output.report(&quarantine::list(&daemon).await?),
        Quarantine::Lift { which } => output.report(&quarantine::lift(&daemon, which).await?),
    }
}

/// What can be refused without the daemon is refused before it is asked.
async fn run(cli: Cli, output: Output) -> Result<Exit, Failure> {
    let socket = nn_client::socket_path(cli.socket.as_deref());
    let reported = match cli.command {
        Command::Load(args) => loaded(&socket, &args, output).await,
        Command::Unload { model } => {
            unload::check(&model)?;
            let daemon = Daemon::connect(&socket).await?;
            output.report(&unload::run(&daemon, &model).await?)
        }
        Command::List => {
            let daemon = Daemon::connect(&socket).await?;
            output.report(&list::run(&daemon).await?)
        }
        Command::Describe { model, markdown } => {
            described(&socket, model.as_ref(), markdown, output).await
        }
        Command::Promote { .. }
        | Command::Rollback { .. }
        | Command::Alias(_)
        | Command::Pin { .. }
        | Command::Unpin { .. }
        | Command::Place { .. } => {
            let daemon = Daemon::connect(&socket).await?;
            output.report(&naming::run(&daemon, cli.command).await?)
        }
        Command::Infer(args) => {
            let request = infer::check(args)?;
            output.report(&infer::run(&socket, request).await?)
        }
        Command::Bench(args) => {
            let request = bench::check(args)?;
            output.report(&bench::run(&socket, request).await?)
        }
        Command::Status { tenant } => status_of(&socket, tenant.as_ref(), output).await,
        Command::Events(args) => {
            let wanted = events::check(args)?;
            let daemon = Daemon::connect(&socket).await?;
            events::run(&daemon, wanted, output).await
        }
        Command::Logs { model, follow } => {
            let daemon = Daemon::connect(&socket).await?;
            logs::run(&daemon, &model, follow, output).await
        }
        Command::Metrics => {
            let daemon = Daemon::connect(&socket).await?;
            metrics::run(&daemon).await
        }
        Command::Explain { markdown: true, .. } => Output::data(&explain::page()),
        Command::Explain { reason, .. } => output.report(&explain::run(reason.as_deref())?),
        Command::Drain => {
            let daemon = Daemon::connect(&socket).await?;
            output.report(&drain::run(&daemon).await?)
        }
        Command::Quarantine(what) => quarantined(&socket, what, output).await,
        Command::Sandbox(Sandbox::Explain { profile }) => {
            explained(&socket, &profile, output).await
        }
        Command::Doctor(options) => {
            let by_flag = cli.socket.is_some();
            let diagnosis = doctor::run(&socket, by_flag, &options).await;
            output.report(&diagnosis)?;
            return Ok(diagnosis.exit());
        }
        Command::Completions { shell } => {
            Output::data(&nn_manual::completion(&Cli::command(), shell))
        }
    };
    reported.map(|()| Exit::Ok)
}
