//! What one guest may hold. Each thing it holds carries its share of the quota and gives it back by being
//! dropped, so nothing can be forgotten; a guest that leaks meets its own limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nn_tensor::Fault;

/// Ceilings for one guest, which is one store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestLimits {
    /// Tensors held, inputs and outputs.
    pub tensors_max: u64,
    /// Their bytes.
    pub tensor_bytes_max: u64,
    /// Graphs held.
    pub graphs_max: u64,
    /// Execution contexts held.
    pub contexts_max: u64,
    /// Computes that have not been answered.
    pub in_flight_max: u64,
    /// Outputs left in shared memory; those beyond are copied to the host's heap, so that a guest that
    /// keeps them starves nobody of room.
    pub out_slots_max: u64,
    /// The same in bytes.
    pub out_bytes_max: u64,
}

/// How much of one thing is in use.
#[derive(Debug)]
struct Meter {
    used: AtomicU64,
    max: u64,
}

/// A share of a meter, given back by drop.
#[derive(Debug)]
pub(crate) struct Held {
    meter: Arc<Meter>,
    amount: u64,
}

/// What a tensor holds of the quota.
#[derive(Debug)]
pub(crate) struct TensorHeld {
    _count: Held,
    _bytes: Held,
}

/// What an output in shared memory holds of the quota, besides being a tensor.
#[derive(Debug)]
pub(crate) struct OutHeld {
    _count: Held,
    _bytes: Held,
}

/// One guest's meters.
#[derive(Debug)]
pub(crate) struct Quota {
    tensors: Arc<Meter>,
    tensor_bytes: Arc<Meter>,
    graphs: Arc<Meter>,
    contexts: Arc<Meter>,
    in_flight: Arc<Meter>,
    out_slots: Arc<Meter>,
    out_bytes: Arc<Meter>,
}

// === impl GuestLimits ===

impl Default for GuestLimits {
    fn default() -> Self {
        Self {
            tensors_max: 1024,
            tensor_bytes_max: 256 << 20,
            graphs_max: 64,
            contexts_max: 256,
            in_flight_max: 16,
            out_slots_max: 64,
            out_bytes_max: 64 << 20,
        }
    }
}

// === impl Meter ===

impl Meter {
    fn new(max: u64) -> Arc<Self> {
        Arc::new(Self {
            used: AtomicU64::new(0),
            max,
        })
    }

    fn take(self: &Arc<Self>, amount: u64) -> Option<Held> {
        let more = |used: u64| used.checked_add(amount).filter(|&sum| sum <= self.max);
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .ok()?;
        Some(Held {
            meter: Arc::clone(self),
            amount,
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.meter.used.fetch_sub(self.amount, Ordering::Relaxed);
    }
}

// === impl Quota ===

impl Quota {
    pub(crate) fn new(limits: &GuestLimits) -> Self {
        Self {
            tensors: Meter::new(limits.tensors_max),
            tensor_bytes: Meter::new(limits.tensor_bytes_max),
            graphs: Meter::new(limits.graphs_max),
            contexts: Meter::new(limits.contexts_max),
            in_flight: Meter::new(limits.in_flight_max),
            out_slots: Meter::new(limits.out_slots_max),
            out_bytes: Meter::new(limits.out_bytes_max),
        }
    }

    /// A tensor of so many bytes; `too-large` beyond the ceilings.
    pub(crate) fn tensor(&self, bytes: u64) -> Result<TensorHeld, Fault> {
        let count = self.tensors.take(1).ok_or_else(|| {
            Fault::too_large("the guest holds too many tensors")
                .expected(format!("at most {}", self.tensors.max))
                .hint("drop tensors that are no longer needed")
        })?;
        let bytes = self.tensor_bytes.take(bytes).ok_or_else(|| {
            let used = self.tensor_bytes.used.load(Ordering::Relaxed);
            Fault::too_large("the guest's tensors are too large together")
                .expected(format!("at most {} bytes", self.tensor_bytes.max))
                .got(format!("{} bytes", used.saturating_add(bytes)))
                .hint("drop tensors that are no longer needed")
        })?;
        Ok(TensorHeld {
            _count: count,
            _bytes: bytes,
        })
    }

    /// A graph handle; `busy` beyond the ceiling.
    pub(crate) fn graph(&self) -> Result<Held, Fault> {
        busy(&self.graphs, "graphs")
    }

    /// An execution context; `busy` beyond the ceiling.
    pub(crate) fn context(&self) -> Result<Held, Fault> {
        busy(&self.contexts, "execution contexts")
    }

    /// A compute; `busy` beyond the ceiling.
    pub(crate) fn compute(&self) -> Result<Held, Fault> {
        busy(&self.in_flight, "computes in flight")
    }

    /// An output that stays in shared memory; `None` where it must be copied out.
    pub(crate) fn output(&self, bytes: u64) -> Option<OutHeld> {
        Some(OutHeld {
            _count: self.out_slots.take(1)?,
            _bytes: self.out_bytes.take(bytes)?,
        })
    }
}

fn busy(meter: &Arc<Meter>, what: &str) -> Result<Held, Fault> {
    meter.take(1).ok_or_else(|| {
        Fault::busy(format!("the guest holds too many {what}"))
            .expected(format!("at most {}", meter.max))
            .hint("drop those that are no longer needed")
    })
}

#[cfg(test)]
mod tests {
    use nn_tensor::Code;

    use super::*;

    fn quota() -> Quota {
        Quota::new(&GuestLimits {
            tensors_max: 2,
            tensor_bytes_max: 100,
            graphs_max: 1,
            contexts_max: 1,
            in_flight_max: 1,
            out_slots_max: 1,
            out_bytes_max: 10,
        })
    }

    #[test]
    fn what_is_dropped_can_be_taken_again() {
        let quota = quota();
        let first = quota.tensor(60).unwrap();
        assert_eq!(quota.tensor(41).unwrap_err().code, Code::TooLarge);
        drop(first);
        assert!(quota.tensor(100).is_ok());
    }

    #[test]
    fn a_refusal_takes_nothing() {
        let quota = quota();
        assert!(quota.tensor(101).is_err());
        assert!(quota.tensor(u64::MAX).is_err());
        let _one = quota.tensor(0).unwrap();
        let _two = quota.tensor(100).unwrap();
        assert_eq!(quota.tensor(0).unwrap_err().code, Code::TooLarge);
    }

    #[test]
    fn handles_beyond_the_ceiling_are_busy() {
        let quota = quota();
        let _graph = quota.graph().unwrap();
        let _context = quota.context().unwrap();
        let _compute = quota.compute().unwrap();
        let refused = [quota.graph(), quota.context(), quota.compute()];
        let codes = refused.map(|held| held.unwrap_err().code);
        assert_eq!(codes, [Code::Busy; 3]);
    }

    #[test]
    fn outputs_beyond_the_ceiling_are_to_be_copied_out() {
        let quota = quota();
        assert!(quota.output(11).is_none());
        let held = quota.output(10).unwrap();
        assert!(quota.output(0).is_none());
        drop(held);
        assert!(quota.output(10).is_some());
    }
}
