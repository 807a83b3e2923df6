//! What workers have of the machine's memory, measured: each when it has loaded its model, and all of them every so often.
//! Where that is more than the operator lets them have, spares go and versions rest (`residents.rs`).

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::admission::Ticket;
use super::residents;
use crate::model::Artifact;
use crate::worker::{Memory, Startup, Worker};

/// How often all are measured where that decides who stays loaded.
const EVERY: Duration = Duration::from_secs(1);

/// And where people are told of it only.
const SELDOM: Duration = Duration::from_secs(10);

/// Measuring takes at most one part in so many of one core's time.
const SHARE: u32 = 20;

/// Every worker that has a model.
#[derive(Debug, Default)]
pub(crate) struct Meter(Mutex<Vec<Known>>);

/// One that is there as long as its ticket is: its descriptors end with it, not with the next measuring.
#[derive(Debug)]
struct Known {
    worker: Weak<Worker>,
    ticket: Weak<Ticket>,
}

impl Meter {
    /// Makes a worker known that has just loaded a model, and measures it for the first time.
    pub(super) async fn enrol(&self, worker: &Arc<Worker>, ticket: &Arc<Ticket>, of: &Artifact) {
        let known = Known {
            worker: Arc::downgrade(worker),
            ticket: Arc::downgrade(ticket),
        };
        self.with(|all| {
            all.retain(|known| known.ticket.strong_count() > 0);
            all.push(known);
        });
        if let Some(memory) = measured(vec![Arc::clone(worker)]).await.pop().flatten() {
            ticket.set_own(memory.own);
            // Nobody has an arena in it yet.
            of.set_loaded_bytes(memory.own);
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Vec<Known>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Measures every worker, and has them be fewer where they have too much. Gives how long to wait before the next time.
pub(crate) async fn measure(startup: &Startup) -> Duration {
    let begun = Instant::now();
    all(startup).await;
    residents::shrink(startup);
    let is_bound = startup.limits.models_memory_bytes_max > 0;
    let every = if is_bound { EVERY } else { SELDOM };
    every.max(begun.elapsed().saturating_mul(SHARE))
}

/// Measures every worker.
pub(super) async fn all(startup: &Startup) {
    let policy = &startup.policy;
    let known: Vec<(Arc<Worker>, Arc<Ticket>)> = policy.meter.with(|all| {
        all.retain(|known| known.ticket.strong_count() > 0);
        let there = |known: &Known| Some((known.worker.upgrade()?, known.ticket.upgrade()?));
        all.iter().filter_map(there).collect()
    });
    let workers = known.iter().map(|(worker, _)| Arc::clone(worker)).collect();
    let (mut common, mut least) = (0_u64, u64::MAX);
    for ((_, ticket), memory) in known.iter().zip(measured(workers).await) {
        // One that is just ending has nothing that could be measured: its ticket goes with it.
        if let Some(memory) = memory {
            ticket.set_own(memory.own);
            ticket.set_common(memory.shared);
            common = common.saturating_add(memory.shared);
            least = least.min(memory.shared);
        }
    }
    policy.admission.set_common(common, least);
}

/// Away from the thread that serves.
async fn measured(workers: Vec<Arc<Worker>>) -> Vec<Option<Memory>> {
    let measure = move || workers.iter().map(|worker| worker.measure()).collect();
    tokio::task::spawn_blocking(measure)
        .await
        .unwrap_or_default()
}
