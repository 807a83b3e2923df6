//! From `load` to ready: a model that weighs nothing, loaded and unloaded over and over, with and without the jail; by the worker
//! with ONNX Runtime, and by the one without a framework, whose start is the process and the jail alone.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::{Bench, Jail, order};
use crate::admin;
use crate::daemon::Daemon;
use crate::models;
use crate::procs::{Noise, Placement};
use crate::stats::Samples;

/// Rounds of a full run and of a quick one, and loads of each.
const ROUNDS: usize = 10;
const ROUNDS_QUICK: usize = 2;
const LOADS: usize = 5;

/// How long a worker may take to be gone after its model is.
const GONE_MAX: Duration = Duration::from_secs(10);
const GONE_POLL: Duration = Duration::from_millis(2);

/// The name of the model that comes and goes.
const NAME: &str = "tiny";

/// The programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    Real,
    Fake,
}

/// What loads by one program take.
#[derive(Debug)]
pub(super) struct Loads {
    pub(super) program: Program,
    pub(super) jailed: Samples,
    pub(super) bare: Samples,
}

pub(super) fn measure(
    bench: &Bench<'_>,
    placement: Placement,
    noise: &mut Noise,
) -> Result<Vec<Loads>> {
    let one = |program| measure_one(bench, placement, program, noise);
    Program::ALL.into_iter().map(one).collect()
}

fn measure_one(
    bench: &Bench<'_>,
    placement: Placement,
    program: Program,
    noise: &mut Noise,
) -> Result<Loads> {
    let empty = tempfile::tempdir()?;
    let model = program.model();
    let start = |jail| start(bench, placement, program, (jail, empty.path()));
    let daemons = [start(Jail::Full)?, start(Jail::None)?];
    let mut samples = [Samples::default(), Samples::default()];
    let rounds = if bench.setting.quick {
        ROUNDS_QUICK
    } else {
        ROUNDS
    };
    for round in 0..rounds {
        noise.wait();
        let mut times = [const { Vec::new() }; 2];
        for load in 0..LOADS {
            for index in order(daemons.len(), round * LOADS + load) {
                let daemon = daemons.get(index).context("a daemon")?;
                let times: &mut Vec<u64> = times.get_mut(index).context("its times")?;
                let took = admin::load(&daemon.socket(), NAME, &model)?;
                times.push(u64::try_from(took.as_nanos())?);
                unload(daemon)?;
            }
        }
        for (samples, times) in samples.iter_mut().zip(times) {
            samples.turns.push(times);
        }
    }
    let [jailed, bare] = samples;
    Ok(Loads {
        program,
        jailed,
        bare,
    })
}

/// A daemon without models, that has loaded once: the first time reads the library from disk.
fn start(
    bench: &Bench<'_>,
    placement: Placement,
    program: Program,
    (jail, repository): (Jail, &Path),
) -> Result<Daemon> {
    let daemon = bench.daemon(placement, repository, program.file(), jail)?;
    admin::load(&daemon.socket(), NAME, &program.model())?;
    bench.confirm(&daemon, jail)?;
    unload(&daemon)?;
    Ok(daemon)
}

/// Takes the model away and waits until its worker is gone: the next load is not to share the machine with it.
fn unload(daemon: &Daemon) -> Result<()> {
    admin::unload(&daemon.socket(), NAME)?;
    let begun = Instant::now();
    while !daemon.workers().is_empty() {
        ensure!(begun.elapsed() < GONE_MAX, "a worker outlives its model");
        thread::sleep(GONE_POLL);
    }
    Ok(())
}

// === impl Program ===

impl Program {
    const ALL: [Self; 2] = [Self::Real, Self::Fake];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Real => "ONNX Runtime",
            Self::Fake => "no framework",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::Real => "nn-worker",
            Self::Fake => "nn-worker-fake",
        }
    }

    fn model(self) -> Vec<u8> {
        match self {
            Self::Real => models::tiny(),
            Self::Fake => models::FAKE.to_vec(),
        }
    }
}
