//! `nn-bench`: what isolation costs. `path` measures one inference by every way, side by side, `jail` the same with and without
//! the jail around workers, `recovery` what the death of a worker costs, `prepared` what a second start saves, `faas` whether the
//! host keeps serving; the other commands are the ways that this program is itself. `cargo xtask bench path` and its like build
//! what they need and run it.

mod admin;
mod child;
mod conversions;
mod daemon;
mod faas;
mod floor;
mod host;
mod jail;
mod kind;
mod memory;
mod models;
mod path;
mod plain;
mod prepared;
mod procs;
mod recovery;
mod report;
mod setting;
mod shim;
mod stats;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What isolation costs.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measures all ways in turns, and prints the tables as Markdown.
    Path(path::Options),
    /// Measures what the jail costs, and prints the tables as Markdown.
    Jail(setting::Setting),
    /// Measures what the death of a worker costs its callers, and prints the table as Markdown.
    Recovery(setting::Setting),
    /// Measures what it is worth that models are prepared once, and prints the table as Markdown.
    Prepared(setting::Setting),
    /// Measures pictures that the guest converts against those that the worker does, and prints the table as Markdown.
    Conversions(setting::Setting),
    /// Measures whether the host keeps serving, against one that computes in its own process, and prints the tables as Markdown.
    Faas(faas::Options),
    /// Is the way without any guest: ONNX Runtime in a plain program, driven like the guests.
    Plain(plain::Options),
    /// Is the road alone: two copies and two hops, and nothing computed.
    Floor,
    /// Is a process on that road.
    Relay(floor::RelayOptions),
    /// Is the host of the way through the daemon: a guest over nn-host-shim.
    Shim(shim::Options),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Path(options) => path::run(&options),
        Command::Jail(setting) => jail::run(&setting),
        Command::Recovery(setting) => recovery::run(&setting),
        Command::Prepared(setting) => prepared::run(&setting),
        Command::Conversions(setting) => conversions::run(&setting),
        Command::Faas(options) => faas::run(&options),
        Command::Plain(options) => plain::run(&options),
        Command::Floor => floor::run(),
        Command::Relay(options) => floor::relay(&options),
        Command::Shim(options) => shim::run(&options),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            procs::talk(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
