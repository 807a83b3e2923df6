//! `nn-bench jail`: what the jail around a worker costs, in steady state and when a worker is started. Daemons with and without
//! it run side by side and take turns, so that what disturbs the machine disturbs all of them.

mod report;
mod spawn;
mod steady;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::admin::{self, Layer};
use crate::daemon::Daemon;
use crate::procs::{self, Placement, talk};
use crate::setting::Setting;

/// The layer that shows in /proc by a number.
const FILTER: &str = "seccomp";

/// What the kernel says of a process with a filter, and of one without.
const FILTERED: Option<u32> = Some(2);
const UNFILTERED: Option<u32> = Some(0);

/// Whether workers are jailed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Jail {
    /// By every layer that this machine has.
    Full,
    /// By none.
    None,
}

/// The layers of the jail on this machine: those that are there, and those that are not.
#[derive(Debug)]
struct Layers {
    active: Vec<String>,
    missing: Vec<String>,
}

/// What is the same for all that is measured.
#[derive(Debug)]
struct Bench<'a> {
    setting: &'a Setting,
    repositories: &'a Path,
    layers: Layers,
}

/// All of one placement.
#[derive(Debug)]
struct Measured {
    placement: Placement,
    rows: Vec<steady::Row>,
    loads: Vec<spawn::Loads>,
    /// What others used of the machine while calls were timed, in percent of one processor.
    others_percent: u64,
    /// Rounds that began although the machine was not quiet.
    noisy_rounds: u32,
}

pub(crate) fn run(setting: &Setting) -> Result<ExitCode> {
    let dir = setting.begin()?;
    let mut bench = Bench {
        setting,
        repositories: dir.path(),
        layers: Layers::new(Vec::new()),
    };
    bench.layers = bench.ask_layers()?;
    ensure!(
        !bench.layers.active.is_empty(),
        "workers have no jail on this machine; hint: nnctl sandbox explain"
    );
    let mut measured = Vec::new();
    for placement in Placement::ALL {
        measured.push(bench.measure(placement)?);
    }
    report::print(&bench, &measured);
    Ok(ExitCode::SUCCESS)
}

/// In which order two or three take their turns: after six rounds everybody has come after everybody else equally often.
fn order(count: usize, round: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.rotate_left((round / 2) % count.max(1));
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

// === impl Jail ===

impl Jail {
    fn name(self) -> &'static str {
        match self {
            Self::Full => "jailed",
            Self::None => "no jail",
        }
    }
}

// === impl Layers ===

impl Layers {
    fn new(all: Vec<Layer>) -> Self {
        let (active, missing): (Vec<Layer>, Vec<Layer>) =
            all.into_iter().partition(|layer| layer.active);
        let names = |layers: Vec<Layer>| layers.into_iter().map(|layer| layer.name).collect();
        Self {
            active: names(active),
            missing: names(missing),
        }
    }
}

// === impl Bench ===

impl Bench<'_> {
    /// A daemon over one repository.
    fn daemon(
        &self,
        placement: Placement,
        repository: &Path,
        worker: &str,
        jail: Jail,
    ) -> Result<Daemon> {
        let mut start = self.setting.start(placement, repository);
        start.worker = worker;
        if jail == Jail::None {
            start.without = &self.layers.active;
        }
        Daemon::start(&start)
    }

    fn ask_layers(&self) -> Result<Layers> {
        let empty = tempfile::tempdir()?;
        let daemon = self.daemon(Placement::Free, empty.path(), "nn-worker", Jail::Full)?;
        Ok(Layers::new(admin::layers(&daemon.socket())?))
    }

    /// Fails unless workers are jailed as they are meant to be: by the daemon's word, and by the kernel's where that can be
    /// asked for little.
    fn confirm(&self, daemon: &Daemon, jail: Jail) -> Result<()> {
        let found = Layers::new(admin::layers(&daemon.socket())?);
        let (expected, mode): (&[String], _) = match jail {
            Jail::Full if self.layers.active.iter().any(|name| name == FILTER) => {
                (&self.layers.active, FILTERED)
            }
            Jail::Full => (&self.layers.active, UNFILTERED),
            Jail::None => (&[], UNFILTERED),
        };
        ensure!(
            found.active == expected,
            "{}: expected the layers {expected:?}, got {:?}",
            jail.name(),
            found.active
        );
        let workers = daemon.workers();
        ensure!(
            workers.len() == 1,
            "expected one worker, got {}",
            workers.len()
        );
        for pid in workers {
            let got = procs::seccomp_mode(pid);
            ensure!(
                got == mode,
                "{}: expected a worker with Seccomp {mode:?}, got {got:?}",
                jail.name()
            );
        }
        Ok(())
    }

    fn measure(&self, placement: Placement) -> Result<Measured> {
        let mut noise = self.setting.noise();
        let mut watch = Watch::start();
        let rows = steady::measure(self, placement, &mut noise, &mut watch)?;
        talk(&format!("{}: loads", placement.name()));
        let loads = spawn::measure(self, placement, &mut noise)?;
        Ok(Measured {
            placement,
            rows,
            loads,
            others_percent: watch.others_percent(),
            noisy_rounds: noise.rounds,
        })
    }
}

/// What others do while rounds are measured.
#[derive(Debug)]
struct Watch {
    elapsed: Duration,
    others_ms: u64,
}

// === impl Watch ===

impl Watch {
    fn start() -> Self {
        Self {
            elapsed: Duration::ZERO,
            others_ms: 0,
        }
    }

    /// Has a round measured; what these processes and this one use meanwhile is not others'.
    fn round<T>(&mut self, pids: &[u32], round: impl FnOnce() -> Result<T>) -> Result<T> {
        let own = [pids, &[std::process::id()]].concat();
        let (begun, machine, before) = (
            Instant::now(),
            procs::machine_busy_ms(),
            procs::cpu_ns(&own),
        );
        let done = round()?;
        let ours_ms = procs::cpu_ns(&own).saturating_sub(before) / 1_000_000;
        let busy_ms = procs::machine_busy_ms().saturating_sub(machine);
        self.elapsed = self.elapsed.saturating_add(begun.elapsed());
        self.others_ms = self
            .others_ms
            .saturating_add(busy_ms.saturating_sub(ours_ms));
        Ok(done)
    }

    fn others_percent(&self) -> u64 {
        let elapsed = u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX);
        self.others_ms.saturating_mul(100) / elapsed.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_follows_everybody_equally_often() {
        let mut follows = [[0; 3]; 3];
        for order in (0..6).map(|round| order(3, round)) {
            for pair in order.windows(2) {
                follows[pair[0]][pair[1]] += 1;
            }
        }
        assert_eq!(follows, [[0, 2, 2], [2, 0, 2], [2, 2, 0]]);
    }
}
