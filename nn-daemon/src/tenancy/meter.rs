//! What one tenant has at the moment. Nothing waits for room: what does not fit is refused, told by which bound.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use nn_tensor::{Fault, Reason, Tenant};
use tokio::time::Instant;

use super::rate::Rate;
use super::{Bound, Bounds, Shared, Tenancy};
use crate::arena::Budget;

/// One tenant's.
#[derive(Debug)]
pub(crate) struct Meter {
    of: Weak<Shared>,
    tenant: Tenant,
    /// Its arenas' memory.
    budget: Arc<Budget>,
    bounds: Mutex<Bounds>,
    computes: AtomicU64,
    tensors: AtomicU64,
    since: Instant,
    rate: Mutex<Rate>,
}

/// A compute in flight; dropped, there is room for another.
#[derive(Debug)]
pub(crate) struct Underway(Arc<Meter>);

/// So many tensors; dropped, there is room for as many.
#[derive(Debug)]
pub(crate) struct Tensors {
    meter: Arc<Meter>,
    count: u64,
}

// === impl Meter ===

impl Meter {
    pub(super) fn new(of: &Tenancy, tenant: Tenant, budget: Arc<Budget>, bounds: Bounds) -> Self {
        budget.hold_to(bounds.arena_bytes);
        Self {
            of: of.downgrade(),
            tenant,
            budget,
            bounds: Mutex::new(bounds),
            computes: AtomicU64::new(0),
            tensors: AtomicU64::new(0),
            since: Instant::now(),
            rate: Mutex::default(),
        }
    }

    pub(super) fn hold_to(&self, bounds: Bounds) {
        self.budget.hold_to(bounds.arena_bytes);
        *self.bounds.lock().unwrap_or_else(PoisonError::into_inner) = bounds;
    }

    pub(crate) fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    pub(crate) fn bounds(&self) -> Bounds {
        *self.bounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Computes in flight.
    pub(crate) fn computes(&self) -> u64 {
        self.computes.load(Ordering::Relaxed)
    }

    /// Tensors that are counted now.
    pub(crate) fn tensors(&self) -> u64 {
        self.tensors.load(Ordering::Relaxed)
    }

    /// One compute more. Of those that a second may have, only one that finds room counts.
    pub(crate) fn begin(self: &Arc<Self>) -> Result<Underway, Fault> {
        let bounds = self.bounds();
        let full = |max: u64| {
            Fault::of(Reason::TenantComputesFull)
                .expected(format!("at most {max} in flight"))
                .hint(self.hint("wait for a reply", Bound::Computes))
        };
        take(&self.computes, 1, bounds.computes).ok_or_else(|| full(bounds.computes))?;
        let underway = Underway(Arc::clone(self));
        let Some(per_second) = bounds.computes_per_second else {
            return Ok(underway);
        };
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        if rate.take(per_second, self.since.elapsed()) {
            return Ok(underway);
        }
        Err(Fault::of(Reason::TenantRateFull)
            .expected(format!("at most {per_second} a second"))
            .hint(self.hint("try again in a moment", Bound::ComputesPerSecond)))
    }

    /// So many tensors more.
    pub(crate) fn hold(self: &Arc<Self>, count: usize) -> Result<Tensors, Fault> {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let max = self.bounds().tensors;
        let held = take(&self.tensors, count, max).ok_or_else(|| {
            Fault::of(Reason::TenantTensorsFull)
                .expected(format!("at most {max}"))
                .got(format!("{} and {count} more", self.tensors()))
                .hint(self.hint("drop outputs that are no longer needed", Bound::Tensors))
        });
        held.map(|()| Tensors {
            meter: Arc::clone(self),
            count,
        })
    }

    fn hint(&self, what: &str, bound: Bound) -> String {
        let key = match self.of.upgrade() {
            Some(shared) => Tenancy(shared).key(&self.tenant, bound),
            None => bound.name().to_owned(),
        };
        format!("{what}, or have {key} raised")
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some(shared) = self.of.upgrade() {
            shared.forget(&self.tenant);
        }
    }
}

fn take(used: &AtomicU64, count: u64, max: u64) -> Option<()> {
    let add = |used: u64| used.checked_add(count).filter(|&sum| sum <= max);
    let taken = used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    taken.ok().map(drop)
}

// === impl Underway, Tensors ===

impl Drop for Underway {
    fn drop(&mut self) {
        self.0.computes.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Tensors {
    /// Some of them, apart; none where there are not as many.
    pub(crate) fn split(&mut self, count: u64) -> Option<Self> {
        self.count = self.count.checked_sub(count)?;
        Some(Self {
            meter: Arc::clone(&self.meter),
            count,
        })
    }
}

impl Drop for Tensors {
    fn drop(&mut self) {
        self.meter.tensors.fetch_sub(self.count, Ordering::Relaxed);
    }
}
