//! `cargo xtask conformance`: all of ONNX's own tests that wasi-nn has words for, through guest, host, daemon and jailed worker, on
//! each framework. `cargo xtask test` runs a sample of them. docs/conformance.md explains what comes out.

use std::time::Instant;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::output::talk;
use crate::workspace::Workspace;
use crate::{process, setup, test};

/// How the long tests of tests/conformance.rs begin.
const TESTS: &str = "all_cases_end_as_listed_on_";

/// Which cases, on what.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// On this framework alone [default: on each]
    #[arg(long)]
    backend: Option<Framework>,
    /// Cases with this in their names, as in `node/test_resize`
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Make the lists of what misses say what was seen; read the difference before it is committed
    #[arg(long, conflicts_with = "only")]
    write: bool,
    /// With release builds
    #[arg(long)]
    release: bool,
}

/// A framework, as its test is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Framework {
    #[value(name = "onnxruntime")]
    OnnxRuntime,
    #[value(name = "openvino")]
    OpenVino,
}

/// Runs the cases.
///
/// # Errors
/// When a case ends otherwise than its list says.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    setup::run(workspace)?;
    test::build(workspace, options.release)?;
    let begun = Instant::now();
    let name = format!("{TESTS}{}", options.backend.map_or("", Framework::ending));
    let mut tests = process::cargo();
    // The whole workspace is named, though one package is meant: another selection has other features, and builds
    // wasmtime anew.
    if test::has_nextest() {
        tests.args([
            "nextest",
            "run",
            "--workspace",
            "--no-capture",
            "--retries",
            "0",
        ]);
        tests.args(["--test", "conformance", "--no-tests", "fail"]);
        tests.args(["--no-fail-fast", "--run-ignored", "only"]);
        tests.args(options.release.then_some("--release"));
        tests.arg("--").arg(&name);
    } else {
        tests.args(["test", "--workspace", "--test", "conformance"]);
        tests.args(options.release.then_some("--release"));
        tests.arg("--").arg(&name);
        tests.args(["--ignored", "--test-threads", "1", "--nocapture"]);
    }
    if let Some(only) = &options.only {
        tests.env("NN_CONFORMANCE_ONLY", only);
    }
    if options.write {
        tests.env("NN_CONFORMANCE_WRITE", "1");
    }
    tests.env("NN_REQUIRE_BACKENDS", "1");
    let done = process::run(tests.current_dir(workspace.root()));
    talk(&format!(
        "conformance: took {:.0} s",
        begun.elapsed().as_secs_f64()
    ));
    done
}

// === impl Framework ===

impl Framework {
    const fn ending(self) -> &'static str {
        match self {
            Self::OnnxRuntime => "onnx_runtime",
            Self::OpenVino => "openvino",
        }
    }
}
