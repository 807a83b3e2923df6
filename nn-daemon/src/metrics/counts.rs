//! What is counted of a tenant and of a model, where it happens.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nn_tensor::{Code, Fault, Reason};

use super::book::Fold;
use super::histogram::Histogram;
use crate::worker::micros;

/// How often each of a fixed list of things happened.
#[derive(Debug)]
struct Counters<const N: usize>([AtomicU64; N]);

/// One tenant's.
#[derive(Debug, Default)]
pub(crate) struct OfTenant {
    ok: AtomicU64,
    /// By code: computes that gave no outputs.
    codes: Counters<{ Code::ALL.len() }>,
    /// By reason: those, and sessions that were refused.
    reasons: Counters<{ Reason::ALL.len() }>,
    /// Faults without a row in the table of reasons.
    unexplained: AtomicU64,
}

/// What the answer of a compute says of its time, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spent {
    pub(crate) queue_us: u64,
    pub(crate) run_us: u64,
}

/// One model version's, its tenants' units together.
#[derive(Debug, Default)]
pub(crate) struct OfModel {
    codes: Counters<{ Code::ALL.len() }>,
    /// Computes that gave outputs, from their arrival to their answer.
    pub(super) all: Histogram,
    /// The parts of that.
    pub(super) queue: Histogram,
    pub(super) hop: Histogram,
    pub(super) run: Histogram,
    /// Before that, for clients that send their tensors: to where the worker reads them.
    pub(super) copy: Histogram,
}

// === impl Counters ===

impl<const N: usize> Default for Counters<N> {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; N])
    }
}

impl<const N: usize> Counters<N> {
    fn count(&self, at: usize) {
        if let Some(counter) = self.0.get(at) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn fold(&self, other: &Self) {
        for (own, other) in self.0.iter().zip(&other.0) {
            own.fetch_add(other.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    fn list(&self) -> impl Iterator<Item = u64> {
        self.0.iter().map(|counter| counter.load(Ordering::Relaxed))
    }
}

// === impl OfTenant ===

impl OfTenant {
    /// A compute has ended.
    pub(crate) fn computed(&self, result: Result<(), &Fault>) {
        match result {
            Ok(()) => {
                self.ok.fetch_add(1, Ordering::Relaxed);
            }
            Err(fault) => {
                self.codes.count(fault.code as usize);
                self.refused(fault);
            }
        }
    }

    /// Something was refused, or failed.
    pub(super) fn refused(&self, fault: &Fault) {
        match fault.reason {
            Some(reason) => self.reasons.count(reason as usize),
            None => {
                self.unexplained.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Computes that gave outputs.
    pub(super) fn ok(&self) -> u64 {
        self.ok.load(Ordering::Relaxed)
    }

    /// Computes that gave none, by code.
    pub(super) fn failed(&self) -> impl Iterator<Item = (Code, u64)> {
        Code::ALL.into_iter().zip(self.codes.list())
    }

    /// Each reason that there was.
    pub(super) fn reasons(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let ids = Reason::ALL.iter().map(|reason| reason.id());
        let unexplained = ("none", self.unexplained.load(Ordering::Relaxed));
        let all = ids.zip(self.reasons.list()).chain([unexplained]);
        all.filter(|(_, count)| *count > 0)
    }
}

impl Fold for OfTenant {
    fn fold(&self, other: &Self) {
        self.ok.fetch_add(other.ok(), Ordering::Relaxed);
        self.codes.fold(&other.codes);
        self.reasons.fold(&other.reasons);
        let unexplained = other.unexplained.load(Ordering::Relaxed);
        self.unexplained.fetch_add(unexplained, Ordering::Relaxed);
    }
}

// === impl OfModel ===

impl OfModel {
    /// A compute has ended, so long after it came. What a worker says of its own time is believed within that.
    pub(crate) fn computed(&self, result: Result<Spent, &Fault>, took: Duration) {
        match result {
            Ok(spent) => {
                let all_us = micros(took);
                let queue_us = spent.queue_us.min(all_us);
                let run_us = spent.run_us.min(all_us.saturating_sub(queue_us));
                let hop_us = all_us.saturating_sub(queue_us).saturating_sub(run_us);
                self.all.add_us(all_us);
                self.queue.add_us(queue_us);
                self.hop.add_us(hop_us);
                self.run.add_us(run_us);
            }
            Err(fault) => self.codes.count(fault.code as usize),
        }
    }

    /// A client's inputs have been copied to where the worker reads them.
    pub(crate) fn copied(&self, took: Duration) {
        self.copy.add_us(micros(took));
    }

    /// Computes that gave no outputs, by code.
    pub(super) fn failed(&self) -> impl Iterator<Item = (Code, u64)> {
        Code::ALL.into_iter().zip(self.codes.list())
    }

    /// The parts of a compute's time, by the name of each.
    pub(super) fn stages(&self) -> [(&'static str, &Histogram); 4] {
        [
            ("copy", &self.copy),
            ("queue", &self.queue),
            ("hop", &self.hop),
            ("run", &self.run),
        ]
    }
}

impl Fold for OfModel {
    fn fold(&self, other: &Self) {
        self.codes.fold(&other.codes);
        self.all.fold(&other.all);
        for ((_, own), (_, other)) in self.stages().into_iter().zip(other.stages()) {
            own.fold(other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(model: &OfModel) -> [u64; 4] {
        [&model.all, &model.queue, &model.hop, &model.run].map(|of| of.seen().sum_us)
    }

    #[test]
    fn every_code_and_reason_has_the_place_that_it_is_counted_in() {
        let codes = Code::ALL.iter().enumerate();
        assert!(codes.into_iter().all(|(at, code)| *code as usize == at));
        let reasons = Reason::ALL.iter().enumerate();
        assert!(reasons.into_iter().all(|(at, of)| *of as usize == at));
    }

    #[test]
    fn the_stages_of_a_compute_add_up_to_its_time() {
        let model = OfModel::default();
        let spent = Spent {
            queue_us: 200,
            run_us: 700,
        };
        model.computed(Ok(spent), Duration::from_micros(1000));
        assert_eq!(sums(&model), [1000, 200, 100, 700]);
    }

    #[test]
    fn a_worker_that_claims_more_time_than_there_was_is_not_believed() {
        let model = OfModel::default();
        let spent = Spent {
            queue_us: 200,
            run_us: u64::MAX,
        };
        model.computed(Ok(spent), Duration::from_micros(1000));
        assert_eq!(sums(&model), [1000, 200, 0, 800]);
    }

    #[test]
    fn a_fault_is_counted_by_code_and_by_reason() {
        let tenant = OfTenant::default();
        tenant.computed(Err(&Fault::of(Reason::QueueFull)));
        tenant.computed(Err(&Fault::busy("of no row")));
        tenant.computed(Ok(()));
        let busy = tenant.failed().find(|(code, _)| *code == Code::Busy);
        assert_eq!((tenant.ok(), busy), (1, Some((Code::Busy, 2))));
        let reasons: Vec<_> = tenant.reasons().collect();
        assert_eq!(reasons, [(Reason::QueueFull.id(), 1), ("none", 1)]);
    }
}
