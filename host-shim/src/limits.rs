//! What one guest may hold. Each thing it holds carries its share of the quota and gives it back by being
//! dropped, so nothing can be forgotten; a guest that leaks meets its own limit.

use std::hash::{BuildHasher, DefaultHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use nn_tensor::{Fault, Reason};

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
    /// Distinct models loaded from bytes and still held.
    pub models_max: u64,
    /// Their bytes together.
    pub model_bytes_max: u64,
}

mod tenant;

pub use tenant::{TenantLimits, TenantQuota};

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
    _tenant: Option<[Held; 2]>,
}

/// What a compute holds of the quota until it is answered.
#[derive(Debug)]
pub(crate) struct Computing {
    _own: Held,
    _tenant: Option<Held>,
}

/// What an output in shared memory holds of the quota, besides being a tensor.
#[derive(Debug)]
pub(crate) struct OutHeld {
    _count: Held,
    _bytes: Held,
}

/// What a model loaded from bytes holds of the quota, once however often it was loaded.
#[derive(Debug)]
pub(crate) struct ModelHeld {
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
    models: Arc<Meter>,
    model_bytes: Arc<Meter>,
    /// What this guest shares with the others of its tenant.
    tenant: Option<TenantQuota>,
    /// The models that are held, by digest; those that are gone leave with the next load.
    known: Vec<(u64, Weak<ModelHeld>)>,
    digests: RandomState,
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
            models_max: 2,
            model_bytes_max: 128 << 20,
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
    pub(crate) fn new(limits: &GuestLimits, tenant: Option<TenantQuota>) -> Self {
        Self {
            tenant,
            tensors: Meter::new(limits.tensors_max),
            tensor_bytes: Meter::new(limits.tensor_bytes_max),
            graphs: Meter::new(limits.graphs_max),
            contexts: Meter::new(limits.contexts_max),
            in_flight: Meter::new(limits.in_flight_max),
            out_slots: Meter::new(limits.out_slots_max),
            out_bytes: Meter::new(limits.out_bytes_max),
            models: Meter::new(limits.models_max),
            model_bytes: Meter::new(limits.model_bytes_max),
            known: Vec::new(),
            digests: RandomState::new(),
        }
    }

    /// A tensor of so many bytes; `too-large` beyond the ceilings, `busy` beyond the tenant's.
    pub(crate) fn tensor(&self, bytes: u64) -> Result<TensorHeld, Fault> {
        let (own, tenant) = (bytes, self.tenant.as_ref());
        let count = self.tensors.take(1).ok_or_else(|| {
            Fault::of(Reason::GuestTensorsFull)
                .expected(format!("at most {}", self.tensors.max))
                .hint("drop tensors that are no longer needed")
        })?;
        let bytes = self.tensor_bytes.take(own).ok_or_else(|| {
            let used = self.tensor_bytes.used.load(Ordering::Relaxed);
            Fault::of(Reason::GuestTensorBytesFull)
                .expected(format!("at most {} bytes", self.tensor_bytes.max))
                .got(format!("{} bytes", used.saturating_add(bytes)))
                .hint("drop tensors that are no longer needed")
        })?;
        Ok(TensorHeld {
            _count: count,
            _bytes: bytes,
            _tenant: tenant.map(|tenant| tenant.tensor(own)).transpose()?,
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
    pub(crate) fn compute(&self) -> Result<Computing, Fault> {
        let tenant = self.tenant.as_ref();
        Ok(Computing {
            _own: busy(&self.in_flight, "computes in flight")?,
            _tenant: tenant.map(TenantQuota::compute).transpose()?,
        })
    }

    /// An output that stays in shared memory; `None` where it must be copied out.
    pub(crate) fn output(&self, bytes: u64) -> Option<OutHeld> {
        Some(OutHeld {
            _count: self.out_slots.take(1)?,
            _bytes: self.out_bytes.take(bytes)?,
        })
    }

    /// Makes the digest that [`Self::model`] knows models by. Keyed by chance, so that no guest can make
    /// two models look alike; if two did, one would not be counted, and nothing else.
    pub(crate) fn digest(&self) -> DefaultHasher {
        self.digests.build_hasher()
    }

    /// A model that could never be held, whatever else is: `too-large`. To be asked before its bytes are
    /// copied.
    pub(crate) fn model_fits(&self, bytes: u64) -> Result<(), Fault> {
        if bytes <= self.model_bytes.max {
            return Ok(());
        }
        Err(Fault::of(Reason::ModelTooLarge)
            .expected(format!("at most {} bytes", self.model_bytes.max))
            .got(format!("{bytes} bytes"))
            .hint("have the operator load the model (`nnctl load NAME FILE`) and load it by name"))
    }

    /// A model loaded from bytes: `busy` beyond the ceiling of models, `too-large` beyond that of bytes.
    /// One that the guest holds already shares what it holds.
    pub(crate) fn model(&mut self, digest: u64, bytes: u64) -> Result<Arc<ModelHeld>, Fault> {
        self.known.retain(|(_, model)| model.strong_count() > 0);
        let mut known = self.known.iter();
        if let Some(held) = known.find_map(|(d, m)| m.upgrade().filter(|_| *d == digest)) {
            return Ok(held);
        }
        let count = busy(&self.models, "models loaded from bytes")
            .map_err(|fault| fault.because(Reason::GuestModelsFull))?;
        let bytes = self.model_bytes.take(bytes).ok_or_else(|| {
            let used = self.model_bytes.used.load(Ordering::Relaxed);
            Fault::of(Reason::GuestModelBytesFull)
                .expected(format!("at most {} bytes", self.model_bytes.max))
                .got(format!("{} bytes", used.saturating_add(bytes)))
                .hint("drop models that are no longer needed")
        })?;
        let held = Arc::new(ModelHeld {
            _count: count,
            _bytes: bytes,
        });
        self.known.push((digest, Arc::downgrade(&held)));
        Ok(held)
    }
}

fn busy(meter: &Arc<Meter>, what: &str) -> Result<Held, Fault> {
    meter.take(1).ok_or_else(|| {
        Fault::of(Reason::GuestHandlesFull)
            .message(format!("the guest holds too many {what}"))
            .expected(format!("at most {}", meter.max))
            .hint("drop those that are no longer needed")
    })
}

#[cfg(test)]
mod tests;
