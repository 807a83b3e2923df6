//! `nnctl status`: the daemon's state, sessions, runtimes, isolation, workers' ends and limits.

mod jails;
mod remote;
mod sessions;
mod stops;
pub(crate) mod tenants;
mod units;

use nn_proto::v1;
use serde::Serialize;

use crate::daemon::{Daemon, within};
use crate::failure::Failure;
use crate::output::{Paint, Report, Table, bytes, facts, micros, printable};

/// The daemon's own account.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    /// Workers run without a layer that their profile requires.
    degraded: bool,
    version: String,
    build_id: String,
    pid: u32,
    uptime_us: u64,
    state: String,
    runtime_dir: String,
    state_dir: String,
    workers: u32,
    /// Besides those, they wait.
    spares: u32,
    /// Versions that are to have one and have none.
    spares_missing: u32,
    /// What workers may take together, by their budgets.
    workers_memory_bytes: u64,
    /// Whom one worker serves: `peer`, all tenants; `tenant`, one.
    worker_isolation: String,
    /// Models that are refused.
    quarantined: u32,
    arena_bytes: u64,
    sessions: Vec<sessions::Session>,
    runtimes: Vec<Runtime>,
    limits: Vec<Limit>,
    sandbox_profile: String,
    isolation: Vec<Protection>,
    /// The daemon's own processes, which have jailed themselves.
    jails: Vec<jails::Jail>,
    /// How remote engines are asked; `null` where none may be.
    remote: Option<remote::Remote>,
    /// Every cause, also those that have not occurred.
    worker_ends: Vec<End>,
    /// Every reason, also those that there have not been.
    compute_stops: Vec<stops::Stop>,
}

#[derive(Debug, Serialize)]
struct Runtime {
    backend: String,
    available: bool,
    detail: String,
    /// Of its workers' jail.
    profile: String,
    system_calls: u32,
    workers: u32,
}

#[derive(Debug, Serialize)]
struct Limit {
    name: String,
    value: u64,
    unit: String,
}

#[derive(Debug, Serialize)]
struct Protection {
    layer: String,
    /// `require`, `prefer` or `always`.
    need: String,
    active: bool,
    detail: String,
}

#[derive(Debug, Serialize)]
struct End {
    cause: String,
    count: u64,
}

/// Asks the daemon.
pub(crate) async fn run(daemon: &Daemon) -> Result<Status, Failure> {
    let mut admin = daemon.admin();
    let answer = within("status", admin.status(v1::StatusRequest {})).await?;
    Ok(answer.into_inner().into())
}

// === impl Status ===

impl From<v1::StatusResponse> for Status {
    fn from(answer: v1::StatusResponse) -> Self {
        Self {
            degraded: answer.degraded,
            version: answer.version,
            build_id: answer.build_id,
            pid: answer.pid,
            uptime_us: answer.uptime_us,
            state: answer.state,
            runtime_dir: answer.runtime_dir,
            state_dir: answer.state_dir,
            workers: answer.workers,
            spares: answer.spares,
            spares_missing: answer.spares_missing,
            workers_memory_bytes: answer.workers_memory_bytes,
            worker_isolation: answer.worker_isolation,
            quarantined: answer.quarantined,
            arena_bytes: answer.arena_bytes,
            sessions: answer.sessions.into_iter().map(Into::into).collect(),
            runtimes: answer.runtimes.into_iter().map(Into::into).collect(),
            limits: answer.limits.into_iter().map(Into::into).collect(),
            sandbox_profile: answer.sandbox_profile,
            isolation: answer.isolation.into_iter().map(Into::into).collect(),
            jails: answer.jails.into_iter().map(Into::into).collect(),
            remote: answer.remote.map(Into::into),
            worker_ends: answer.worker_ends.into_iter().map(Into::into).collect(),
            compute_stops: answer.compute_stops.into_iter().map(Into::into).collect(),
        }
    }
}

impl Report for Status {
    fn text(&self, paint: Paint) -> String {
        let about = [
            (
                "nn-daemon",
                format!("{}, build {}", self.version, self.build_id),
            ),
            ("state", self.state.clone()),
            ("pid", self.pid.to_string()),
            ("up for", micros(self.uptime_us)),
            ("runtime dir", self.runtime_dir.clone()),
            ("state dir", self.state_dir.clone()),
            ("workers", self.workers_text()),
            ("arenas", bytes(self.arena_bytes)),
            ("sandbox", self.sandbox_text()),
            ("quarantine", self.quarantine_text()),
        ];
        let remote = self
            .remote
            .as_ref()
            .map(|remote| ("endpoints", remote.text()));
        let about: Vec<(&str, String)> = about.into_iter().chain(remote).collect();
        let sections = [
            self.alarm(paint),
            Some(facts(&about, paint)),
            Some(sessions::table(&self.sessions).render(paint)),
            Some(runtimes(&self.runtimes).render(paint)),
            Some(isolation(&self.isolation).render(paint)),
            jails::table(&self.jails, paint),
            ends(&self.worker_ends).map(|table| table.render(paint)),
            stops::table(&self.compute_stops).map(|table| table.render(paint)),
            Some(limits(&self.limits).render(paint)),
        ];
        let sections: Vec<String> = sections.into_iter().flatten().collect();
        sections.join("\n")
    }
}

impl Status {
    /// The lines that nobody may miss, where there is reason for some.
    fn alarm(&self, paint: Paint) -> Option<String> {
        if !self.degraded {
            return None;
        }
        let own = self.jails.iter().filter_map(|jail| {
            let missing = unmet(&jail.layers);
            let is = !missing.is_empty();
            is.then(|| degraded(&jail.process, &jail.profile, &missing, paint))
        });
        let mut lines: Vec<String> = own.collect();
        let missing = unmet(&self.isolation);
        if !missing.is_empty() || lines.is_empty() {
            lines.insert(
                0,
                degraded("workers", &self.sandbox_profile, &missing, paint),
            );
        }
        Some(lines.concat())
    }

    /// A daemon that tells no profile is of an older version.
    fn sandbox_text(&self) -> String {
        let there = self.runtimes.iter().filter(|runtime| runtime.available);
        let profiles = there.map(|runtime| runtime.profile.as_str());
        let profiles: Vec<&str> = profiles.filter(|profile| !profile.is_empty()).collect();
        match (self.sandbox_profile.as_str(), profiles.as_slice()) {
            ("", _) => "-".to_owned(),
            (_, [one, other, ..]) => {
                format!("profiles {one}, {other}; nnctl sandbox explain {other}")
            }
            (profile, _) => format!("profile {profile}; nnctl sandbox explain {profile}"),
        }
    }
}

fn unmet(layers: &[Protection]) -> Vec<&str> {
    let missing = layers.iter();
    let missing = missing.filter(|layer| layer.need == "require" && !layer.active);
    missing.map(|layer| layer.layer.as_str()).collect()
}

/// That `who` runs without something that its profile requires.
pub(super) fn degraded(who: &str, profile: &str, missing: &[&str], paint: Paint) -> String {
    let missing = if missing.is_empty() {
        "something".to_owned()
    } else {
        missing.join(", ")
    };
    let run = if who == "workers" { "run" } else { "runs" };
    let line = format!("{who} {run} without {missing}, which profile {profile} requires");
    format!("{}: {}\n", paint.word("DEGRADED"), printable(&line))
}

fn runtimes(runtimes: &[Runtime]) -> Table {
    let mut table = Table::new(&[
        "RUNTIME",
        "AVAILABLE",
        "WORKERS",
        "PROFILE",
        "CALLS",
        "DETAIL",
    ]);
    for runtime in runtimes {
        // A daemon that tells no profile is of an older version.
        let known = |text: String| match runtime.profile.as_str() {
            "" => "-".to_owned(),
            _ => text,
        };
        table.row([
            runtime.backend.clone(),
            yes_no(runtime.available),
            known(runtime.workers.to_string()),
            known(runtime.profile.clone()),
            known(runtime.system_calls.to_string()),
            runtime.detail.clone(),
        ]);
    }
    table
}

fn isolation(isolation: &[Protection]) -> Table {
    let mut table = Table::new(&["LAYER", "NEED", "ACTIVE", "DETAIL"]);
    for protection in isolation {
        table.row([
            protection.layer.clone(),
            protection.need.clone(),
            yes_no(protection.active),
            protection.detail.clone(),
        ]);
    }
    table
}

/// `None` where every worker that has ended was told to.
fn ends(ends: &[End]) -> Option<Table> {
    let mut table = Table::new(&["WORKERS ENDED BY", "COUNT"]);
    let mut any = false;
    for end in ends.iter().filter(|end| end.count > 0) {
        table.row([end.cause.clone(), end.count.to_string()]);
        any = true;
    }
    any.then_some(table)
}

fn limits(limits: &[Limit]) -> Table {
    let mut table = Table::new(&["LIMIT", "VALUE"]);
    for limit in limits {
        let value = match limit.unit.as_str() {
            "bytes" => bytes(limit.value),
            "us" => micros(limit.value),
            "ms" => micros(limit.value.saturating_mul(1000)),
            _ => limit.value.to_string(),
        };
        table.row([limit.name.clone(), value]);
    }
    table
}

fn yes_no(yes: bool) -> String {
    if yes { "yes" } else { "NO" }.to_owned()
}

// === impl Runtime, Limit, Protection, End ===

impl From<v1::RuntimeStatus> for Runtime {
    fn from(runtime: v1::RuntimeStatus) -> Self {
        Self {
            backend: runtime.backend,
            available: runtime.available,
            detail: runtime.detail,
            profile: runtime.profile,
            system_calls: runtime.system_calls,
            workers: runtime.workers,
        }
    }
}

impl From<v1::LimitStatus> for Limit {
    fn from(limit: v1::LimitStatus) -> Self {
        Self {
            name: limit.name,
            value: limit.value,
            unit: limit.unit,
        }
    }
}

impl From<v1::ProtectionStatus> for Protection {
    fn from(protection: v1::ProtectionStatus) -> Self {
        Self {
            layer: protection.layer,
            need: protection.need,
            active: protection.active,
            detail: protection.detail,
        }
    }
}

impl From<v1::EndStatus> for End {
    fn from(end: v1::EndStatus) -> Self {
        Self {
            cause: end.cause,
            count: end.count,
        }
    }
}

#[cfg(test)]
mod tests;
