//! Instances beyond the least of their model, which are there because calls waited: whoever waits for a first worker has
//! more need of the room. The one of the version that was used least recently goes, when it has computed what it has; no
//! call fails by that, and the version goes on with the others.

use std::sync::Arc;

use super::admission::Freed;
use super::spares::until;
use crate::model::Model;
use crate::worker::Startup;

/// Has one leave; `false` where there is none, or all of them together would not do.
pub(super) async fn make_room(model: &Model, startup: &Startup) -> bool {
    let admission = &startup.policy.admission;
    let mut extras: Vec<(Arc<Model>, usize)> = startup
        .policy
        .residents
        .known()
        .into_iter()
        .map(|of| (Arc::clone(&of), of.extra_instances()))
        .filter(|(_, extra)| *extra > 0)
        .collect();
    let held = extras.iter().flat_map(|(of, extra)| {
        let budgets = of.budget(&startup.limits);
        let workers = of.pool.workers().into_iter().rev().take(*extra);
        workers.map(move |worker| Freed {
            workers: 1,
            budgets,
            resident: worker.resident_bytes(),
            own: worker.own_bytes(),
            common: 0,
        })
    });
    if !admission.would_admit(model.need(), Freed::sum(held)) {
        return false;
    }
    extras.sort_by_key(|(of, _)| of.used());
    let Some((least, _)) = extras.first() else {
        return false;
    };
    let used = admission.used();
    least.pool.give_way();
    until(|| admission.used() < used).await;
    true
}
