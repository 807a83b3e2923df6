//! What a tenant may have of this daemon, over all its sessions and all the uids that act for it: who may act for it, which
//! models its guests may use, bounds, and its part of a model's turns. A host bounds its own guests; hosts are many, and this
//! holds for all of them together.
//!
//! ```text
//! [tenants.NAME] ──▶ Rules ──▶ Tenancy ──▶ Meter     of each tenant that has a session
//!                                 └──────▶ Denials   what was refused, told among the events, so much and no more
//! ```
//!
//! Who may act for whom is said by `uids`: while no table has any, whoever may connect acts for any tenant; once one has,
//! a tenant without is nobody's. A table that only sets bounds opens and closes nothing. Of clients over TCP, which have no
//! uid, `[kserve]` says it (`remotes.rs`).

mod bounds;
mod denials;
mod meter;
mod rate;
mod remotes;
mod rules;

pub(crate) use bounds::{Bound, Bounds};
pub(crate) use denials::Denials;
pub(crate) use meter::{Meter, Tensors, Underway};
pub(crate) use remotes::{RemoteTenants, Remotes};
pub(crate) use rules::Rules;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, Weak};

use nn_tensor::{Fault, ModelName, Reason, Tenant};

use crate::arena::Budgets;
use crate::events::Events;
use crate::limits::Limits;
use crate::peer::{Peer, Remote};

/// What `[tenants]` says.
pub(crate) type Listed = BTreeMap<Tenant, Rules>;

/// Who may have what. Clones share what they know.
#[derive(Clone, Debug)]
pub(crate) struct Tenancy(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: Limits,
    rules: RwLock<Listed>,
    remotes: Remotes,
    budgets: Budgets,
    meters: Mutex<HashMap<Tenant, Weak<Meter>>>,
    denials: Denials,
}

// === impl Tenancy ===

impl Default for Tenancy {
    /// Whoever connects acts for any tenant, within the usual bounds; nothing is told.
    fn default() -> Self {
        Self::new(&Limits::default(), Listed::new(), None)
    }
}

impl Tenancy {
    pub(crate) fn new(limits: &Limits, listed: Listed, events: Option<Arc<Events>>) -> Self {
        Self(Arc::new(Shared {
            limits: limits.clone(),
            rules: RwLock::new(listed),
            remotes: Remotes::default(),
            budgets: Budgets::new(limits.arena_bytes_per_tenant_max),
            meters: Mutex::default(),
            denials: Denials::new(events),
        }))
    }

    /// From now on it is these. Bounds hold at once; what is in use beyond them stays until it is given back.
    pub(crate) fn replace(&self, listed: Listed) {
        *self.0.rules.write().unwrap_or_else(PoisonError::into_inner) = listed;
        for meter in self.meters() {
            meter.hold_to(self.bounds(meter.tenant()));
        }
    }

    /// Whether a peer may act for a tenant.
    pub(crate) fn allow(&self, peer: Peer, tenant: &Tenant) -> Result<(), Fault> {
        if let Some(remote) = peer.remote {
            return self.allow_remote(remote, tenant);
        }
        let rules = self.rules();
        if rules::are_doors_open(&rules) || rules.get(tenant).is_some_and(|of| of.lists(peer.uid)) {
            return Ok(());
        }
        Err(Fault::of(Reason::TenantDenied).got(format!("{peer} for tenant {tenant}")))
    }

    fn allow_remote(&self, remote: Remote, tenant: &Tenant) -> Result<(), Fault> {
        let remotes = &self.0.remotes;
        let own = remotes.tenant(remote);
        if own.as_ref() == Some(tenant) {
            return Ok(());
        }
        let denied = Fault::of(Reason::TenantDenied);
        let denied = denied.got(format!("{} for tenant {tenant}", remotes.told(remote)));
        Err(match own {
            Some(own) => denied.expected(format!("tenant {own}, or no word of a tenant")),
            None => denied
                .expected("a certificate with a name of [kserve.tenants]")
                .hint("have the operator add a name of the certificate, or set kserve.tenant"),
        })
    }

    /// What `[kserve]` says.
    pub(crate) fn remotes(&self) -> &Remotes {
        &self.0.remotes
    }

    /// The one tenant that lists a peer's uid; `None` where several do, or none. Of a client over TCP the one that it has.
    pub(crate) fn only(&self, peer: Peer) -> Option<Tenant> {
        if let Some(remote) = peer.remote {
            return self.0.remotes.tenant(remote);
        }
        let rules = self.rules();
        let mut listing = rules.iter().filter(|(_, of)| of.lists(peer.uid));
        let (only, _) = listing.next()?;
        listing.next().is_none().then(|| only.clone())
    }

    /// Whether a tenant's guests may use operators' models of a name, as far as `[tenants]` says.
    pub(crate) fn may_use(&self, tenant: &Tenant, name: &ModelName) -> bool {
        let rules = self.rules();
        rules.get(tenant).is_none_or(|of| of.lets_use(name))
    }

    /// Whether a peer may act for some tenant whose guests may use models of a name. Of tenants alone that are in `only`,
    /// where there is such a list.
    pub(crate) fn may_be_used_by(
        &self,
        peer: Peer,
        name: &ModelName,
        only: Option<&BTreeSet<Tenant>>,
    ) -> bool {
        let rules = self.rules();
        let lets = |tenant: &Tenant| rules.get(tenant).is_none_or(|of| of.lets_use(name));
        if let Some(remote) = peer.remote {
            let own = self.0.remotes.tenant(remote);
            let is_for = |own: &Tenant| only.is_none_or(|only| only.contains(own));
            return own.is_some_and(|own| is_for(&own) && lets(&own));
        }
        if rules::are_doors_open(&rules) {
            // Of those that nobody has written of there is always one more.
            return only.is_none_or(|only| only.iter().any(lets));
        }
        rules.iter().any(|(tenant, of)| {
            let is_for = only.is_none_or(|only| only.contains(tenant));
            is_for && of.lists(peer.uid) && of.lets_use(name)
        })
    }

    /// A tenant's part of the turns of a model, against that of others.
    pub(crate) fn weight(&self, tenant: &Tenant) -> u32 {
        self.rules().get(tenant).map_or(1, |of| of.weight)
    }

    /// What holds for a tenant.
    pub(crate) fn bounds(&self, tenant: &Tenant) -> Bounds {
        let rules = self.rules();
        Bounds::of(&self.0.limits, rules.get(tenant))
    }

    /// What an operator sets to change a bound of a tenant.
    pub(crate) fn key(&self, tenant: &Tenant, bound: Bound) -> String {
        let rules = self.rules();
        match rules.get(tenant) {
            Some(of) if of.own.contains_key(&bound) => format!("tenants.{tenant}.{}", bound.name()),
            _ => format!("limits.{}", bound.in_limits()),
        }
    }

    /// What `[tenants]` says of one.
    pub(crate) fn listed(&self, tenant: &Tenant) -> Option<Rules> {
        self.rules().get(tenant).cloned()
    }

    /// Whether whoever may connect acts for any tenant.
    pub(crate) fn are_doors_open(&self) -> bool {
        rules::are_doors_open(&self.rules())
    }

    /// Every tenant that is listed, or has a meter.
    pub(crate) fn known(&self) -> BTreeSet<Tenant> {
        let mut known: BTreeSet<Tenant> = self.rules().keys().cloned().collect();
        known.extend(self.meters().iter().map(|meter| meter.tenant().clone()));
        known
    }

    /// The meter of a tenant: the same one for all its sessions, and gone with the last use of it.
    pub(crate) fn meter(&self, tenant: &Tenant) -> Arc<Meter> {
        let bounds = self.bounds(tenant);
        let mut meters = self.0.meters();
        if let Some(meter) = meters.get(tenant).and_then(Weak::upgrade) {
            return meter;
        }
        let budget = self.0.budgets.of(tenant);
        let meter = Arc::new(Meter::new(self, tenant.clone(), budget, bounds));
        meters.insert(tenant.clone(), Arc::downgrade(&meter));
        meter
    }

    /// The meter of a tenant that has one.
    pub(crate) fn metered(&self, tenant: &Tenant) -> Option<Arc<Meter>> {
        self.0.meters().get(tenant).and_then(Weak::upgrade)
    }

    /// Bytes of arenas in use by all tenants.
    pub(crate) fn arena_bytes(&self) -> u64 {
        self.0.budgets.used()
    }

    /// The same of each that has any.
    pub(crate) fn arena_bytes_by_tenant(&self) -> Vec<(Tenant, u64)> {
        self.0.budgets.list()
    }

    /// What is refused to peers.
    pub(crate) fn denials(&self) -> &Denials {
        &self.0.denials
    }

    fn rules(&self) -> RwLockReadGuard<'_, Listed> {
        self.0.rules.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every meter. The lock is free again: the end of a meter takes it.
    fn meters(&self) -> Vec<Arc<Meter>> {
        self.0.meters().values().filter_map(Weak::upgrade).collect()
    }

    fn downgrade(&self) -> Weak<Shared> {
        Arc::downgrade(&self.0)
    }
}

// === impl Shared ===

impl Shared {
    fn meters(&self) -> MutexGuard<'_, HashMap<Tenant, Weak<Meter>>> {
        self.meters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The meter of a tenant has ended; another may have come in its place since.
    fn forget(&self, tenant: &Tenant) {
        let mut meters = self.meters();
        if meters
            .get(tenant)
            .is_some_and(|meter| meter.strong_count() == 0)
        {
            meters.remove(tenant);
        }
    }
}

#[cfg(test)]
mod tests;
