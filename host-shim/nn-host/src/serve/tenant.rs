//! What one tenant's requests take together, whatever routes they come by: places, a rate, tensors, computes. Beyond its
//! own bounds a tenant is told 429; the others do not notice.

use std::sync::{Arc, Mutex, PoisonError};

use nn_client::Client;
use nn_host_shim::TenantQuota;
use nn_tensor::{ModelName, Tenant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::serve::file::TenantRules;
use crate::serve::refusal::Refusal;

/// A tenant, its client, and its meters.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) tenant: Tenant,
    pub(super) client: Client,
    pub(super) quota: TenantQuota,
    pub(super) models: Option<Arc<std::collections::BTreeSet<ModelName>>>,
    rules: TenantRules,
    places: Option<Arc<Semaphore>>,
    rate: Option<Mutex<Rate>>,
}

/// So many requests a second, and as many at once after a second without any.
#[derive(Debug)]
struct Rate {
    per_second: f64,
    left: f64,
    at: Instant,
}

/// One request's share of a tenant's bounds.
#[derive(Debug)]
pub(super) struct Share {
    _place: Option<OwnedSemaphorePermit>,
}

// === impl Account ===

impl Account {
    pub(super) fn new(tenant: Tenant, client: Client, rules: TenantRules) -> Self {
        Self {
            tenant,
            client,
            quota: TenantQuota::new(&rules.quota),
            models: rules.models.clone().map(Arc::new),
            places: rules.requests_max.map(|max| Arc::new(Semaphore::new(max))),
            rate: rules
                .requests_per_second_max
                .map(|rate| Mutex::new(Rate::new(rate))),
            rules,
        }
    }

    /// Whether it is bound by the same rules.
    pub(super) fn is_under(&self, rules: &TenantRules) -> bool {
        self.rules == *rules
    }

    /// A place for a request, and one less of what this second has.
    pub(super) fn admit(&self) -> Result<Share, Refusal> {
        let place = self.places.as_ref().map(|places| {
            let place = Arc::clone(places).try_acquire_owned();
            place.map_err(|_| Refusal::TenantBusy)
        });
        let place = place.transpose()?;
        if let Some(rate) = &self.rate {
            let mut rate = rate.lock().unwrap_or_else(PoisonError::into_inner);
            rate.take(Instant::now())?;
        }
        Ok(Share { _place: place })
    }
}

// === impl Rate ===

impl Rate {
    fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second);
        Self {
            per_second,
            left: per_second,
            at: Instant::now(),
        }
    }

    fn take(&mut self, now: Instant) -> Result<(), Refusal> {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + since * self.per_second).min(self.per_second);
        self.at = now;
        if self.left >= 1.0 {
            self.left -= 1.0;
            return Ok(());
        }
        // The next is there within a second: no rate is below one.
        Err(Refusal::TenantRate)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn account(rules: TenantRules) -> Account {
        let client = Client::new("/nowhere".into(), Tenant::default());
        Account::new(Tenant::default(), client, rules)
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_has_so_many_requests_and_none_are_saved_for_later() {
        let account = account(TenantRules {
            requests_per_second_max: Some(3),
            ..TenantRules::default()
        });
        tokio::time::advance(Duration::from_secs(60)).await;
        let admitted = || (0..10).filter(|_| account.admit().is_ok()).count();
        assert_eq!(admitted(), 3);
        assert_eq!(account.admit().unwrap_err(), Refusal::TenantRate);
        tokio::time::advance(Duration::from_millis(700)).await;
        assert_eq!(admitted(), 2);
    }

    #[test]
    fn a_place_is_free_again_when_its_request_is_over() {
        let account = account(TenantRules {
            requests_max: Some(1),
            ..TenantRules::default()
        });
        let share = account.admit().unwrap();
        assert_eq!(account.admit().unwrap_err(), Refusal::TenantBusy);
        drop(share);
        assert!(account.admit().is_ok());
    }
}
