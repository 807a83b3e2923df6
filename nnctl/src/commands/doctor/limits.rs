//! What bounds the daemon from outside, against what it was told it may use. Pure.

use super::facts::Facts;
use super::finding::Finding;
use crate::output::bytes;

/// Each session, each segment of an arena and each worker takes some.
const DESCRIPTORS_LOW: u64 = 4096;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    vec![descriptors(facts), memory(facts)]
}

fn descriptors(facts: &Facts) -> Finding {
    const ID: &str = "limits.descriptors";
    match facts
        .process
        .as_ref()
        .and_then(|process| process.descriptors_max)
    {
        None => Finding::unknown(ID, "this user sees no daemon to look at"),
        Some(max) if max < DESCRIPTORS_LOW => Finding::warning(
            ID,
            format!("the daemon may have {max} open; each segment of an arena takes one"),
            "LimitNOFILE=65536 in its unit, or ulimit -Hn where it is started",
        ),
        Some(max) => Finding::ok(ID, format!("the daemon may have {max} open")),
    }
}

/// What one worker and one tenant may take together is the least that has to be there.
fn memory(facts: &Facts) -> Finding {
    const ID: &str = "limits.memory";
    let worker = facts.limit("worker_memory_bytes");
    let tenant = facts.limit("arena_bytes_per_tenant_max");
    let (Some(available), Some(worker), Some(tenant)) = (facts.memory_available, worker, tenant)
    else {
        return Finding::unknown(ID, "memory or limits cannot be read");
    };
    let found = format!(
        "{} available; a worker may take {} besides its model, a tenant {}",
        bytes(available),
        bytes(worker),
        bytes(tenant)
    );
    if available >= worker.saturating_add(tenant) {
        return Finding::ok(ID, found);
    }
    Finding::warning(
        ID,
        found,
        "lower limits.worker_memory_bytes or limits.arena_bytes_per_tenant_max: a limit that is not there is found out by \
         the kernel killing something",
    )
}
