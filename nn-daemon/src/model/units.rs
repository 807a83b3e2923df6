//! A version's tenants, where each has a worker of its own (`workers.isolation = "tenant"`): to each a unit, which is
//! a model like any other (a queue, a task, a worker, a state) over the same sealed bytes. It is made when its tenant
//! first asks, and goes with the version, or when nobody of the tenant has used it for a while.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use nn_tensor::{Fault, Reason, Tenant};
use tokio::time::Instant;

use super::{Model, Source};
use crate::lifecycle::policy::Isolation;
use crate::limits::Limits;
use crate::quarantine::Whose;
use crate::worker::Worker;

/// Those of one version.
#[derive(Debug, Default)]
pub(super) struct Units(Mutex<BTreeMap<Tenant, Unit>>);

#[derive(Debug)]
struct Unit {
    model: Arc<Model>,
    /// When its tenant last asked for it.
    asked: Instant,
}

impl Units {
    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<Tenant, Unit>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Model {
    /// Whether it is one tenant's share of a version.
    pub(crate) fn is_unit(&self) -> bool {
        matches!(self.whose, Whose::Tenant(_))
    }

    /// Whether a guest has loaded it.
    pub(crate) fn is_guests(&self) -> bool {
        matches!(self.whose, Whose::Guest(_))
    }

    /// Whether it has units, and no worker that serves.
    pub(crate) fn is_split(&self, isolation: Isolation) -> bool {
        isolation == Isolation::Tenant && self.whose == Whose::All
    }

    /// The spare that goes when this goes: units share their version's.
    pub(crate) fn own_spare(&self) -> Option<Arc<Worker>> {
        self.spare.worker().filter(|_| !self.is_unit())
    }

    /// The unit of a tenant, which has asked for it now.
    pub(crate) fn unit_of(&self, tenant: &Tenant, limits: &Limits) -> Result<Arc<Self>, Fault> {
        self.units.with(|units| {
            // Under the lock: once the version is being unloaded no unit is made.
            if *self.unload.borrow() {
                return Err(Fault::of(Reason::ModelUnloaded));
            }
            if let Some(unit) = units.get_mut(tenant) {
                unit.asked = Instant::now();
                return Ok(Arc::clone(&unit.model));
            }
            let max = usize::try_from(limits.workers_max).unwrap_or(usize::MAX);
            if units.len() >= max {
                return Err(Fault::of(Reason::TenantWorkersFull).expected(format!("at most {max}")));
            }
            let queue_max = self.manifest.queue_max;
            let queue_max = queue_max.unwrap_or(limits.queue_per_model_max);
            let model = Arc::new(self.share(tenant, queue_max));
            let unit = Unit {
                model: Arc::clone(&model),
                asked: Instant::now(),
            };
            units.insert(tenant.clone(), unit);
            Ok(model)
        })
    }

    fn share(&self, tenant: &Tenant, queue_max: u32) -> Self {
        let source = match &self.source {
            Source::Repository => Source::Repository,
            // Guests' models are never shared.
            Source::Uploaded | Source::Guest(_) => Source::Uploaded,
        };
        let artifact = Arc::clone(&self.artifact);
        let share = Self::new(self.name.clone(), self.version, source, artifact, queue_max);
        Self {
            whose: Whose::Tenant(tenant.clone()),
            manifest: Arc::clone(&self.manifest),
            access: self.access.clone(),
            placed: Arc::clone(&self.placed),
            events: self.events.clone(),
            spare: Arc::clone(&self.spare),
            log: Arc::clone(&self.log),
            latencies: Arc::clone(&self.latencies),
            totals: Arc::clone(&self.totals),
            ..share
        }
    }

    /// Every unit there is, by tenant.
    pub(crate) fn units(&self) -> Vec<Arc<Self>> {
        let all = |units: &mut BTreeMap<Tenant, Unit>| {
            let models = units.values().map(|unit| Arc::clone(&unit.model));
            models.collect()
        };
        self.units.with(all)
    }

    /// Has it end, and its units; gives these.
    pub(crate) fn unload(&self) -> Vec<Arc<Self>> {
        self.unload_sides();
        let units = self.units();
        for unit in &units {
            unit.unload_sides();
        }
        units
    }

    fn unload_sides(&self) {
        self.unload.send_replace(true);
        if let Some(remote) = self.remote() {
            remote.unload.send_replace(true);
        }
    }

    /// Unloads the units that nobody uses and nobody has asked for in a while. What was counted of them stays.
    pub(crate) fn retire(&self, is_used: impl Fn(&Arc<Self>) -> bool, limits: &Limits) {
        let idle = limits.tenant_worker_idle();
        let is_idle = |_: &Tenant, unit: &mut Unit| {
            let loading = unit.model.active().status.borrow().state.is_coming();
            !loading && unit.asked.elapsed() > idle && !is_used(&unit.model)
        };
        let idle: Vec<Unit> = self.units.with(|units| {
            units
                .extract_if(.., is_idle)
                .map(|(_, unit)| unit)
                .collect()
        });
        for Unit { model, .. } in idle {
            model.unload_sides();
        }
    }

    /// How many serve beyond the least that its operator wants.
    pub(crate) fn extra_instances(&self) -> usize {
        let least = self.instances().min;
        let extra = self.pool.len().saturating_sub(least);
        usize::try_from(extra).unwrap_or(usize::MAX)
    }

    /// Its workers that serve, its units' among them.
    pub(crate) fn workers(&self) -> Vec<Arc<Worker>> {
        let units = self.units();
        let theirs = units.iter().flat_map(|unit| unit.own_workers());
        self.own_workers().into_iter().chain(theirs).collect()
    }

    /// Those of this side, its units' among them.
    pub(crate) fn side_workers(&self) -> Vec<Arc<Worker>> {
        let units = self.units();
        let theirs = units.iter().flat_map(|unit| unit.pool.workers());
        self.pool.workers().into_iter().chain(theirs).collect()
    }

    /// Those of both its sides, without its units'.
    pub(crate) fn own_workers(&self) -> Vec<Arc<Worker>> {
        let remote = self.remote().map(|remote| remote.pool.workers());
        [self.pool.workers(), remote.unwrap_or_default()].concat()
    }
}
