//! `cargo xtask test`: sets up, builds the programs that tests start, and runs all tests.
//!
//! Tests skip with a reason where a backend's library is missing; here setup has just brought it, so its absence fails.

use anyhow::Result;
use clap::Args;

use crate::output::talk;
use crate::workspace::Workspace;
use crate::{boot, process, setup};

/// Which tests.
#[derive(Debug, Default, Args)]
pub(crate) struct Options {
    /// Part of the names of the tests [default: all, and the examples in the documentation]
    filter: Option<String>,
    /// With release builds
    #[arg(long)]
    release: bool,
}

/// Runs the tests.
///
/// # Errors
/// When setup, a build or a test fails.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    setup::run_for_tests(workspace)?;
    build(workspace, options.release)?;
    if options.filter.is_none() {
        boot::offer(workspace);
    }
    let mut tests = process::cargo();
    if has_nextest() {
        tests.args(["nextest", "run", "--workspace"]);
    } else {
        talk("test: cargo-nextest is not installed; using cargo test");
        // Without it, the examples of the documentation would run here and once more below.
        tests.args(["test", "--workspace", "--lib", "--bins", "--tests"]);
        // Tests that count a process's descriptors share theirs here: one at a time.
        tests.env("RUST_TEST_THREADS", "1");
    }
    finish(workspace, tests, options)?;
    if options.filter.is_some() {
        return Ok(());
    }
    let mut examples = process::cargo();
    examples.args(["test", "--workspace", "--doc"]);
    finish(workspace, examples, options)
}

/// Builds every program: tests start them from the build directory.
///
/// # Errors
/// When something does not compile.
pub(crate) fn build(workspace: &Workspace, release: bool) -> Result<()> {
    let mut build = process::cargo();
    build.args(["build", "--workspace", "--bins"]);
    if release {
        build.arg("--release");
    }
    process::run(build.current_dir(workspace.root()))
}

/// Whether the faster test runner is installed.
pub(crate) fn has_nextest() -> bool {
    process::is_available("cargo-nextest", "--version")
}

fn finish(
    workspace: &Workspace,
    mut tests: std::process::Command,
    options: &Options,
) -> Result<()> {
    if options.release {
        tests.arg("--release");
    }
    tests.args(&options.filter);
    tests.env("NN_REQUIRE_BACKENDS", "1");
    process::run(tests.current_dir(workspace.root()))
}
