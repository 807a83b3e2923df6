//! One call, with and without the jail: the same guest over three daemons. Two of them have none; what lies between those two is
//! nothing but chance, and says how much of the rest may be.

use anyhow::{Context as _, Result, ensure};

use super::{Bench, Jail, Watch, order};
use crate::child::Way;
use crate::daemon::Daemon;
use crate::models::{PAYLOADS, Payload};
use crate::procs::{self, Noise, Placement, talk};
use crate::shim;
use crate::stats::Samples;

/// Which payloads are worth knowing it of.
const TITLES: [&str; 4] = ["4 KiB", "588 KiB", "12 MiB", "efficientnet-lite0"];

/// How often everything is started anew, because a process may be slow or quick for all its life; and rounds of each time.
const STARTS: u32 = 6;
const STARTS_QUICK: u32 = 1;
const ROUNDS: usize = 6;

/// Calls of a turn are so many times those of `bench path`: what is looked for is smaller.
const CALLS_FACTOR: u32 = 2;

/// The guest of the older interface, whose way is the shortest: the jail's share is largest there.
const GUEST: &str = "bench-witx.wasm";

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Jailed,
    Bare,
    /// Like `Bare`, to know chance.
    Again,
}

/// One payload.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) payload: Payload,
    pub(super) sides: Vec<(Side, Samples)>,
}

/// A daemon and its client.
struct Runner {
    daemon: Daemon,
    way: Way,
}

pub(super) fn measure(
    bench: &Bench<'_>,
    placement: Placement,
    noise: &mut Noise,
    watch: &mut Watch,
) -> Result<Vec<Row>> {
    let wanted = |payload: &Payload| TITLES.contains(&payload.title);
    let mut rows = Vec::new();
    for payload in PAYLOADS.into_iter().filter(wanted) {
        talk(&format!("{}: {}", placement.name(), payload.title));
        let mut samples = vec![Samples::default(); Side::ALL.len()];
        let starts = if bench.setting.quick {
            STARTS_QUICK
        } else {
            STARTS
        };
        for start in 0..starts {
            let mut runners = start_all(bench, placement, payload, usize::try_from(start)?)?;
            for round in 0..ROUNDS {
                noise.wait();
                let pids: Vec<u32> = runners.iter().flat_map(Runner::processes).collect();
                watch.round(&pids, || {
                    turns(&mut runners, &mut samples, payload.calls, round)
                })?;
            }
        }
        rows.push(Row {
            payload,
            sides: Side::ALL.into_iter().zip(samples).collect(),
        });
    }
    Ok(rows)
}

/// Starts all sides, another one first each time, and has them give the same answer.
fn start_all(
    bench: &Bench<'_>,
    placement: Placement,
    payload: Payload,
    start: usize,
) -> Result<Vec<Runner>> {
    let mut runners = Vec::new();
    for index in order(Side::ALL.len(), start) {
        let side = Side::ALL.get(index).context("a side")?;
        runners.push((index, Runner::start(bench, placement, payload, *side)?));
    }
    runners.sort_by_key(|(index, _)| *index);
    let mut runners: Vec<Runner> = runners.into_iter().map(|(_, runner)| runner).collect();
    let mut answers = Vec::new();
    for (side, runner) in Side::ALL.into_iter().zip(&mut runners) {
        answers.push(runner.way.ask("check")?);
        bench.confirm(&runner.daemon, side.jail())?;
    }
    answers.dedup();
    ensure!(
        answers.len() == 1,
        "{}: not the same answer with and without the jail",
        payload.title
    );
    Ok(runners)
}

/// Every side's turn.
fn turns(runners: &mut [Runner], samples: &mut [Samples], calls: u32, round: usize) -> Result<()> {
    for index in order(Side::ALL.len(), round) {
        let runner = runners.get_mut(index).context("a runner")?;
        let sample = samples.get_mut(index).context("its samples")?;
        let pids = runner.processes();
        let way = &mut runner.way;
        way.ask(&format!("run {}", calls / 10 + 2))?;
        let before = procs::cpu_ns(&pids);
        let times = way.ask_numbers(&format!("run {}", calls.saturating_mul(CALLS_FACTOR)))?;
        let used = procs::cpu_ns(&pids).saturating_sub(before);
        sample.cpu_ns = sample.cpu_ns.saturating_add(used);
        sample.turns.push(times);
    }
    Ok(())
}

// === impl Side ===

impl Side {
    pub(super) const ALL: [Self; 3] = [Self::Jailed, Self::Bare, Self::Again];

    fn name(self) -> &'static str {
        match self {
            Self::Jailed => "jailed",
            Self::Bare => "no jail",
            Self::Again => "no jail, again",
        }
    }

    fn jail(self) -> Jail {
        match self {
            Self::Jailed => Jail::Full,
            Self::Bare | Self::Again => Jail::None,
        }
    }
}

// === impl Row ===

impl Row {
    pub(super) fn of(&self, side: Side) -> Option<&Samples> {
        let mut sides = self.sides.iter();
        let found = sides.find(|(other, _)| *other == side);
        found.map(|(_, samples)| samples)
    }
}

// === impl Runner ===

impl Runner {
    fn start(
        bench: &Bench<'_>,
        placement: Placement,
        payload: Payload,
        side: Side,
    ) -> Result<Self> {
        let repository = bench.repositories.join(payload.model);
        let daemon = bench.daemon(placement, &repository, "nn-worker", side.jail())?;
        let guest = bench.setting.guests.join(GUEST);
        let mut command = shim::command(placement, &daemon.socket(), None, &guest)?;
        let mut way = Way::start(side.name(), &mut command)?;
        way.ask(&payload.command())?;
        Ok(Self { daemon, way })
    }

    fn processes(&self) -> Vec<u32> {
        let mut pids = procs::family(self.way.pid());
        pids.extend(procs::family(self.daemon.pid()));
        pids
    }
}
