//! `nnctl doctor`: what is wrong with this installation, and what to do about it. First facts are gathered, from the
//! machine and from the daemon if one answers (`doctor/gather*`); then each is judged by a pure function (a file for
//! each group). It changes nothing; that it connects may make systemd start the daemon, as any client does.

mod configuration;
mod facts;
mod finding;
mod gather;
mod isolation;
mod kernel;
mod limits;
mod network;
mod programs;
mod repositories;
mod runtimes;
mod service;
mod sockets;
mod state;
mod text;

use std::path::Path;

use serde::Serialize;

use self::facts::Facts;
use self::finding::{Finding, Level};
use crate::cli::Doctor;
use crate::exit::Exit;

/// All findings, in the order in which a fault would spread: the kernel first, the daemon's limits last.
///
/// ```text
/// {
///   "problems": 1, "warnings": 0,
///   "checks": [
///     { "id": "kernel.version", "level": "ok", "found": "Linux 6.18.5" },
///     { "id": "sockets.grpc", "level": "problem", "found": "…", "advice": "…" }
///   ]
/// }
/// ```
///
/// An id never changes its meaning; `level` is `ok`, `unknown`, `warning` or `problem`.
#[derive(Debug, Serialize)]
pub(crate) struct Diagnosis {
    problems: usize,
    warnings: usize,
    checks: Vec<Finding>,
}

/// Looks at everything. It does not fail: what cannot be found out is a finding too.
pub(crate) async fn run(socket: &Path, by_flag: bool, options: &Doctor) -> Diagnosis {
    Diagnosis::of(&gather::gather(socket, by_flag, options).await)
}

// === impl Diagnosis ===

impl Diagnosis {
    fn of(facts: &Facts) -> Self {
        let groups = [
            kernel::check(facts),
            programs::check(facts),
            configuration::check(facts),
            repositories::check(facts).into_iter().collect(),
            runtimes::check(facts),
            service::check(facts),
            network::check(facts),
            sockets::check(facts),
            state::check(facts),
            isolation::check(facts),
            limits::check(facts),
        ];
        let checks: Vec<Finding> = groups.into_iter().flatten().collect();
        let count = |level| checks.iter().filter(|found| found.level == level).count();
        Self {
            problems: count(Level::Problem),
            warnings: count(Level::Warning),
            checks,
        }
    }

    /// For scripts: whether something is a problem.
    pub(crate) fn exit(&self) -> Exit {
        if self.problems == 0 {
            Exit::Ok
        } else {
            Exit::Failed
        }
    }
}

#[cfg(test)]
mod tests;
