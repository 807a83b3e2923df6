//! What the daemon's own process takes of the machine. The jail lets it open nothing below /proc: what is read is held
//! open from before it (`/proc/self/status` by `jail/own.rs`); processor time is asked of the clock.

use std::fs::File;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::resource::{Resource, getrlimit};
use nix::time::{ClockId, clock_gettime};

use crate::jail::own::OwnJail;
use crate::worker::micros;

/// What is asked again and again, opened before the jail.
#[derive(Debug)]
pub(crate) struct Process {
    /// `/proc/self/fd`: its size is the number of its entries, since Linux 6.2.
    descriptors: Option<File>,
    descriptors_max: Option<u64>,
    started: SystemTime,
}

/// What it said.
#[derive(Debug)]
pub(super) struct Usage {
    pub(super) cpu_us: Option<u64>,
    pub(super) resident_bytes: Option<u64>,
    pub(super) virtual_bytes: Option<u64>,
    pub(super) threads: Option<u64>,
    pub(super) descriptors: Option<u64>,
    pub(super) descriptors_max: Option<u64>,
    pub(super) started_s: u64,
}

// === impl Process ===

impl Process {
    /// Before the jail. What cannot be had is left out of what is told.
    pub(crate) fn open() -> Self {
        let descriptors = File::open("/proc/self/fd");
        let warn = |error: &io::Error| {
            tracing::info!("the daemon's descriptors are not counted: {error}");
        };
        let limit = getrlimit(Resource::RLIMIT_NOFILE).ok();
        Self {
            descriptors: descriptors.inspect_err(warn).ok(),
            descriptors_max: limit.map(|(soft, _)| soft),
            started: SystemTime::now(),
        }
    }

    pub(super) fn usage(&self, jail: &OwnJail) -> Usage {
        let status = jail.walls().ok();
        let of = |field: &str| {
            let value = status.as_ref()?.value(field)?;
            value.split_whitespace().next()?.parse::<u64>().ok()
        };
        let bytes = |field| of(field).map(|kib| kib.saturating_mul(1024));
        let metadata = |file: &File| file.metadata().ok();
        let descriptors = self.descriptors.as_ref().and_then(metadata);
        let cpu = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).ok();
        let started = self.started.duration_since(UNIX_EPOCH);
        Usage {
            cpu_us: cpu.map(|cpu| micros(Duration::from(cpu))),
            resident_bytes: bytes("VmRSS"),
            virtual_bytes: bytes("VmSize"),
            threads: of("Threads"),
            // Older kernels say 0, which it never is.
            descriptors: descriptors.map(|of| of.len()).filter(|count| *count > 0),
            descriptors_max: self.descriptors_max,
            started_s: started.unwrap_or_default().as_secs(),
        }
    }
}
