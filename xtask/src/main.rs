//! Tasks that cargo alone cannot do: `cargo xtask TASK`.
//!
//! A page, no logic: which task is asked for, and which module does it. It is never part of what is shipped, and no
//! other package depends on it.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod boot;
mod conformance;
mod demo;
mod dist;
mod example;
mod fuzz;
mod gate;
mod guests;
mod install;
mod libraries;
mod manifest;
mod output;
mod process;
mod setup;
mod soak;
mod test;
mod tidy;
mod workspace;

/// Tasks that cargo alone cannot do.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Fetch the native libraries, the models and the data, verified, into target/nn, and what tests need
    Setup,
    /// Set up, then run the main job end to end: a guest classifies pictures through the daemon
    Demo(demo::Options),
    /// Set up, build, then run all tests; a missing backend fails
    Test(test::Options),
    /// Set up, then serve the example application: a page, and two functions that infer over HTTP
    Example(example::Options),
    /// Check the rules that compilers do not: layering, file lengths, where unsafe is, duplicates
    Tidy,
    /// Everything that a change has to pass: fmt, clippy, doc, tidy, libraries, test
    Gate,
    /// Run the long version of a test, as in `soak concurrent`
    Soak(soak::Options),
    /// Feed bytes that nobody would send to whatever reads bytes from outside
    Fuzz(fuzz::Options),
    /// Measure what isolation costs, as in `bench path`
    Bench(bench::Options),
    /// Run ONNX's own tests through the whole path on each framework, all of them
    Conformance(conformance::Options),
    /// Rebuild the guests in guests/bin
    Guests(guests::Options),
    /// Make the root directory that tests/boot.rs boots, once
    BootTree,
    /// Install programs, units, manual and configuration, or check what is installed
    Install(install::Options),
    /// Pack an installation into one file, target/nn/dist/nn-VERSION-TARGET.tar.gz
    Dist(dist::Options),
    /// Check what the built programs link to
    Libraries(libraries::Options),
}

fn main() -> ExitCode {
    let task = Arguments::parse().task;
    let done = workspace::Workspace::find().and_then(|workspace| match task {
        Task::Setup => setup::run_for_tests(&workspace),
        Task::Demo(options) => demo::run(&workspace, &options),
        Task::Example(options) => example::run(&workspace, &options),
        Task::Test(options) => test::run(&workspace, &options),
        Task::Tidy => tidy::run(&workspace),
        Task::Gate => gate::run(&workspace),
        Task::Soak(options) => soak::run(&workspace, &options),
        Task::Fuzz(options) => fuzz::run(&workspace, &options),
        Task::Bench(options) => bench::run(&workspace, &options),
        Task::Conformance(options) => conformance::run(&workspace, &options),
        Task::Guests(options) => guests::run(&workspace, &options),
        Task::BootTree => boot::run(&workspace),
        Task::Install(options) => install::run(&workspace, &options),
        Task::Dist(options) => dist::run(&workspace, &options),
        Task::Libraries(options) => libraries::run(&workspace, &options),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::talk(&format!("error: {}", output::explain(&error)));
            ExitCode::FAILURE
        }
    }
}
