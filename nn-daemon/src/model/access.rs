//! Which tenants a version is for, by its model.toml as it was read last. Its units know the same.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use nn_tensor::Tenant;

/// Clones share what they know; none named is all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Access(Arc<RwLock<Option<BTreeSet<Tenant>>>>);

impl Access {
    pub(super) fn new(tenants: Option<BTreeSet<Tenant>>) -> Self {
        Self(Arc::new(RwLock::new(tenants)))
    }

    /// From now on it is these; false if they were these before.
    pub(crate) fn replace(&self, tenants: Option<&BTreeSet<Tenant>>) -> bool {
        let mut now = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if now.as_ref() == tenants {
            return false;
        }
        *now = tenants.cloned();
        true
    }

    pub(crate) fn allows(&self, tenant: &Tenant) -> bool {
        let tenants = self.0.read().unwrap_or_else(PoisonError::into_inner);
        tenants.as_ref().is_none_or(|all| all.contains(tenant))
    }

    /// Those that it is for alone, if it is not for all.
    pub(crate) fn tenants(&self) -> Option<BTreeSet<Tenant>> {
        let tenants = self.0.read().unwrap_or_else(PoisonError::into_inner);
        tenants.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_replaced_is_replaced_for_all_that_share_it() {
        let (one, other): (Tenant, Tenant) = ("one".parse().unwrap(), "other".parse().unwrap());
        let access = Access::default();
        let shared = access.clone();
        assert!(shared.allows(&one) && shared.tenants().is_none());
        let only = BTreeSet::from([one.clone()]);
        assert!(access.replace(Some(&only)));
        assert!(!access.replace(Some(&only)));
        assert!(shared.allows(&one) && !shared.allows(&other));
    }
}
