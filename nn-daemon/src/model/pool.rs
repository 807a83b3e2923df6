//! The instances of a version, or of one tenant's unit of it: the workers that serve it, each under a number of its own.
//! Who joins and who leaves is decided by `lifecycle/pool.rs`; who gets a job by `queue/dispatch.rs`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use crate::worker::Worker;

/// One that serves.
#[derive(Debug)]
pub(crate) struct Instance<W = Worker> {
    /// The lowest that was free when it came.
    pub(crate) id: u32,
    pub(crate) worker: Arc<W>,
}

/// Those that serve at one moment, the lowest number first.
pub(crate) type Serving<W = Worker> = Arc<[Instance<W>]>;

/// All of one version.
#[derive(Debug)]
pub(crate) struct Pool<W = Worker> {
    serving: watch::Sender<Serving<W>>,
    /// One beyond the least is to go.
    way: Notify,
    /// How often the worker under each number has been replaced.
    restarts: Mutex<BTreeMap<u32, u32>>,
}

// === impl Instance ===

impl<W> Clone for Instance<W> {
    fn clone(&self) -> Self {
        Self {
            id: self.id,
            worker: Arc::clone(&self.worker),
        }
    }
}

// === impl Pool ===

impl<W> Pool<W> {
    pub(crate) fn new() -> Self {
        Self {
            serving: watch::channel(Arc::from([])).0,
            way: Notify::new(),
            restarts: Mutex::default(),
        }
    }

    /// Those that serve, now and from now on.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Serving<W>> {
        self.serving.subscribe()
    }

    /// Those that serve now.
    pub(crate) fn serving(&self) -> Serving<W> {
        Arc::clone(&self.serving.borrow())
    }

    /// How many serve now.
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.serving.borrow().len()).unwrap_or(u32::MAX)
    }

    /// The workers that serve now.
    pub(crate) fn workers(&self) -> Vec<Arc<W>> {
        let workers = |of: &Instance<W>| Arc::clone(&of.worker);
        self.serving.borrow().iter().map(workers).collect()
    }

    /// A worker serves from now on.
    pub(crate) fn join(&self, worker: Arc<W>) {
        let id = self.free();
        let mut all = self.serving().to_vec();
        let place = all.partition_point(|of| of.id < id);
        all.insert(place, Instance { id, worker });
        self.serving.send_replace(all.into());
    }

    /// A worker serves no more; gives its number, if it did.
    pub(crate) fn leave(&self, worker: &Arc<W>) -> Option<u32> {
        let mut all = self.serving().to_vec();
        let place = all.iter().position(|of| Arc::ptr_eq(&of.worker, worker))?;
        let left = all.remove(place);
        self.serving.send_replace(all.into());
        Some(left.id)
    }

    /// None serves from now on; gives those that did.
    pub(crate) fn take(&self) -> Vec<Arc<W>> {
        let all = self.serving.send_replace(Arc::from([]));
        all.iter().map(|of| Arc::clone(&of.worker)).collect()
    }

    /// Has one beyond the least go: somebody else has more need of its room.
    pub(crate) fn give_way(&self) {
        self.way.notify_one();
    }

    /// Returns once one is to.
    pub(crate) async fn to_give_way(&self) {
        self.way.notified().await;
    }

    /// The number that the next one gets.
    pub(crate) fn free(&self) -> u32 {
        let serving = self.serving.borrow();
        let numbered = (0..).zip(serving.iter());
        let in_order = numbered.take_while(|(id, of)| of.id == *id);
        u32::try_from(in_order.count()).unwrap_or(u32::MAX)
    }

    /// The worker under a number is to be replaced.
    pub(crate) fn count_restart(&self, id: u32) {
        let mut restarts = self.counts();
        let count = restarts.entry(id).or_default();
        *count = count.saturating_add(1);
    }

    /// How often the one under a number has been.
    pub(crate) fn restarts(&self, id: u32) -> u32 {
        self.counts().get(&id).copied().unwrap_or_default()
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<u32, u32>> {
        self.restarts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(pool: &Pool<u8>) -> Vec<(u32, u8)> {
        pool.serving()
            .iter()
            .map(|of| (of.id, *of.worker))
            .collect()
    }

    #[test]
    fn one_that_comes_has_the_number_of_one_that_went() {
        let pool = Pool::new();
        let workers: Vec<Arc<u8>> = (0..3).map(Arc::new).collect();
        workers.iter().for_each(|of| pool.join(Arc::clone(of)));
        assert_eq!(ids(&pool), [(0, 0), (1, 1), (2, 2)]);
        assert_eq!(pool.leave(&workers[1]), Some(1));
        assert_eq!(pool.leave(&workers[1]), None);
        assert_eq!(pool.free(), 1);
        pool.join(Arc::new(7));
        assert_eq!(ids(&pool), [(0, 0), (1, 7), (2, 2)]);
    }

    #[test]
    fn of_a_pool_that_is_taken_nothing_serves() {
        let pool = Pool::new();
        pool.join(Arc::new(1_u8));
        pool.join(Arc::new(2));
        assert_eq!(pool.take().len(), 2);
        assert_eq!((pool.len(), pool.free()), (0, 0));
        assert!(pool.workers().is_empty());
    }

    #[test]
    fn restarts_are_counted_by_number() {
        let pool = Pool::<u8>::new();
        pool.count_restart(1);
        pool.count_restart(1);
        assert_eq!((pool.restarts(0), pool.restarts(1)), (0, 2));
    }
}
