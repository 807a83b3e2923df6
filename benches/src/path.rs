//! `nn-bench path`: every way takes its turn at every payload, round after round in one run, so that what disturbs the machine
//! disturbs all of them. Results are compared before anything is timed.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::child::Way;
use crate::daemon::Daemon;
use crate::kind::Kind;
use crate::models::{PAYLOADS, Payload};
use crate::procs::{self, Noise, Placement, talk};
use crate::setting::Setting;
use crate::stats::{Samples, percentile};
use crate::{memory, models, report};

/// Rounds of a full run, and of a quick one.
const ROUNDS: u32 = 10;
const ROUNDS_QUICK: u32 = 3;

/// Readings of the clock to know what one costs.
const CLOCK_READINGS: u32 = 2000;

/// What to measure with.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) setting: Setting,
    /// The program `inproc`.
    #[arg(long, value_name = "FILE")]
    pub(crate) inproc: PathBuf,
}

/// One payload by every way.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) payload: Payload,
    pub(crate) ways: Vec<(Kind, Samples)>,
}

/// What loading costs one way, in nanoseconds; `None` where it is not offered.
#[derive(Debug)]
pub(crate) struct Loads {
    pub(crate) kind: Kind,
    pub(crate) named_first: u64,
    pub(crate) named_again: u64,
    pub(crate) bytes_first: Option<u64>,
    pub(crate) bytes_again: Option<u64>,
}

/// All of one placement.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) placement: Placement,
    pub(crate) rows: Vec<Row>,
    pub(crate) loads: Vec<Loads>,
    /// Nanoseconds of one reading of the clock, which is part of every call.
    pub(crate) clock: Vec<(Kind, u64)>,
    /// What others used of the machine meanwhile, in percent of one processor.
    pub(crate) others_percent: u64,
    /// Rounds that began although the machine was not quiet.
    pub(crate) noisy_rounds: u32,
}

/// The processes of one placement.
pub(crate) struct Stage {
    pub(crate) daemon: Daemon,
    pub(crate) ways: Vec<(Kind, Way)>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let repositories = options.setting.begin()?;
    let mut measured = Vec::new();
    for placement in Placement::ALL {
        measured.push(measure(options, placement, repositories.path())?);
    }
    talk("memory");
    let memory = memory::measure(options, repositories.path())?;
    report::print(options, &measured, &memory);
    Ok(ExitCode::SUCCESS)
}

// === impl Stage ===

impl Stage {
    fn start(
        options: &Options,
        placement: Placement,
        repository: &Path,
        payload: Payload,
    ) -> Result<Self> {
        let daemon = options.setting.daemon(placement, repository)?;
        let socket = daemon.socket();
        let start = |kind: Kind| {
            let way = kind.start(options, placement, repository, &socket, payload)?;
            Ok((kind, way))
        };
        let ways = Kind::ALL.into_iter().map(start).collect::<Result<_>>()?;
        Ok(Self { daemon, ways })
    }

    /// The processes that work for each way. The daemon's are those of both isolated ways, which take turns.
    fn processes(&self) -> Vec<Vec<u32>> {
        let daemon = procs::family(self.daemon.pid());
        let of = |(kind, way): &(Kind, Way)| {
            let mut pids = procs::family(way.pid());
            if kind.is_isolated() {
                pids.extend(&daemon);
            }
            pids
        };
        self.ways.iter().map(of).collect()
    }

    fn everyone(&self) -> Vec<u32> {
        let mut pids = self.processes().concat();
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// Has all ways use a model and give the same answer.
    fn agree(&mut self, payload: &Payload) -> Result<()> {
        let mut expected: Option<(Kind, String)> = None;
        for (kind, way) in &mut self.ways {
            way.ask(&payload.command())?;
            if !kind.has_model() {
                continue;
            }
            let got = way.ask("check")?;
            match &expected {
                None => expected = Some((*kind, got)),
                Some((_, same)) if *same == got => {}
                Some((other, _)) => bail!(
                    "{}: {} and {} do not answer the same",
                    payload.title,
                    other.name(),
                    kind.name()
                ),
            }
        }
        Ok(())
    }

    fn row(&mut self, payload: Payload, rounds: u32, noise: &mut Noise) -> Result<Row> {
        self.agree(&payload)?;
        let processes = self.processes();
        let count = self.ways.len();
        let mut samples = vec![Samples::default(); count];
        for round in 0..rounds {
            noise.wait();
            for turn in 0..count {
                // Another one begins every round.
                let index = (turn + usize::try_from(round)?) % count;
                let (_, way) = self.ways.get_mut(index).context("a way")?;
                let pids = processes.get(index).context("its processes")?;
                let sample = samples.get_mut(index).context("its samples")?;
                way.ask(&format!("run {}", payload.calls / 10 + 2))?;
                let before = procs::cpu_ns(pids);
                let times = way.ask_numbers(&format!("run {}", payload.calls))?;
                sample.cpu_ns += procs::cpu_ns(pids).saturating_sub(before);
                sample.turns.push(times);
            }
        }
        let kinds = self.ways.iter().map(|(kind, _)| *kind);
        Ok(Row {
            payload,
            ways: kinds.zip(samples).collect(),
        })
    }

    fn clocks(&mut self) -> Result<Vec<(Kind, u64)>> {
        let mut clocks = Vec::new();
        for (kind, way) in &mut self.ways {
            let times = way.ask_numbers(&format!("clock {CLOCK_READINGS}"))?;
            clocks.push((*kind, percentile(&times, 50)));
        }
        Ok(clocks)
    }
}

fn measure(options: &Options, placement: Placement, repositories: &Path) -> Result<Measured> {
    talk(&format!("{}: loads", placement.name()));
    let loads = loads(options, placement, repositories)?;
    let rounds = if options.setting.quick {
        ROUNDS_QUICK
    } else {
        ROUNDS
    };
    let mut noise = options.setting.noise();
    let (begun, machine) = (std::time::Instant::now(), procs::machine_busy_ms());
    let (mut rows, mut clock, mut ours) = (Vec::new(), Vec::new(), 0);
    for payload in PAYLOADS {
        talk(&format!("{}: {}", placement.name(), payload.title));
        // Started anew: what an earlier payload has left behind must not slow a later one.
        let repository = repositories.join(payload.model);
        let mut stage = Stage::start(options, placement, &repository, payload)?;
        clock = stage.clocks()?;
        rows.push(stage.row(payload, rounds, &mut noise)?);
        ours += procs::cpu_ns(&stage.everyone()) / 1_000_000;
    }
    let busy = procs::machine_busy_ms().saturating_sub(machine);
    let elapsed = u64::try_from(begun.elapsed().as_millis())?.max(1);
    Ok(Measured {
        placement,
        rows,
        loads,
        clock,
        others_percent: busy.saturating_sub(ours).saturating_mul(100) / elapsed,
        noisy_rounds: noise.rounds,
    })
}

/// The real model by name and by its bytes, with everything started anew for each way.
fn loads(options: &Options, placement: Placement, repositories: &Path) -> Result<Vec<Loads>> {
    let payload = PAYLOADS
        .iter()
        .find(|payload| payload.model == models::EFFICIENTNET);
    let payload = *payload.context("the real model is no payload")?;
    let repository = &repositories.join(payload.model);
    let mut all = Vec::new();
    for kind in Kind::ALL.into_iter().filter(|kind| kind.has_model()) {
        let daemon = options.setting.daemon(placement, repository)?;
        let socket = daemon.socket();
        let mut way = kind.start(options, placement, repository, &socket, payload)?;
        let mut named = || first(&way.ask_numbers(&payload.command())?);
        let (named_first, named_again) = (named()?, named()?);
        let file = match kind {
            Kind::InprocWit | Kind::InprocWitx | Kind::OursWit | Kind::OursWitx => {
                Path::new("/models").join(payload.model)
            }
            Kind::Floor | Kind::Bound | Kind::Copy => repository.join(payload.model),
        };
        let command = format!("load {}", file.join("1/model.onnx").display());
        let mut bytes = || first(&way.ask_numbers(&command)?);
        let mut offered = || {
            bytes()
                .inspect_err(|error| talk(&format!("load(bytes): {error:#}")))
                .ok()
        };
        all.push(Loads {
            kind,
            named_first,
            named_again,
            bytes_first: offered(),
            bytes_again: offered(),
        });
    }
    Ok(all)
}

fn first(numbers: &[u64]) -> Result<u64> {
    numbers.first().copied().context("no number")
}
