//! `cargo xtask soak NAME`: runs tests for long. A test that can reads `NN_SOAK_SECONDS` for how long, or
//! `NN_SOAK_ROUNDS` for how often.

use anyhow::Result;
use clap::Args;

use crate::workspace::Workspace;
use crate::{fuzz, process, setup, test};

/// What `soak fuzz` runs, and how often: what judges models, what reads frames and descriptors, and what reads an engine's
/// answers. A run of the last is a session with its tasks, and takes so much longer.
const FUZZED: [(&str, u32); 7] = [
    ("onnx_vet", 10_000_000),
    ("ir_vet", 10_000_000),
    ("worker_wire", 10_000_000),
    ("fd_frames", 10_000_000),
    ("door_frames", 10_000_000),
    ("answers", 10_000_000),
    ("fd_socket", 200_000),
];

/// Which tests, and for how long.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Part of the names of the tests, as in `concurrent`; `fuzz` for ten million inputs to each fuzz target that
    /// judges models or reads frames
    name: String,
    /// How long each lasts
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// How often those that count rounds are run
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rounds: u32,
    /// With release builds
    #[arg(long)]
    release: bool,
}

/// Runs the tests of this name, one at a time so that they do not slow each other.
///
/// # Errors
/// When no test has that name, or one fails.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    if options.name == "fuzz" {
        for (target, runs) in FUZZED {
            fuzz::run(workspace, &fuzz::Options::often(target, runs))?;
        }
        return Ok(());
    }
    // Tests are named with underscores, whatever the hand writes.
    let name = options.name.replace('-', "_");
    setup::run(workspace)?;
    test::build(workspace, options.release)?;
    let mut tests = process::cargo();
    if test::has_nextest() {
        // Without capture they run one at a time, and what they measured is seen. The whole workspace is
        // named, though one package is meant: another selection has other features, and builds wasmtime anew.
        tests.args(["nextest", "run", "--workspace", "--no-capture"]);
        tests.args(["-E", "package(nn-tests)"]);
        tests.args(["--no-tests", "fail", "--run-ignored", "all"]);
        if options.release {
            tests.arg("--release");
        }
        tests.arg("--").arg(&name);
    } else {
        tests.args(["test", "--workspace", "--tests"]);
        if options.release {
            tests.arg("--release");
        }
        tests.arg("--").arg(&name);
        tests.args(["--include-ignored", "--test-threads", "1", "--nocapture"]);
    }
    tests
        .env("NN_SOAK_SECONDS", options.seconds.to_string())
        .env("NN_SOAK_ROUNDS", options.rounds.to_string())
        .env("NN_REQUIRE_BACKENDS", "1");
    process::run(tests.current_dir(workspace.root()))
}
