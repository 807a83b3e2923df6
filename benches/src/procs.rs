//! Processes and the machine as the kernel sees them: CPU time, memory, what others do; and the one place where this program
//! starts others.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

/// The processor that everything shares when it is packed.
const PACKED_CPU: &str = "0";

/// A tick of /proc/stat, in milliseconds: `USER_HZ` is 100 everywhere.
const TICK_MS: u64 = 10;

/// How long the machine is watched to see whether others are at work.
const WATCH: Duration = Duration::from_millis(200);

/// Others may use so much of one processor, in percent, for the machine to be called quiet.
const QUIET_PERCENT: u64 = 10;

/// Where the processes of a run are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// All on one processor.
    Packed,
    /// Wherever the kernel puts them.
    Free,
}

/// What a process has of memory, in KiB.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// The most that was resident at a time; shared pages count in every process.
    pub(crate) peak: u64,
    /// What is resident now; shared pages count in parts.
    pub(crate) proportional: u64,
}

/// Whether others are at work.
#[derive(Debug)]
pub(crate) struct Noise {
    patience: Duration,
    /// Rounds that began although the machine was not quiet.
    pub(crate) rounds: u32,
}

/// Writes to people.
pub(crate) fn talk(line: &str) {
    let _closed_pipe = writeln!(std::io::stderr(), "{line}");
}

// === impl Noise ===

impl Noise {
    pub(crate) fn new(patience: Duration) -> Self {
        Self {
            patience,
            rounds: 0,
        }
    }

    /// Waits until others leave the machine alone, but not for ever.
    pub(crate) fn wait(&mut self) {
        if !wait_quiet(self.patience) {
            self.rounds = self.rounds.saturating_add(1);
        }
    }
}

// === impl Preferred ===

impl Preferred {
    pub(crate) fn begin() -> Self {
        let _not_allowed = schedule(&["--fifo", "--pid", "10"]);
        Self { _made: () }
    }
}

impl Drop for Preferred {
    fn drop(&mut self) {
        let _not_allowed = schedule(&["--other", "--pid", "0"]);
    }
}

// === impl Placement ===

impl Placement {
    pub(crate) const ALL: [Self; 2] = [Self::Packed, Self::Free];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Packed => "packed",
            Self::Free => "free",
        }
    }

    /// A command whose process, and all that it starts, will be placed so.
    pub(crate) fn command(self, program: impl AsRef<OsStr>) -> Command {
        #[expect(
            clippy::disallowed_methods,
            reason = "what is measured; this is the place"
        )]
        let new = |program: &OsStr| Command::new(program);
        match self {
            Self::Free => new(program.as_ref()),
            Self::Packed => {
                let mut command = new(OsStr::new("taskset"));
                command.args(["-c", PACKED_CPU]).arg(program);
                command
            }
        }
    }

    /// The same, and the kernel ends it when this process ends, however that comes about.
    pub(crate) fn tied(self, program: &Path) -> Command {
        let mut command = self.command("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program);
        command
    }
}

/// Puts this process, and so all that it will start, before everything that is not of a real-time class.
pub(crate) fn make_urgent() -> Result<()> {
    schedule(&["--fifo", "--pid", "10"])
        .context("this process was not made urgent\nhint: --urgent needs root")
}

/// Has the kernel run this process's first thread by other rules.
fn schedule(policy: &[&str]) -> Result<()> {
    let mut command = Placement::Free.command("chrt");
    command.args(policy).arg(std::process::id().to_string());
    let status = command.stderr(Stdio::null()).status()?;
    ensure!(status.success(), "chrt: {status}");
    Ok(())
}

/// Puts this thread, which is the first one, before everything that is not of a real-time class, until it is dropped. Threads that
/// it starts meanwhile are as it is; so are processes, so there should be none. Where that is not allowed it changes nothing.
#[derive(Debug)]
pub(crate) struct Preferred {
    _made: (),
}

/// A process and all that stem from it.
pub(crate) fn family(pid: u32) -> Vec<u32> {
    let parents = parents();
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(
            parents
                .iter()
                .filter(|pair| pair.1 == parent)
                .map(|pair| pair.0),
        );
        next += 1;
    }
    found
}

/// Every process with its parent.
fn parents() -> Vec<(u32, u32)> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (_, rest) = stat.rsplit_once(')')?;
        Some((pid, rest.split_whitespace().nth(1)?.parse().ok()?))
    })
    .collect()
}

/// What these processes have used of the processors so far, in nanoseconds.
pub(crate) fn cpu_ns(pids: &[u32]) -> u64 {
    let of_process = |pid: &u32| -> u64 {
        let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
            return 0;
        };
        let of_thread = |path: std::path::PathBuf| -> Option<u64> {
            let text = fs::read_to_string(path.join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse().ok()
        };
        threads
            .filter_map(|entry| of_thread(entry.ok()?.path()))
            .sum()
    };
    pids.iter().map(of_process).sum()
}

/// The memory of a process; nothing where it is gone.
pub(crate) fn memory(pid: u32) -> Memory {
    let field = |file: &str, name: &str| -> u64 {
        let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        text.lines()
            .find_map(|line| {
                line.strip_prefix(name)?
                    .split_whitespace()
                    .next()?
                    .parse()
                    .ok()
            })
            .unwrap_or(0)
    };
    Memory {
        peak: field("status", "VmHWM:"),
        proportional: field("smaps_rollup", "Pss:"),
    }
}

/// The kernel's number for how a process filters its system calls: 0 not at all, 2 by a filter. `None` where it is gone.
pub(crate) fn seccomp_mode(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix("Seccomp:"));
    value?.trim().parse().ok()
}

/// What the whole machine has worked so far, in milliseconds of one processor.
pub(crate) fn machine_busy_ms() -> u64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks: Vec<u64> = stat
        .lines()
        .next()
        .map(|line| {
            line.split_whitespace()
                .skip(1)
                .flat_map(str::parse)
                .collect()
        })
        .unwrap_or_default();
    // user nice system idle iowait irq softirq steal …
    let busy = [0, 1, 2, 5, 6, 7]
        .iter()
        .filter_map(|&index| ticks.get(index));
    busy.sum::<u64>().saturating_mul(TICK_MS)
}

/// Waits until others leave the machine alone, but not for ever; says whether they do.
fn wait_quiet(patience: Duration) -> bool {
    let begun = Instant::now();
    loop {
        let (before, since) = (machine_busy_ms(), Instant::now());
        thread::sleep(WATCH);
        let busy = machine_busy_ms().saturating_sub(before).saturating_mul(100);
        let share = u128::from(busy) / since.elapsed().as_millis().max(1);
        if share <= u128::from(QUIET_PERCENT) {
            return true;
        }
        if begun.elapsed() >= patience {
            return false;
        }
    }
}
