//! Processes as the kernel sees them: who lives, whose child, how many descriptors, how much memory.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill as signal};
use nix::unistd::Pid;

/// What a process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcState {
    /// Open descriptors; 0 where they may not be listed: those of a jailed worker by root alone.
    pub fds: usize,
    /// Mappings of arena segments.
    pub arena_maps: usize,
    /// Resident anonymous memory, in KiB.
    pub anonymous_kib: u64,
}

impl ProcState {
    /// Reads a process's state; `None` when there is no such process.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let fds = fs::read_dir(format!("/proc/{pid}/fd"));
        let fds = fds.map_or(0, Iterator::count);
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = kib.and_then(|text| text.split_whitespace().next()?.parse().ok());
        Some(Self {
            fds,
            arena_maps: maps
                .lines()
                .filter(|line| line.contains("/memfd:nn-arena"))
                .count(),
            anonymous_kib: kib.unwrap_or(0),
        })
    }
}

/// Whether a process runs: a zombie does not.
#[must_use]
pub fn is_running(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit(')')
        .next()
        .and_then(|rest| rest.trim().chars().next());
    state.is_some_and(|state| state != 'Z')
}

/// The children of a process.
#[must_use]
pub fn children(pid: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let parent = |child: &u32| {
        let stat = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        let parent = stat
            .rsplit(')')
            .next()
            .and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
        parent == Some(pid)
    };
    pids.filter(parent).collect()
}

/// All that stem from a process.
#[must_use]
pub fn descendants(pid: u32) -> Vec<u32> {
    let own = children(pid);
    let below: Vec<u32> = own.iter().flat_map(|&child| descendants(child)).collect();
    [own, below].concat()
}

/// Processes whose command line or environment names something.
#[must_use]
pub fn processes_with(text: &str) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let names = |pid: &u32| {
        ["cmdline", "environ"].iter().any(|file| {
            let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            String::from_utf8_lossy(&bytes).contains(text)
        })
    };
    pids.filter(|&pid| pid != std::process::id())
        .filter(names)
        .collect()
}

/// What a process has used of processors, in ticks of the kernel's, a hundredth of a second each; 0 where there is none.
#[must_use]
pub fn cpu_ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let times = fields.split_whitespace().skip(11).take(2);
    times.filter_map(|time| time.parse::<u64>().ok()).sum()
}

/// Kills a process by SIGKILL.
pub fn kill(pid: u32) {
    send(pid, Signal::SIGKILL);
}

/// Stops a process by SIGSTOP: it lives, and does nothing.
pub fn stop(pid: u32) {
    send(pid, Signal::SIGSTOP);
}

pub(crate) fn send(pid: u32, what: Signal) {
    let _ = signal(Pid::from_raw(i32::try_from(pid).expect("a pid")), what);
}

/// Waits for a condition, looking often.
///
/// # Panics
/// When it does not hold within the given time.
pub fn wait_until(what: &str, within: Duration, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < within, "not within {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
