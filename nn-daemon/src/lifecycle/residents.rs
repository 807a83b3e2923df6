//! Versions that are loaded, and which of them rest to make room for a load that somebody waits for: the one that was
//! used least recently first, never one that is pinned, loading, busy, or waited for.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::spares::until;
use crate::model::Model;
use crate::worker::Startup;

/// Of this daemon.
#[derive(Debug, Default)]
pub(crate) struct Residents(Mutex<Vec<Weak<Model>>>);

impl Residents {
    /// Makes a version known, once.
    pub(super) fn enrol(&self, model: &Arc<Model>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|known| known.strong_count() > 0);
        let of = Arc::downgrade(model);
        if !known.iter().any(|known| known.ptr_eq(&of)) {
            known.push(of);
        }
    }

    fn idle(&self, startup: &Startup) -> Vec<Arc<Model>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let models = known.iter().filter_map(Weak::upgrade);
        let mut idle: Vec<Arc<Model>> = models
            .filter(|model| model.may_rest(startup.policy.isolation))
            .collect();
        idle.sort_by_key(|model| model.used());
        idle
    }
}

/// Has the version rest that is worth the least; `false` where there is none, or all of them together would not do.
pub(super) async fn make_room(model: &Model, startup: &Startup) -> bool {
    let (admission, limits) = (&startup.policy.admission, &startup.limits);
    let idle = startup.policy.residents.idle(startup);
    let budgets = idle
        .iter()
        .map(|idle| limits.worker_budget(idle.artifact.blob.bytes()));
    let workers = idle.iter().filter_map(|idle| idle.worker.borrow().clone());
    let resident = workers.map(|worker| worker.resident_bytes());
    let sums = (
        budgets.fold(0, u64::saturating_add),
        resident.fold(0, u64::saturating_add),
    );
    if !admission.would_admit(model.artifact.blob.bytes(), sums.0, sums.1) {
        return false;
    }
    let Some(least) = idle.first() else {
        return false;
    };
    tracing::info!(model = %least.id(), "rests to make room for {}", model.id());
    let used = admission.used();
    least.rest.notify_one();
    until(|| admission.used() < used).await;
    true
}
