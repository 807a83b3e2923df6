//! `cargo xtask fuzz`: runs the fuzz targets of tests/fuzz, which need a nightly compiler.
//!
//! What they find interesting is kept in target/fuzz/corpus and tried first by the next run; only the seeds are checked
//! in. What breaks a target is left in target/fuzz/found.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use toml::{Table, Value};

use crate::output::talk;
use crate::process;
use crate::workspace::Workspace;

/// How long `--smoke` runs each target.
const SMOKE_SECONDS: u32 = 30;

/// An input that keeps a target busy for longer is a finding.
const INPUT_SECONDS_MAX: u32 = 10;

/// So is one that makes it use more memory than this.
const MEMORY_MIB_MAX: u32 = 2048;

/// The longest inputs that are tried: a few messages, a small model. Longer ones find little more, slowly.
const INPUT_BYTES_MAX: u32 = 4096;

/// Which targets, and for how long.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Names of targets [default: all]
    targets: Vec<String>,
    /// Run each for 30 seconds
    #[arg(long, conflicts_with_all = ["seconds", "runs"])]
    smoke: bool,
    /// Run each for so long [default: 60]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=604_800))]
    seconds: Option<u32>,
    /// Run each so often instead
    #[arg(long, conflicts_with = "seconds", value_parser = clap::value_parser!(u32).range(1..))]
    runs: Option<u32>,
    /// Succeed where there is no nightly compiler, and say so
    #[arg(long)]
    if_available: bool,
}

// === impl Options ===

impl Options {
    /// One target, so many times.
    pub(crate) fn often(target: &str, runs: u32) -> Self {
        Self {
            targets: vec![target.to_owned()],
            smoke: false,
            seconds: None,
            runs: Some(runs),
            if_available: false,
        }
    }
}

/// Builds the targets and runs them, one after the other.
///
/// # Errors
/// When there is no nightly compiler, no such target, or one finds something.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    if !process::is_available_as(nightly("rustc").arg("--version")) {
        if options.if_available {
            talk("fuzz: skipped: there is no nightly compiler");
            return Ok(());
        }
        bail!("fuzzing needs a nightly compiler\nhint: rustup toolchain install nightly");
    }
    let folder = workspace.root().join("tests/fuzz");
    let targets = chosen(&targets(&folder)?, &options.targets)?;
    if !process::is_available("cargo-fuzz", "--version") {
        talk("fuzz: installing cargo-fuzz");
        process::run(process::cargo().args(["install", "cargo-fuzz", "--locked"]))?;
    }
    let built = build(workspace, &folder, &targets)?;
    let mut failed = Vec::new();
    for target in &targets {
        talk(&format!("fuzz: {target}"));
        let place = workspace.target().join("fuzz");
        let mut fuzz = process::command(built.join(target));
        fuzz.args(limits(options))
            .args(folders(workspace, &place, target)?);
        if let Err(error) = process::run(fuzz.current_dir(workspace.root())) {
            talk(&format!("fuzz: {error}"));
            failed.push(target.as_str());
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    bail!(
        "found something: {}\nhint: the inputs are in target/fuzz/found; once mended, add them to tests/fuzz/corpus",
        failed.join(", ")
    )
}

/// A program of the nightly toolchain. cargo has told this process which toolchain its own children shall use.
fn nightly(program: &str) -> Command {
    let mut command = process::command("rustup");
    command
        .args(["run", "nightly", program])
        .env_remove("CARGO")
        .env_remove("RUSTC");
    command
}

/// Builds with coverage, address sanitizer and debug assertions; gives the folder of the programs.
fn build(workspace: &Workspace, folder: &Path, targets: &[String]) -> Result<PathBuf> {
    let place = workspace.target().join("fuzz");
    let mut host = nightly("rustc");
    let host = process::output(host.args(["--print", "host-tuple"]))?;
    for target in targets {
        let mut build = nightly("cargo");
        build.args(["fuzz", "build", "--fuzz-dir"]).arg(folder);
        build.arg("--target-dir").arg(&place).arg(target);
        process::run(build.current_dir(workspace.root()))?;
    }
    Ok(place.join(host.trim()).join("release"))
}

/// The arguments of libFuzzer that bound a run.
fn limits(options: &Options) -> Vec<String> {
    let bound = match (options.smoke, options.seconds, options.runs) {
        (true, _, _) => format!("-max_total_time={SMOKE_SECONDS}"),
        (false, _, Some(runs)) => format!("-runs={runs}"),
        (false, seconds, None) => format!("-max_total_time={}", seconds.unwrap_or(60)),
    };
    vec![
        bound,
        format!("-timeout={INPUT_SECONDS_MAX}"),
        format!("-rss_limit_mb={MEMORY_MIB_MAX}"),
        format!("-max_len={INPUT_BYTES_MAX}"),
        "-print_final_stats=1".to_owned(),
    ]
}

/// Where inputs come from and go to: what was found before, then the seeds.
fn folders(workspace: &Workspace, place: &Path, target: &str) -> Result<Vec<String>> {
    let corpus = place.join("corpus").join(target);
    let found = place.join("found").join(target);
    for folder in [&corpus, &found] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let seeds = workspace.root().join("tests/fuzz/corpus").join(target);
    let mut arguments = vec![format!("-artifact_prefix={}/", found.display())];
    arguments.push(corpus.display().to_string());
    arguments.push(seeds.display().to_string());
    if target == "onnx_vet" {
        arguments.push(workspace.models().join("tiny").display().to_string());
    }
    Ok(arguments)
}

/// The targets that there are: the programs in the manifest.
fn targets(folder: &Path) -> Result<BTreeSet<String>> {
    let path = folder.join("Cargo.toml");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let manifest: Table = text
        .parse()
        .with_context(|| format!("cannot read {}", path.display()))?;
    let programs = manifest.get("bin").and_then(Value::as_array);
    let names = programs
        .into_iter()
        .flatten()
        .filter_map(|program| program.get("name")?.as_str());
    Ok(names.map(str::to_owned).collect())
}

/// Those of the targets that were asked for; all, if none was.
fn chosen(there: &BTreeSet<String>, asked: &[String]) -> Result<Vec<String>> {
    if asked.is_empty() {
        return Ok(there.iter().cloned().collect());
    }
    if let Some(unknown) = asked.iter().find(|name| !there.contains(*name)) {
        let names: Vec<&str> = there.iter().map(String::as_str).collect();
        bail!(
            "no such fuzz target: {unknown}\nhint: one of: {}",
            names.join(", ")
        );
    }
    Ok(asked.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there() -> BTreeSet<String> {
        ["a", "b"].map(str::to_owned).into()
    }

    #[test]
    fn without_names_all_targets_are_run() {
        assert_eq!(chosen(&there(), &[]).unwrap(), ["a", "b"]);
    }

    #[test]
    fn unknown_target_is_refused_with_the_names_that_exist() {
        let error = chosen(&there(), &["c".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("one of: a, b"), "{error}");
    }

    #[test]
    fn every_target_of_the_checkout_has_seeds() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz");
        let targets = targets(&folder).unwrap();
        let seeds = fs::read_dir(folder.join("corpus")).unwrap();
        let seeds: BTreeSet<String> = seeds
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(seeds, targets);
    }
}
