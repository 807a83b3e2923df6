//! `cargo xtask bench path`: what isolation costs, measured against the same work in process. `cargo xtask bench jail`: what the
//! jail around workers costs. `cargo xtask bench recovery`: what the death of a worker costs. `cargo xtask bench
//! prepared`: what the second start of a model saves. `cargo xtask bench faas`: whether the host keeps serving.
//!
//! Builds all ways with one profile, has `nn-bench` measure them in turns, and puts its tables, with the machine and the
//! versions, into docs/benchmarks.md, between two marks of each bench: what people wrote around them stays.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};

use crate::output::{data, talk};
use crate::workspace::Workspace;
use crate::{process, setup};

/// The profile of the numbers; Cargo.toml says why it is not `release`.
const PROFILE: &str = "measure";

/// The page that figures go to.
const PAGE: &str = "docs/benchmarks.md";

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// One inference from a guest and back, by every way; writes docs/benchmarks.md
    Path(Run),
    /// Calls and loads with the jail around workers and without it; writes docs/benchmarks.md
    Jail(Run),
    /// The next answer after a worker's death, with a spare and without; writes docs/benchmarks.md
    Recovery(Run),
    /// Pictures that a guest converts itself, against those that its model's worker does; writes docs/benchmarks.md
    Conversions(Run),
    /// The second start of each model, from what was prepared, and the memory of 1 and 4 workers; writes docs/benchmarks.md
    Prepared(Run),
    /// Whether the host keeps serving while models compute, against one that computes in process; writes docs/benchmarks.md
    Faas(Run),
}

#[derive(Debug, Args)]
struct Run {
    /// A few rounds instead of many, and nothing is written
    #[arg(long)]
    quick: bool,
    /// How long each round waits for other processes to leave the machine alone, in seconds
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=3600))]
    patience: u32,
    /// Has the kernel prefer what is measured to everything else, where others work on the machine; needs root
    #[arg(long)]
    urgent: bool,
}

/// How one bench is run.
struct Plan<'a> {
    /// The command of `nn-bench`.
    name: &'static str,
    /// The section of the page.
    section: &'static str,
    /// Whether it compares with a host that computes in process.
    has_peer: bool,
    run: &'a Run,
}

/// Builds, measures, writes.
///
/// # Errors
/// When something does not build or run, or the ways do not answer the same.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    setup::run(workspace)?;
    let Plan {
        name,
        section,
        has_peer,
        run,
    } = options.what.plan();
    build(workspace)?;
    let mut bench = bench(workspace, name, run)?;
    let mut about = machine(workspace)?;
    if has_peer {
        build_inproc(workspace)?;
        let inproc = workspace.profile(PROFILE).join("inproc");
        bench.arg("--inproc").arg(inproc);
        about += &versions(workspace)?;
    }
    let figures = format!("{about}\n{}", process::output(&mut bench)?);
    for line in figures.lines() {
        data(line);
    }
    if !run.quick {
        let page = workspace.root().join(PAGE);
        let text = fs::read_to_string(&page).with_context(|| page.display().to_string())?;
        fs::write(&page, with_figures(&text, section, &figures)?)?;
        talk(&format!("bench: wrote {}", page.display()));
    }
    Ok(())
}

// === impl What ===

impl What {
    fn plan(&self) -> Plan<'_> {
        let (name, section, has_peer, run) = match self {
            Self::Path(run) => ("path", "figures", true, run),
            Self::Jail(run) => ("jail", "jail", false, run),
            Self::Recovery(run) => ("recovery", "recovery", false, run),
            Self::Conversions(run) => ("conversions", "conversions", false, run),
            Self::Prepared(run) => ("prepared", "prepared", false, run),
            Self::Faas(run) => ("faas", "faas", true, run),
        };
        Plan {
            name,
            section,
            has_peer,
            run,
        }
    }
}

/// The command that measures.
fn bench(workspace: &Workspace, what: &str, run: &Run) -> Result<Command> {
    let programs = workspace.profile(PROFILE);
    let mut bench = process::command(programs.join("nn-bench"));
    bench
        .arg(what)
        .arg("--runtime")
        .arg(runtime(workspace)?)
        .arg("--models")
        .arg(workspace.nn().join("models"))
        .arg("--guests")
        .arg(workspace.root().join("guests/bin"))
        .arg("--programs")
        .arg(&programs)
        .arg("--patience")
        .arg(run.patience.to_string())
        .args(run.quick.then_some("--quick"))
        .args(run.urgent.then_some("--urgent"));
    Ok(bench)
}

/// The same selection for every bench: another one unifies other features, and compiles wasmtime anew.
fn build(workspace: &Workspace) -> Result<()> {
    let packages = [
        "nn-benches",
        "nn-daemon",
        "nn-spawner",
        "nn-host",
        "nn-worker",
        "nn-worker-fake",
    ];
    let mut ours = process::cargo();
    ours.args(["build", "--locked", "--profile", PROFILE]);
    for package in packages {
        ours.args(["--package", package]);
    }
    process::run(ours.current_dir(workspace.root()))
}

/// One folder for both workspaces: what they have in common, wasmtime above all, is compiled once.
fn build_inproc(workspace: &Workspace) -> Result<()> {
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
    Ok(format!(
        "| | |\n|---|---|\n| date | {} |\n| processors | {count} × {} (family {}, model {}){guest} |\n| kernel | Linux {} |\n\
         | compiler | {}, profile `{PROFILE}` |\n| ort | {} |\n",
        today.trim(),
        field("model name"),
        field("cpu family"),
        field("model\t"),
        kernel.trim(),
        rustc.trim(),
        version(&own, "ort")?,
    ))
}

/// What is compared, as it is built in both workspaces.
fn versions(workspace: &Workspace) -> Result<String> {
    let own = workspace.root().join("Cargo.lock");
    let theirs = workspace.root().join("benches/inproc/Cargo.lock");
    Ok(format!(
        "| ort in process | {} |\n| wasmtime | {} isolated, {} in process |\n| wasmtime-wasi-nn | {} |\n",
        version(&theirs, "ort")?,
        version(&own, "wasmtime")?,
        version(&theirs, "wasmtime")?,
        version(&theirs, "wasmtime-wasi-nn")?,
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

/// The page with other figures between the marks of that section.
fn with_figures(page: &str, section: &str, figures: &str) -> Result<String> {
    let [begin, end] = ["begin", "end"].map(|mark| format!("<!-- {section}: {mark} -->"));
    let hint = || {
        format!("{PAGE} has no marks of this bench\nhint: it needs the lines `{begin}` and `{end}`")
    };
    let (before, rest) = page.split_once(&begin).with_context(hint)?;
    let (_, after) = rest.split_once(&end).with_context(hint)?;
    Ok(format!(
        "{before}{begin}\n\n{}\n\n{end}{after}",
        figures.trim()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_replaced_and_words_around_them_stay() {
        let page = "words\n<!-- jail: begin -->\nold\n<!-- jail: end -->\nmore words\n";
        let got = with_figures(page, "jail", "new\n").unwrap();
        let expected = "words\n<!-- jail: begin -->\n\nnew\n\n<!-- jail: end -->\nmore words\n";
        assert_eq!(got, expected);
    }

    #[test]
    fn figures_of_another_bench_stay() {
        let page = "<!-- figures: begin -->\nold\n<!-- figures: end -->\n";
        let error = with_figures(page, "jail", "new").unwrap_err();
        assert!(error.to_string().contains("hint: "), "{error}");
    }
}
