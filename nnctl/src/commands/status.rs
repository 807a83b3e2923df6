//! `nnctl status`: the daemon's state, sessions, runtimes, limits and isolation.

use nn_proto::v1;
use serde::Serialize;

use crate::daemon::{Daemon, within};
use crate::failure::Failure;
use crate::output::{Report, Table, bytes, micros, printable};

/// The daemon's own account.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    version: String,
    build_id: String,
    pid: u32,
    uptime_us: u64,
    state: String,
    runtime_dir: String,
    state_dir: String,
    workers: u32,
    arena_bytes: u64,
    sessions: Vec<Session>,
    runtimes: Vec<Runtime>,
    limits: Vec<Limit>,
    isolation: Vec<Protection>,
}

#[derive(Debug, Serialize)]
struct Session {
    tenant: String,
    peer_pid: u32,
    peer_uid: u32,
    in_flight: u32,
    arena_bytes: u64,
    graphs: u32,
    age_us: u64,
}

#[derive(Debug, Serialize)]
struct Runtime {
    backend: String,
    available: bool,
    detail: String,
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
    active: bool,
    detail: String,
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
            version: answer.version,
            build_id: answer.build_id,
            pid: answer.pid,
            uptime_us: answer.uptime_us,
            state: answer.state,
            runtime_dir: answer.runtime_dir,
            state_dir: answer.state_dir,
            workers: answer.workers,
            arena_bytes: answer.arena_bytes,
            sessions: answer.sessions.into_iter().map(Into::into).collect(),
            runtimes: answer.runtimes.into_iter().map(Into::into).collect(),
            limits: answer.limits.into_iter().map(Into::into).collect(),
            isolation: answer.isolation.into_iter().map(Into::into).collect(),
        }
    }
}

impl Report for Status {
    fn text(&self) -> String {
        let facts = [
            (
                "nn-daemon",
                format!("{}, build {}", self.version, self.build_id),
            ),
            ("state", self.state.clone()),
            ("pid", self.pid.to_string()),
            ("up for", micros(self.uptime_us)),
            ("runtime dir", self.runtime_dir.clone()),
            ("state dir", self.state_dir.clone()),
            ("workers", self.workers.to_string()),
            ("arenas", bytes(self.arena_bytes)),
        ]
        .map(|(name, value)| format!("{name:<13}{}\n", printable(&value)))
        .concat();
        let sections = [
            facts,
            sessions(&self.sessions).render(),
            runtimes(&self.runtimes).render(),
            isolation(&self.isolation).render(),
            limits(&self.limits).render(),
        ];
        sections.join("\n")
    }
}

fn sessions(sessions: &[Session]) -> Table {
    let mut table = Table::new(&[
        "SESSION OF",
        "PID",
        "UID",
        "IN FLIGHT",
        "GRAPHS",
        "ARENAS",
        "AGE",
    ]);
    for session in sessions {
        table.row([
            session.tenant.clone(),
            session.peer_pid.to_string(),
            session.peer_uid.to_string(),
            session.in_flight.to_string(),
            session.graphs.to_string(),
            bytes(session.arena_bytes),
            micros(session.age_us),
        ]);
    }
    table
}

fn runtimes(runtimes: &[Runtime]) -> Table {
    let mut table = Table::new(&["RUNTIME", "AVAILABLE", "DETAIL"]);
    for runtime in runtimes {
        table.row([
            runtime.backend.clone(),
            yes_no(runtime.available),
            runtime.detail.clone(),
        ]);
    }
    table
}

fn isolation(isolation: &[Protection]) -> Table {
    let mut table = Table::new(&["PROTECTION", "ACTIVE", "DETAIL"]);
    for protection in isolation {
        table.row([
            protection.layer.clone(),
            yes_no(protection.active),
            protection.detail.clone(),
        ]);
    }
    table
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

// === impl Session, Runtime, Limit, Protection ===

impl From<v1::SessionStatus> for Session {
    fn from(session: v1::SessionStatus) -> Self {
        Self {
            tenant: session.tenant,
            peer_pid: session.peer_pid,
            peer_uid: session.peer_uid,
            in_flight: session.in_flight,
            arena_bytes: session.arena_bytes,
            graphs: session.graphs,
            age_us: session.age_us,
        }
    }
}

impl From<v1::RuntimeStatus> for Runtime {
    fn from(runtime: v1::RuntimeStatus) -> Self {
        Self {
            backend: runtime.backend,
            available: runtime.available,
            detail: runtime.detail,
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
            active: protection.active,
            detail: protection.detail,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Status {
        let limit = |name: &str, value, unit: &str| v1::LimitStatus {
            name: name.to_owned(),
            value,
            unit: unit.to_owned(),
        };
        Status::from(v1::StatusResponse {
            version: "0.1.0".to_owned(),
            build_id: "b1".to_owned(),
            pid: 9,
            uptime_us: 61_000_000,
            state: "READY".to_owned(),
            runtime_dir: "/run/nn-daemon".to_owned(),
            state_dir: "/var/lib/nn-daemon".to_owned(),
            workers: 1,
            arena_bytes: 1 << 20,
            limits: vec![
                limit("in_flight_max", 256, "count"),
                limit("timeout_max", 60_000_000, "us"),
            ],
            isolation: vec![v1::ProtectionStatus {
                layer: "seccomp".to_owned(),
                active: false,
                detail: "not yet".to_owned(),
            }],
            ..v1::StatusResponse::default()
        })
    }

    #[test]
    fn sections_follow_each_other() {
        assert_eq!(
            sample().text(),
            "\
nn-daemon    0.1.0, build b1
state        READY
pid          9
up for       1 min 1 s
runtime dir  /run/nn-daemon
state dir    /var/lib/nn-daemon
workers      1
arenas       1.0 MiB

SESSION OF  PID  UID  IN FLIGHT  GRAPHS  ARENAS  AGE

RUNTIME  AVAILABLE  DETAIL

PROTECTION  ACTIVE  DETAIL
seccomp     NO      not yet

LIMIT          VALUE
in_flight_max  256
timeout_max    1 min 0 s
"
        );
    }

    #[test]
    fn json_keeps_units_beside_numbers() {
        let json = serde_json::to_value(sample()).unwrap();
        assert_eq!(json["limits"][1]["unit"], "us");
        assert_eq!(json["isolation"][0]["active"], false);
    }
}
