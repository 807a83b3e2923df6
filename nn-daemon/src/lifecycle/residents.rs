//! Versions that are loaded, and which of them rest to make room for a load that somebody waits for: the one that was
//! used least recently first, never one that is pinned, loading, busy, or waited for.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::admission::Freed;
use super::see_off;
use super::spares::{TICK, until};
use super::state::State;
use crate::model::Model;
use crate::quarantine::Whose;
use crate::telemetry::Limiter;
use crate::worker::Startup;

/// How long a version may take to begin to rest. One that does not was wanted meanwhile.
const HEARD_TIMEOUT: Duration = Duration::from_millis(100);

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

    pub(super) fn known(&self) -> Vec<Arc<Model>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().filter_map(Weak::upgrade).collect()
    }

    /// Those that may rest now, the least recently used first.
    fn idle(&self, startup: &Startup) -> Vec<Arc<Model>> {
        let mut idle = self.known();
        idle.retain(|model| model.may_rest(startup.policy.isolation));
        idle.sort_by_key(|model| model.used());
        idle
    }
}

/// Whether it has a worker that never goes to make room: a pinned one's, a guest's, a tenant's own.
fn stays(model: &Model) -> bool {
    model.whose != Whose::All || model.pinned.load(Ordering::Relaxed)
}

/// What these have.
fn held(models: &[Arc<Model>], startup: &Startup) -> Freed {
    let of = |model: &Arc<Model>| {
        let budgets = model.budget(&startup.limits);
        let workers = model.pool.workers().into_iter();
        workers.map(move |worker| Freed {
            workers: 1,
            budgets,
            own: worker.own_bytes(),
            common: 0,
            resident: worker.resident_bytes(),
        })
    };
    Freed::sum(models.iter().flat_map(of))
}

/// What versions would give back that may rest now.
pub(super) fn idle(startup: &Startup) -> Freed {
    held(&startup.policy.residents.idle(startup), startup)
}

/// Has the version rest that is worth the least; `false` where there is none, or all of them together would not do.
pub(super) async fn make_room(model: &Model, startup: &Startup) -> bool {
    // A guest that loads and drops must not keep everybody's models cold.
    if model.is_guests() {
        return false;
    }
    let admission = &startup.policy.admission;
    let idle = startup.policy.residents.idle(startup);
    if !admission.would_admit(model.need(), held(&idle, startup)) {
        return false;
    }
    let Some(least) = idle.first() else {
        return false;
    };
    let used = admission.used();
    least.rest.notify_one();
    if !rests(least).await {
        return true;
    }
    tracing::info!(model = %least.id(), "rests to make room for {}", model.id());
    until(|| admission.used() < used).await;
    true
}

/// Has spares go and versions rest until those that are left have no more than the operator lets them, as they were measured
/// last. What is left over that can not go is told.
pub(super) fn shrink(startup: &Startup) {
    static LINES: Limiter = Limiter::new();
    let policy = &startup.policy;
    let mut excess = policy.admission.excess();
    while excess > 0
        && let Some(worker) = policy.spares.give_way()
    {
        excess = excess.saturating_sub(worker.own_bytes());
        drop(see_off(worker));
    }
    for model in policy.residents.idle(startup) {
        if excess == 0 {
            return;
        }
        excess = excess.saturating_sub(held(std::slice::from_ref(&model), startup).own);
        let max = startup.limits.models_memory_bytes_max;
        tracing::info!(model = %model.id(), "rests: workers have more than {max} bytes (limits.models_memory_bytes_max)");
        model.rest.notify_one();
    }
    if excess > 0 && LINES.allows() {
        tracing::warn!(
            "workers have {excess} bytes more than limits.models_memory_bytes_max, and none can go: they are pinned, in use, guests' or tenants' own"
        );
    }
}

/// Whether one that was asked to rest does: it may have been wanted before it heard.
async fn rests(model: &Model) -> bool {
    let end = Instant::now() + HEARD_TIMEOUT;
    while model.status.borrow().state == State::Ready {
        if Instant::now() >= end {
            return false;
        }
        sleep(TICK).await;
    }
    true
}

/// Whether there may be room later without anybody's doing: the workers that have it compute, load, are waited for or on
/// their way out, and may rest afterwards. For a guest's model none rests ([`make_room`]): only what is on its way is waited for.
pub(super) fn room_may_come(model: &Model, startup: &Startup) -> bool {
    let (admission, need) = (&startup.policy.admission, model.need());
    let (stay, go): (Vec<_>, Vec<_>) = startup
        .policy
        .residents
        .known()
        .into_iter()
        .partition(|known| stays(known) || model.is_guests());
    let waiting = startup.policy.spares.held(&startup.limits);
    let (stay, go) = (
        held(&stay, startup),
        Freed::sum([held(&go, startup), waiting]),
    );
    let taken = admission.taken();
    let freed = Freed {
        workers: taken.workers.saturating_sub(stay.workers),
        budgets: taken.budgets.saturating_sub(stay.budgets),
        own: taken.own.saturating_sub(stay.own),
        // Nobody knows yet whose it is.
        common: u64::MAX,
        // What is neither is loading or leaving, and nobody knows yet what that has.
        resident: if taken.workers > stay.workers.saturating_add(go.workers) {
            u64::MAX
        } else {
            go.resident
        },
    };
    freed.workers > 0 && admission.would_admit(need, freed)
}
