//! `cargo xtask demo`: the main job, end to end, with real processes, and checked against known answers.
//!
//! A daemon with the models of models/, guests that ask it for inference through the host, and nothing left behind. It
//! uses only what an operator has: the built programs and their command lines.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::manifest::{Answer, Manifest};
use crate::output::{data, talk};
use crate::process;
use crate::setup::{self, Scratch};
use crate::workspace::Workspace;

mod answers;
mod daemon;

use daemon::Daemon;

const PACKAGES: [&str; 5] = ["nn-daemon", "nn-spawner", "nn-worker", "nn-host", "nnctl"];
const CLASSIFIER: &str = "efficientnet-lite0";
const EMBEDDER: &str = "minilm-l6-int8";

/// Compiling a guest and loading a model take seconds in a development build; minutes mean that something hangs.
const STEP_MAX: Duration = Duration::from_secs(120);

/// How to run it.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// With release builds
    #[arg(long)]
    release: bool,
}

/// One line of the summary.
#[derive(Debug)]
struct Row {
    what: String,
    result: String,
    seconds: f64,
}

/// What the steps need, and what they found so far.
struct Demo<'a> {
    workspace: &'a Workspace,
    release: bool,
    scratch: Scratch,
    rows: Vec<Row>,
}

/// Runs the demonstration, and prints a table of what came out.
///
/// # Errors
/// When a step fails, an answer is not the known one, or something is left behind.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    setup::run(workspace)?;
    build(workspace, options.release)?;
    let manifests = Manifest::read_all(&workspace.models())?;
    let mut demo = Demo {
        workspace,
        release: options.release,
        scratch: Scratch::new(&std::env::temp_dir())?,
        rows: Vec::new(),
    };
    let started = Instant::now();
    let mut daemon = Daemon::start(
        &workspace.program("nn-daemon", options.release),
        demo.scratch.path(),
        &workspace.nn().join("models"),
    )?;
    demo.row("daemon started", "its socket answers", started);

    let asked = demo.ask(&daemon, &manifests);
    let started = Instant::now();
    let stopped = asked.and_then(|()| daemon.stop());
    if let Err(error) = stopped {
        talk(&format!("demo: the daemon said:\n{}", daemon.last_words()));
        return Err(error);
    }
    demo.row("daemon stopped", "no process, socket or file left", started);
    demo.print();
    Ok(())
}

fn build(workspace: &Workspace, release: bool) -> Result<()> {
    let mut build = process::cargo();
    build.arg("build");
    for package in PACKAGES {
        build.args(["--package", package]);
    }
    if release {
        build.arg("--release");
    }
    process::run(build.current_dir(workspace.root()))
}

// === impl Demo ===

impl Demo<'_> {
    /// Asks everything that has a known answer.
    fn ask(&mut self, daemon: &Daemon, manifests: &[Manifest]) -> Result<()> {
        let started = Instant::now();
        let mut status = process::command(self.workspace.program("nnctl", self.release));
        status.arg("--socket").arg(daemon.socket()).arg("status");
        let said = process::output_within(&mut status, STEP_MAX)?;
        let first = said.lines().next().unwrap_or("(nothing)").trim().to_owned();
        self.row("nnctl status", &first, started);

        for answer in known(manifests, CLASSIFIER)? {
            self.classify(daemon, answer)?;
        }
        self.embed(daemon, known(manifests, EMBEDDER)?)
    }

    /// A guest that names what a picture shows.
    fn classify(&mut self, daemon: &Daemon, answer: &Answer) -> Result<()> {
        let picture = answer.given.first().context("an answer to no picture")?;
        let started = Instant::now();
        let said = self.guest(
            daemon,
            "wit-classify",
            "data/pictures::/pictures",
            &[CLASSIFIER.to_owned(), format!("/pictures/{picture}")],
        )?;
        let result = answers::check_class(&said, answer)
            .with_context(|| format!("{CLASSIFIER} on {picture}"))?;
        self.row(&format!("{CLASSIFIER} on {picture}"), &result, started);
        Ok(())
    }

    /// A guest that compares sentences.
    fn embed(&mut self, daemon: &Daemon, known: &[Answer]) -> Result<()> {
        let mut arguments = vec![EMBEDDER.to_owned()];
        for sentence in known.iter().flat_map(|answer| &answer.given) {
            if !arguments.contains(sentence) {
                arguments.push(sentence.clone());
            }
        }
        let started = Instant::now();
        let said = self.guest(daemon, "wit-embed", "data/minilm::/data", &arguments)?;
        for answer in known {
            let result = answers::check_cosine(&said, answer)
                .with_context(|| format!("{EMBEDDER} on {:?}", answer.given))?;
            self.row(EMBEDDER, &result, started);
        }
        Ok(())
    }

    /// Runs a guest in the host; `folder` is `FOLDER IN target/nn::FOLDER IN THE GUEST`.
    fn guest(
        &self,
        daemon: &Daemon,
        name: &str,
        folder: &str,
        arguments: &[String],
    ) -> Result<String> {
        let guest: PathBuf = self
            .workspace
            .root()
            .join(format!("guests/bin/{name}.wasm"));
        if !guest.exists() {
            bail!(
                "{} is missing\nhint: run `cargo xtask guests`",
                guest.display()
            );
        }
        let mut folder_seen: OsString = self.workspace.nn().into();
        folder_seen.push("/");
        folder_seen.push(folder);
        let mut host = process::command(self.workspace.program("nn-host", self.release));
        host.arg("run").arg("--socket").arg(daemon.socket());
        host.arg("--dir").arg(folder_seen);
        host.arg(guest).args(arguments);
        process::output_within(&mut host, STEP_MAX)
    }

    fn row(&mut self, what: &str, result: &str, started: Instant) {
        self.rows.push(Row {
            what: what.to_owned(),
            result: result.to_owned(),
            seconds: started.elapsed().as_secs_f64(),
        });
    }

    fn print(&self) {
        let width = |of: fn(&Row) -> &str| {
            let widths = self.rows.iter().map(|row| of(row).chars().count());
            widths.max().unwrap_or_default()
        };
        let (what, result) = (width(|row| &row.what), width(|row| &row.result));
        for row in &self.rows {
            data(&format!(
                "{:what$}  {:result$}  {:7.3} s",
                row.what, row.result, row.seconds
            ));
        }
    }
}

/// The known answers of a model.
fn known<'a>(manifests: &'a [Manifest], model: &str) -> Result<&'a [Answer]> {
    let place = format!("models/{model}/");
    let makes = |manifest: &&Manifest| {
        let mut takes = manifest.wheels.iter().flat_map(|wheel| &wheel.takes);
        takes.any(|take| take.to.starts_with(&place))
    };
    let manifest = manifests.iter().find(makes);
    let answers = manifest.map(|manifest| manifest.answers.as_slice());
    answers.with_context(|| format!("no manifest in models/ makes {model}"))
}

/// The last lines of a text file, for people.
fn tail(path: &std::path::Path, lines_max: usize) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines
        .get(lines.len().saturating_sub(lines_max)..)
        .unwrap_or_default()
        .join("\n")
}
