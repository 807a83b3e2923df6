//! `cargo xtask bench path`: what isolation costs, measured against the same work in process.
//!
//! Builds all ways with one profile, has `nn-bench` measure them in turns, and puts its tables, with the machine and the
//! versions, into docs/benchmarks.md, between two marks: what people wrote around them stays.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};

use crate::output::{data, talk};
use crate::workspace::Workspace;
use crate::{process, setup};

/// The profile of the numbers; Cargo.toml says why it is not `release`.
const PROFILE: &str = "measure";

const BEGIN: &str = "<!-- figures: begin -->";
const END: &str = "<!-- figures: end -->";

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// One inference from a guest and back, by every way; writes docs/benchmarks.md
    Path(PathOptions),
}

#[derive(Debug, Args)]
struct PathOptions {
    /// Three rounds instead of ten, and nothing is written
    #[arg(long)]
    quick: bool,
    /// How long each round waits for other processes to leave the machine alone, in seconds
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=3600))]
    patience: u32,
    /// Has the kernel prefer what is measured to everything else, where others work on the machine; needs root
    #[arg(long)]
    urgent: bool,
}

/// Builds, measures, writes.
///
/// # Errors
/// When something does not build or run, or the ways do not answer the same.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let What::Path(options) = &options.what;
    setup::run(workspace)?;
    build(workspace)?;
    let programs = workspace.profile(PROFILE);
    let mut bench = process::command(programs.join("nn-bench"));
    bench
        .arg("path")
        .arg("--runtime")
        .arg(runtime(workspace)?)
        .arg("--models")
        .arg(workspace.nn().join("models"))
        .arg("--guests")
        .arg(workspace.root().join("guests/bin"))
        .arg("--inproc")
        .arg(programs.join("inproc"))
        .arg("--programs")
        .arg(&programs)
        .arg("--patience")
        .arg(options.patience.to_string())
        .args(options.quick.then_some("--quick"))
        .args(options.urgent.then_some("--urgent"));
    let tables = process::output(&mut bench)?;
    let figures = format!("{}\n{tables}", machine(workspace)?);
    for line in figures.lines() {
        data(line);
    }
    if !options.quick {
        let page = workspace.root().join("docs/benchmarks.md");
        let text = fs::read_to_string(&page).with_context(|| page.display().to_string())?;
        fs::write(&page, with_figures(&text, &figures)?)?;
        talk(&format!("bench: wrote {}", page.display()));
    }
    Ok(())
}

/// One folder for both workspaces: what they have in common, wasmtime above all, is compiled once.
fn build(workspace: &Workspace) -> Result<()> {
    let packages = ["nn-benches", "nn-daemon", "nn-spawner", "nn-worker"];
    let mut ours = process::cargo();
    ours.args(["build", "--locked", "--profile", PROFILE]);
    for package in packages {
        ours.args(["--package", package]);
    }
    process::run(ours.current_dir(workspace.root()))?;
    let mut inproc = process::cargo();
    inproc
        .args(["build", "--locked", "--profile", PROFILE, "--manifest-path"])
        .arg(workspace.root().join("benches/inproc/Cargo.toml"))
        .arg("--target-dir")
        .arg(workspace.target());
    process::run(inproc.current_dir(workspace.root()))
}

fn runtime(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.nn().join("runtimes/onnxruntime");
    let files = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let named = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with("libonnxruntime.so"))
    };
    let mut found = files.filter_map(|entry| Some(entry.ok()?.path()));
    found
        .find(named)
        .with_context(|| format!("{} holds no libonnxruntime.so", folder.display()))
}

/// What the figures depend on, without a word about whose machine it is.
fn machine(workspace: &Workspace) -> Result<String> {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = cpus.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_once(':'));
        value
            .map_or("unknown", |(_, value)| value.trim())
            .to_owned()
    };
    let count = cpus
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let guest = if field("flags").split(' ').any(|flag| flag == "hypervisor") {
        ", a virtual machine"
    } else {
        ""
    };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let today = process::output(process::command("date").args(["-u", "+%F"]))?;
    let rustc = process::output(process::command("rustc").arg("--version"))?;
    let own = workspace.root().join("Cargo.lock");
    let theirs = workspace.root().join("benches/inproc/Cargo.lock");
    Ok(format!(
        "| | |\n|---|---|\n| date | {} |\n| processors | {count} × {} (family {}, model {}){guest} |\n| kernel | Linux {} |\n\
         | compiler | {}, profile `{PROFILE}` |\n| wasmtime | {} isolated, {} in process |\n| wasmtime-wasi-nn | {} |\n\
         | ort | {} isolated and plain, {} in process |\n",
        today.trim(),
        field("model name"),
        field("cpu family"),
        field("model\t"),
        kernel.trim(),
        rustc.trim(),
        version(&own, "wasmtime")?,
        version(&theirs, "wasmtime")?,
        version(&theirs, "wasmtime-wasi-nn")?,
        version(&own, "ort")?,
        version(&theirs, "ort")?,
    ))
}

/// The version of a package in a lockfile.
fn version(lockfile: &Path, package: &str) -> Result<String> {
    let text = fs::read_to_string(lockfile).with_context(|| lockfile.display().to_string())?;
    let name = format!("name = \"{package}\"");
    let mut lines = text.lines().skip_while(|line| *line != name);
    let found = lines.nth(1).and_then(|line| line.split('"').nth(1));
    Ok(found.unwrap_or("unknown").to_owned())
}

/// The page with other figures between its marks.
fn with_figures(page: &str, figures: &str) -> Result<String> {
    let hint = "docs/benchmarks.md has no marks\nhint: it needs the lines `<!-- figures: begin -->` and `<!-- figures: end -->`";
    let (before, rest) = page.split_once(BEGIN).context(hint)?;
    let (_, after) = rest.split_once(END).context(hint)?;
    Ok(format!(
        "{before}{BEGIN}\n\n{}\n\n{END}{after}",
        figures.trim()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_replaced_and_words_around_them_stay() {
        let page = format!("words\n{BEGIN}\nold\n{END}\nmore words\n");
        let got = with_figures(&page, "new\n").unwrap();
        assert_eq!(got, format!("words\n{BEGIN}\n\nnew\n\n{END}\nmore words\n"));
    }

    #[test]
    fn page_without_marks_is_refused() {
        let error = with_figures("words", "new").unwrap_err();
        assert!(error.to_string().contains("hint: "), "{error}");
    }
}
