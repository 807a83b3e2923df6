//! What a daemon says of itself, asked by nnctl.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::daemon::Daemon;
use crate::proc::{children, cpu_ticks, send};
use crate::run::nnctl;

/// How often [`until`] looks.
const TICK: Duration = Duration::from_millis(5);

/// More of a processor than a worker takes for anything but a compute, in the kernel's ticks.
const COMPUTING_TICKS: u64 = 2;

impl Daemon {
    /// Its workers: the children of its spawner.
    #[must_use]
    pub fn workers(&self) -> Vec<u32> {
        let grandchildren = children(self.pid());
        grandchildren.into_iter().flat_map(children).collect()
    }

    /// Has it read its repositories again (SIGHUP).
    pub fn reload(&self) {
        send(self.pid(), Signal::SIGHUP);
    }

    /// The answer to a command of nnctl, which is to succeed.
    ///
    /// # Panics
    /// When it fails, or prints no JSON.
    #[must_use]
    pub fn json(&self, command: &[&str]) -> Value {
        let printed = nnctl(self, &[&["--json"], command].concat()).ok().stdout;
        serde_json::from_str(&printed).expect("JSON where it was asked for")
    }

    /// `nnctl status`.
    #[must_use]
    pub fn status(&self) -> Value {
        self.json(&["status"])
    }

    /// The models of `nnctl list`.
    ///
    /// # Panics
    /// When there is no list of them.
    #[must_use]
    pub fn models(&self) -> Vec<Value> {
        let list = self.json(&["list"]);
        list["models"].as_array().expect("a list").clone()
    }

    /// The instances of the first model.
    ///
    /// # Panics
    /// When there is no model.
    #[must_use]
    pub fn instances(&self) -> Vec<Value> {
        let models = self.models();
        let first = models.first().expect("a model");
        first["instances"].as_array().expect("a list").clone()
    }

    /// Computes that the workers of the first model have; none where there is no model yet.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        let models = self.models();
        let instances = models
            .first()
            .and_then(|first| first["instances"].as_array());
        let counts = instances
            .into_iter()
            .flatten()
            .map(|of| of["in_flight"].as_u64());
        counts.map(Option::unwrap_or_default).sum()
    }

    /// How many workers have ended of this cause.
    ///
    /// # Panics
    /// When there is no such cause.
    #[must_use]
    pub fn ended(&self, cause: &str) -> u64 {
        self.counted("worker_ends", "cause", cause)
    }

    /// How many computes were stopped for that reason.
    ///
    /// # Panics
    /// When there is no such reason.
    #[must_use]
    pub fn stopped(&self, reason: &str) -> u64 {
        self.counted("compute_stops", "reason", reason)
    }

    fn counted(&self, list: &str, by: &str, name: &str) -> u64 {
        let status = self.status();
        let all = status[list].as_array().expect("a list of counts");
        let one = all.iter().find(|count| count[by] == name);
        let count = one.and_then(|count| count["count"].as_u64());
        assert!(count.is_some(), "no {name} in {all:?}");
        count.unwrap_or_default()
    }
}

/// Waits for a condition without holding up the executor, which is one of several threads.
///
/// # Panics
/// When it does not hold within the given time.
pub async fn until(what: &str, within: Duration, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !tokio::task::block_in_place(&holds) {
        assert!(start.elapsed() < within, "not within {within:?}: {what}");
        tokio::time::sleep(TICK).await;
    }
}

/// Waits until the one worker computes: that it has been handed a job does not mean that it has begun it.
///
/// # Panics
/// When there is no worker, or it does nothing.
pub async fn until_computing(daemon: &Daemon, within: Duration) {
    let workers = tokio::task::block_in_place(|| daemon.workers());
    let worker = *workers.first().expect("a worker");
    let before = cpu_ticks(worker);
    let computes = || cpu_ticks(worker) >= before + COMPUTING_TICKS;
    until("the worker computes", within, computes).await;
}
