//! `nn-bench faas`: whether the host keeps serving. Four questions, each put to `nn-host serve` and to a host with
//! wasmtime-wasi-nn in its own process, in one run: is the rest still answered while models compute; what does a request cost
//! that has its instance made anew; what becomes of more requests than can be answered; what does one tenant notice of another.
//!
//! ```text
//! arrivals ─▶ load (pacer) ─▶ client ═HTTP═▶ server: nn-host ─▶ nn-daemon ─▶ nn-worker, or inproc
//!                │
//!                └──▶ busy · cold · overload · neighbour ──▶ table
//! ```

mod arrivals;
mod ask;
mod busy;
mod client;
mod cold;
mod load;
mod neighbour;
mod overload;
mod pacer;
mod scheduling;
mod server;
mod table;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use tokio::runtime::Runtime;
use tokio::task::LocalSet;
use tokio::time::timeout;

use crate::daemon::Daemon;
use crate::procs::{Placement, Preferred, talk};
use crate::report::line;
use crate::setting::Setting;
use load::Load;
use server::Server;
use table::Target;

/// The longest that one part may take.
const PART_MAX: Duration = Duration::from_secs(300);

/// What is made of models so that they load faster is made when nobody measures: never.
const LIMITS: &str = "prepare_after_ms = 3600000";

/// What to measure with.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    setting: Setting,
    /// The program `inproc`.
    #[arg(long, value_name = "FILE")]
    inproc: PathBuf,
    /// This part alone.
    #[arg(long, value_parser = ["busy", "cold", "overload", "neighbour"])]
    part: Option<String>,
}

/// What all parts share.
pub(crate) struct Bench<'a> {
    options: &'a Options,
    repository: PathBuf,
    guest: PathBuf,
    runtime: Runtime,
}

/// What one part found.
#[derive(Debug, Default)]
pub(crate) struct Part {
    text: String,
    targets: Vec<Target>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let dir = options.setting.begin()?;
    let bench = Bench::new(options, dir.path())?;
    let mut noise = options.setting.noise();
    let mut parts = Vec::new();
    let mut capacity = 0.0;
    for name in ["busy", "cold", "overload", "neighbour"] {
        if options.part.as_ref().is_some_and(|part| part != name) {
            continue;
        }
        talk(&format!("faas: {name}"));
        noise.wait();
        parts.push(match name {
            "busy" => busy::measure(&bench)?,
            "cold" => cold::measure(&bench)?,
            "overload" => {
                let (part, found) = overload::measure(&bench)?;
                capacity = found;
                part
            }
            _ => {
                if options.part.is_some() {
                    capacity = overload::capacity(&bench)?;
                }
                neighbour::measure(&bench, capacity)?
            }
        });
    }
    let mut text = String::new();
    let targets: Vec<&Target> = parts.iter().flat_map(|part| &part.targets).collect();
    table::targets(&mut text, &targets);
    for part in &parts {
        text.push_str(&part.text);
    }
    let closing = format!(
        "{} parts began although the machine was not quiet. Framework: {}, the same file for both.{}",
        noise.rounds,
        options.setting.framework(),
        options.setting.priority()
    );
    line(&mut text, &closing);
    let _closed_pipe = std::io::stdout().write_all(text.as_bytes());
    Ok(ExitCode::SUCCESS)
}

/// A load whose requests were not sent in time says nothing of the host: it is made once more, and what comes of that is told
/// either way.
pub(crate) async fn punctual(load: impl AsyncFn() -> Result<Load>) -> Result<Load> {
    let first = load().await?;
    if first.is_punctual() {
        return Ok(first);
    }
    talk("faas: requests were not sent in time; once more");
    load().await
}

// === impl Bench ===

impl<'a> Bench<'a> {
    fn new(options: &'a Options, dir: &Path) -> Result<Self> {
        let repository = dir.join("faas");
        for model in ask::MODELS {
            let from = dir.join(model.name).join(model.name).join("1/model.onnx");
            let version = repository.join(model.name).join("1");
            fs::create_dir_all(&version)?;
            fs::copy(&from, version.join("model.onnx"))
                .with_context(|| format!("{} is not there", from.display()))?;
        }
        Ok(Self {
            options,
            repository,
            guest: options.setting.guests.join("bench-http.wasm"),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?,
        })
    }

    /// The longer time in a full run, the shorter in a quick one.
    pub(crate) fn either<T>(&self, full: T, quick: T) -> T {
        if self.options.setting.quick {
            quick
        } else {
            full
        }
    }

    /// A daemon with all models. `workers`: lines of that section.
    pub(crate) fn daemon(&self, workers: &str, verbose: bool) -> Result<Daemon> {
        let mut start = self
            .options
            .setting
            .start(Placement::Free, &self.repository);
        start.limits = LIMITS;
        start.workers = workers;
        start.verbose = verbose;
        Daemon::start(&start)
    }

    /// A host in front of a daemon.
    pub(crate) fn isolated(&self, daemon: &Daemon) -> Result<Server> {
        let programs = &self.options.setting.programs;
        Server::isolated(programs, &self.guest, &daemon.socket())
    }

    /// The peer.
    pub(crate) fn in_process(&self) -> Result<Server> {
        let runtime = &self.options.setting.runtime;
        Server::in_process(&self.options.inproc, runtime, &self.guest, &self.repository)
    }

    /// Runs a part's requests, all on this thread. It goes before what it measures: clients elsewhere would not wait for this
    /// machine's processors.
    pub(crate) fn drive<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let _preferred = (!self.options.setting.urgent).then(Preferred::begin);
        let bounded = async { timeout(PART_MAX, work).await };
        let driven = LocalSet::new().block_on(&self.runtime, bounded);
        driven.context("a part of the bench does not end")?
    }
}
