//! What a host and its daemon have when nobody asks them for anything, and that they come back to it.

use std::time::Duration;

use nn_tests::{Daemon, HttpHost, ProcState, wait_until};

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Base {
    host_fds: usize,
    daemon_fds: usize,
    /// Shared memory of all sessions, inputs and outputs.
    arena_bytes: u64,
    in_flight: u64,
}

/// A daemon that takes shared memory back soon.
pub(crate) const SHORT_IDLE: &str = "idle_ms = 300";

const SOON: Duration = Duration::from_secs(15);

fn sum(daemon: &Daemon, of: &str) -> u64 {
    let status = daemon.status();
    let sessions = status["sessions"].as_array().cloned().unwrap_or_default();
    let counts = sessions.iter().map(|session| session[of].as_u64());
    counts.map(Option::unwrap_or_default).sum()
}

// === impl Base ===

impl Base {
    /// What there is now, with nobody asking.
    pub(crate) fn of(host: &HttpHost, daemon: &Daemon) -> Self {
        let fds = |pid| ProcState::of(pid).map_or(0, |state| state.fds);
        Self {
            host_fds: fds(host.pid()),
            daemon_fds: fds(daemon.pid()),
            arena_bytes: sum(daemon, "arena_bytes"),
            in_flight: sum(daemon, "in_flight") + daemon.in_flight(),
        }
    }

    /// The same once it does not change any more: memory goes back a while after its use.
    pub(crate) fn settled(host: &HttpHost, daemon: &Daemon) -> Self {
        let mut last = Self::of(host, daemon);
        let mut alike = 0;
        wait_until("host and daemon have settled", SOON, || {
            std::thread::sleep(Duration::from_millis(100));
            let now = Self::of(host, daemon);
            alike = if now == last { alike + 1 } else { 0 };
            last = now;
            alike >= 10
        });
        last
    }

    /// Waits until it is so again.
    pub(crate) fn wait(self, host: &HttpHost, daemon: &Daemon) {
        let mut last = None;
        let back = || {
            last = Some(Self::of(host, daemon));
            last == Some(self)
        };
        let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_until("all is as it was", SOON, back);
        }));
        assert!(
            waited.is_ok(),
            "expected {self:?}, have {:?}",
            Self::of(host, daemon)
        );
    }
}

/// How many descriptors a host has that nobody asks for anything: a connection that its client has closed is still there
/// for a moment.
pub(crate) fn fds(host: &HttpHost) -> usize {
    let look = || ProcState::of(host.pid()).map_or(0, |state| state.fds);
    let mut last = look();
    let mut alike = 0;
    wait_until("its descriptors stay as they are", SOON, || {
        std::thread::sleep(Duration::from_millis(20));
        let now = look();
        alike = if now == last { alike + 1 } else { 0 };
        last = now;
        alike >= 10
    });
    last
}

/// Waits until it has so many again.
pub(crate) fn wait_fds(host: &HttpHost, expected: usize) {
    wait_until("its descriptors are as many as before", SOON, || {
        ProcState::of(host.pid()).map_or(0, |state| state.fds) == expected
    });
}
