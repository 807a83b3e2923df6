//! How often a version has computed and how long that took together: sums that only grow, for clients that ask for
//! statistics of it. Its units' are the same.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use nn_tensor::Fault;

use crate::queue::Reply;

/// How often something happened, and how long that took together.
#[derive(Debug, Default)]
struct Sum {
    count: AtomicU64,
    ns: AtomicU64,
}

/// The same at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) count: u64,
    pub(crate) ns: u64,
}

/// Of one version.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    ok: Sum,
    failed: Sum,
    queue: Sum,
    run: Sum,
    /// Inputs that came in messages, and were copied to where the worker reads them.
    input: Sum,
    last_ms: AtomicU64,
}

/// What is known of a version's computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Computes {
    pub(crate) ok: Seen,
    pub(crate) failed: Seen,
    pub(crate) queue: Seen,
    pub(crate) run: Seen,
    pub(crate) input: Seen,
    /// When the last one that gave outputs ended, in milliseconds since 1970; 0 before.
    pub(crate) last_ms: u64,
}

fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Sum {
    fn add(&self, ns: u64) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.ns.fetch_add(ns, Ordering::Relaxed);
    }

    fn seen(&self) -> Seen {
        Seen {
            count: self.count.load(Ordering::Relaxed),
            ns: self.ns.load(Ordering::Relaxed),
        }
    }
}

impl Totals {
    /// A compute has ended. What a worker says of its own time is believed within what it took.
    pub(crate) fn computed(&self, result: Result<&Reply, &Fault>, took: Duration) {
        let all_ns = ns(took);
        let Ok(reply) = result else {
            return self.failed.add(all_ns);
        };
        let queue_ns = reply.queue_us.saturating_mul(1000).min(all_ns);
        let most_ns = all_ns.saturating_sub(queue_ns);
        self.ok.add(all_ns);
        self.queue.add(queue_ns);
        self.run.add(reply.run_us.saturating_mul(1000).min(most_ns));
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now_ms = now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
        self.last_ms.store(now_ms, Ordering::Relaxed);
    }

    /// The inputs of a compute have been copied.
    pub(crate) fn copied(&self, took: Duration) {
        self.input.add(ns(took));
    }

    /// All of it.
    pub(crate) fn seen(&self) -> Computes {
        Computes {
            ok: self.ok.seen(),
            failed: self.failed.seen(),
            queue: self.queue.seen(),
            run: self.run.seen(),
            input: self.input.seen(),
            last_ms: self.last_ms.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computes_add_up_and_a_worker_that_claims_too_much_is_not_believed() {
        let totals = Totals::default();
        let reply = Reply {
            outputs: Vec::new(),
            pieces: Vec::new(),
            queue_us: 200,
            run_us: u64::MAX,
        };
        totals.computed(Ok(&reply), Duration::from_micros(1000));
        totals.computed(Err(&Fault::busy("no")), Duration::from_micros(5));
        let seen = totals.seen();
        let sum = |ns| Seen { count: 1, ns };
        assert_eq!((seen.ok, seen.failed), (sum(1_000_000), sum(5000)));
        assert_eq!((seen.queue, seen.run), (sum(200_000), sum(800_000)));
        assert!(seen.last_ms > 0);
    }
}
