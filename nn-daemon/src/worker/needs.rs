//! A worker's process, before there is anything in it: what it is to be large enough for, and the bounds that follow.

use super::spawn::{Ask, Purpose, SpawnError, Started};
use super::start::Startup;
use crate::cgroup::Walls;
use crate::framework::{Framework, Role};
use crate::model::Model;

/// What a control group is charged for besides the budget, which RLIMIT_DATA holds: page tables, sockets, libraries'
/// pages that were read first by this worker (which can be dropped again), in bytes.
const BESIDES_BYTES: u64 = 64 * 1024 * 1024;

/// Threads besides the framework's: RLIMIT_NPROC of the jail is closer.
const BESIDES_THREADS: u64 = 8;

/// What a worker is to be large enough for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needs {
    /// Its memory budget, in bytes.
    pub(super) budget: u64,
    pub(super) framework: Framework,
    /// What it is there for.
    pub(super) role: Role,
    /// The framework's threads.
    pub(super) threads: u32,
}

/// Of a model.
pub(super) fn needs(start: &Startup, model: &Model, framework: Framework) -> Needs {
    let own = model.manifest.threads;
    Needs {
        budget: model.budget(&start.limits),
        framework,
        role: Role::Serves,
        threads: own.unwrap_or(start.threads),
    }
}

/// A worker's process, with nothing in it yet.
pub(super) async fn spawn(
    start: &Startup,
    purpose: Purpose,
    needs: Needs,
) -> Result<Started, SpawnError> {
    let walls = Walls {
        // Clients that are gone may have left pages behind that were charged to this worker.
        memory_bytes: needs
            .budget
            .saturating_add(BESIDES_BYTES)
            .saturating_add(start.limits.arena_bytes_per_tenant_max),
        processes: u64::from(needs.threads).saturating_add(BESIDES_THREADS),
    };
    let ask = Ask {
        purpose,
        data_bytes_max: needs.budget,
        framework: needs.framework,
        role: needs.role,
        threads: needs.threads,
        walls,
    };
    start.spawner.spawn(ask).await
}
