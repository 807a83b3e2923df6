//! What all guests of one tenant may hold together, so that one tenant's guests take no room from another's. A host
//! makes one for each tenant and gives it to each store of that tenant.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use nn_tensor::Fault;

use super::{Held, Meter};

/// Ceilings for all guests of one tenant in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TenantLimits {
    /// Tensors held, inputs and outputs.
    pub tensors_max: u64,
    /// Their bytes.
    pub tensor_bytes_max: u64,
    /// Computes that have not been answered.
    pub in_flight_max: u64,
}

/// One tenant's meters. Cheap to clone; clones are the same meters. What a store holds of them comes back when it is
/// dropped.
#[derive(Clone, Debug)]
pub struct TenantQuota(Arc<Meters>);

#[derive(Debug)]
struct Meters {
    tensors: Arc<Meter>,
    tensor_bytes: Arc<Meter>,
    in_flight: Arc<Meter>,
}

// === impl TenantLimits ===

impl Default for TenantLimits {
    fn default() -> Self {
        Self {
            tensors_max: 16_384,
            tensor_bytes_max: 1 << 30,
            in_flight_max: 64,
        }
    }
}

// === impl TenantQuota ===

impl TenantQuota {
    /// Meters with nothing in use.
    #[must_use]
    pub fn new(limits: &TenantLimits) -> Self {
        Self(Arc::new(Meters {
            tensors: Meter::new(limits.tensors_max),
            tensor_bytes: Meter::new(limits.tensor_bytes_max),
            in_flight: Meter::new(limits.in_flight_max),
        }))
    }

    /// What is in use at this moment, in the form of the limits.
    #[must_use]
    pub fn used(&self) -> TenantLimits {
        let used = |meter: &Meter| meter.used.load(Ordering::Relaxed);
        TenantLimits {
            tensors_max: used(&self.0.tensors),
            tensor_bytes_max: used(&self.0.tensor_bytes),
            in_flight_max: used(&self.0.in_flight),
        }
    }

    pub(super) fn tensor(&self, bytes: u64) -> Result<[Held; 2], Fault> {
        Ok([
            shared(&self.0.tensors, 1, "tensors")?,
            shared(&self.0.tensor_bytes, bytes, "bytes of tensors")?,
        ])
    }

    pub(super) fn compute(&self) -> Result<Held, Fault> {
        shared(&self.0.in_flight, 1, "computes in flight")
    }
}

fn shared(meter: &Arc<Meter>, amount: u64, what: &str) -> Result<Held, Fault> {
    meter.take(amount).ok_or_else(|| {
        Fault::busy(format!("the tenant's guests hold too many {what} together"))
            .expected(format!("at most {}", meter.max))
            .hint("try again later")
    })
}

#[cfg(test)]
mod tests {
    use nn_tensor::Code;

    use super::*;
    use crate::limits::{GuestLimits, Quota};

    const LIMITS: TenantLimits = TenantLimits {
        tensors_max: 3,
        tensor_bytes_max: 100,
        in_flight_max: 1,
    };

    fn guest(tenant: &TenantQuota) -> Quota {
        Quota::new(&GuestLimits::default(), Some(tenant.clone()))
    }

    #[test]
    fn guests_of_one_tenant_share_its_ceilings_and_those_of_another_do_not() {
        let (tenant, other) = (TenantQuota::new(&LIMITS), TenantQuota::new(&LIMITS));
        let (one, two) = (guest(&tenant), guest(&tenant));
        let _held = (one.tensor(60).unwrap(), one.compute().unwrap());
        let refused = [two.tensor(60).map(drop), two.compute().map(drop)];
        let codes = refused.map(|refused| refused.unwrap_err().code);
        assert_eq!(codes, [Code::Busy; 2]);
        assert!(guest(&other).tensor(60).is_ok());
        assert!(two.tensor(40).is_ok());
    }

    #[test]
    fn what_is_refused_and_what_is_dropped_holds_nothing() {
        let tenant = TenantQuota::new(&LIMITS);
        let guest = guest(&tenant);
        let held = guest.tensor(60).unwrap();
        assert!(guest.tensor(60).is_err());
        assert_eq!(
            (tenant.used().tensors_max, tenant.used().tensor_bytes_max),
            (1, 60)
        );
        drop(held);
        assert_eq!(
            (tenant.used().tensors_max, tenant.used().tensor_bytes_max),
            (0, 0)
        );
    }
}
