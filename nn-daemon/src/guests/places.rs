//! How many models a tenant's guests may have loaded, and of how many bytes. A place is taken before the
//! first byte comes and given back when the model's memory is.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nn_tensor::{Fault, Reason, Tenant};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::Owner;
use crate::tenancy::{Bound, Tenancy};

/// How long a load waits for a model of the same tenant that is being unloaded.
const LEAVING_WAIT: Duration = Duration::from_secs(3);

/// The books.
#[derive(Debug)]
pub(super) struct Places {
    tenancy: Tenancy,
    tenants: Mutex<HashMap<Tenant, Used>>,
    freed: Notify,
}

#[derive(Clone, Copy, Debug, Default)]
struct Used {
    models: u32,
    bytes: u64,
    /// Models that are being unloaded, of those above.
    leaving: u32,
}

/// Room for one model, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    owner: Owner,
    bytes: u64,
    leaving: AtomicBool,
}

// === impl Places ===

impl Places {
    pub(super) fn new(tenancy: Tenancy) -> Self {
        Self {
            tenancy,
            tenants: Mutex::default(),
            freed: Notify::new(),
        }
    }

    /// A place; `busy` when there is none and none is about to be given back.
    pub(super) async fn reserve(
        self: &Arc<Self>,
        owner: &Owner,
        bytes: u64,
    ) -> Result<Place, Fault> {
        let deadline = Instant::now() + LEAVING_WAIT;
        loop {
            // Made before the look, so that no news is missed in between.
            let freed = self.freed.notified();
            let fault = match self.try_reserve(owner, bytes) {
                Ok(place) => return Ok(place),
                Err(fault) => fault,
            };
            let is_leaving = self
                .tenants()
                .get(&owner.tenant)
                .is_some_and(|used| used.leaving > 0);
            if !is_leaving || timeout_at(deadline, freed).await.is_err() {
                return Err(fault);
            }
        }
    }

    fn try_reserve(self: &Arc<Self>, owner: &Owner, bytes: u64) -> Result<Place, Fault> {
        let bounds = self.tenancy.bounds(&owner.tenant);
        let hint = |bound| {
            let key = self.tenancy.key(&owner.tenant, bound);
            format!("drop graphs that are no longer needed, or raise {key}")
        };
        let mut tenants = self.tenants();
        let used = tenants.get(&owner.tenant).copied().unwrap_or_default();
        if u64::from(used.models) >= bounds.guest_models {
            return Err(Fault::of(Reason::TenantModelsFull)
                .expected(format!("at most {} at a time", bounds.guest_models))
                .hint(hint(Bound::GuestModels)));
        }
        let bytes_max = bounds.guest_model_bytes;
        let bytes_now = used
            .bytes
            .checked_add(bytes)
            .filter(|&sum| sum <= bytes_max);
        let Some(bytes_now) = bytes_now else {
            return Err(Fault::of(Reason::TenantModelBytesFull)
                .expected(format!("at most {bytes_max} bytes in use"))
                .got(format!("{} in use and {bytes} more", used.bytes))
                .hint(hint(Bound::GuestModelBytes)));
        };
        let now = Used {
            models: used.models.saturating_add(1),
            bytes: bytes_now,
            ..used
        };
        tenants.insert(owner.tenant.clone(), now);
        Ok(Place {
            places: Arc::clone(self),
            owner: owner.clone(),
            bytes,
            leaving: AtomicBool::new(false),
        })
    }

    /// How many models the guests of a tenant have loaded, and of how many bytes.
    pub(super) fn used_by(&self, tenant: &Tenant) -> (u64, u64) {
        let used = self.tenants().get(tenant).copied().unwrap_or_default();
        (used.models.into(), used.bytes)
    }

    fn tenants(&self) -> MutexGuard<'_, HashMap<Tenant, Used>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Place ===

impl Place {
    /// Whose it is.
    pub(crate) fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Its model is being unloaded: who needs room may wait for this.
    pub(super) fn leave(&self) {
        if self.leaving.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Some(used) = self.places.tenants().get_mut(&self.owner.tenant) {
            used.leaving = used.leaving.saturating_add(1);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut tenants = self.places.tenants();
        if let Some(used) = tenants.get_mut(&self.owner.tenant) {
            used.models = used.models.saturating_sub(1);
            used.bytes = used.bytes.saturating_sub(self.bytes);
            let left = self.leaving.load(Ordering::Acquire);
            used.leaving = used.leaving.saturating_sub(u32::from(left));
            if used.models == 0 {
                tenants.remove(&self.owner.tenant);
            }
        }
        drop(tenants);
        self.places.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use nn_tensor::Code;

    use super::*;
    use crate::limits::Limits;
    use crate::tenancy::Listed;

    fn places() -> Arc<Places> {
        let limits = Limits {
            guest_models_per_tenant_max: 2,
            guest_model_bytes_per_tenant_max: 100,
            ..Limits::default()
        };
        Arc::new(Places::new(Tenancy::new(&limits, Listed::new(), None)))
    }

    fn owner_of(tenant: &str) -> Owner {
        Owner {
            uid: 7,
            tenant: tenant.parse().unwrap(),
        }
    }

    #[tokio::test]
    async fn the_place_after_the_last_is_refused_at_once_and_free_again_after_a_drop() {
        let (places, owner) = (places(), owner_of("default"));
        let first = places.reserve(&owner, 1).await.unwrap();
        let _second = places.reserve(&owner, 1).await.unwrap();
        let refused = places.reserve(&owner, 1).await.unwrap_err();
        assert_eq!(refused.code, Code::Busy);
        assert!(places.reserve(&owner_of("other"), 1).await.is_ok());
        drop(first);
        assert!(places.reserve(&owner, 1).await.is_ok());
    }

    #[tokio::test]
    async fn bytes_beyond_the_budget_are_refused_and_leave_no_trace() {
        let (places, owner) = (places(), owner_of("default"));
        let first = places.reserve(&owner, 60).await.unwrap();
        assert_eq!(
            places.reserve(&owner, 41).await.unwrap_err().code,
            Code::Busy
        );
        assert_eq!(
            places.reserve(&owner, u64::MAX).await.unwrap_err().code,
            Code::Busy
        );
        assert!(places.reserve(&owner, 40).await.is_ok());
        drop(first);
        assert!(places.tenants().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_is_being_left_is_waited_for() {
        let (places, owner) = (places(), owner_of("default"));
        let leaving = places.reserve(&owner, 100).await.unwrap();
        leaving.leave();
        let waiting = tokio::spawn({
            let (places, owner) = (Arc::clone(&places), owner.clone());
            async move { places.reserve(&owner, 100).await.map(drop) }
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(leaving);
        assert_eq!(waiting.await.unwrap(), Ok(()));
        let stays = places.reserve(&owner, 100).await.unwrap();
        stays.leave();
        assert_eq!(
            places.reserve(&owner, 1).await.unwrap_err().code,
            Code::Busy
        );
    }
}
