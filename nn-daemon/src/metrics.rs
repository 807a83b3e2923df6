//! What the daemon counts and measures, for those who watch it: Prometheus' text format, by `nnctl metrics` and, where the
//! operator says so, over TCP. docs/metrics.md lists what there is.
//!
//! ```text
//! a compute ends ──▶ counts.rs (atomics of its tenant and its model)  ┐
//! a worker starts, ends ──▶ worker/starts.rs, worker/ends.rs          ├──▶ collect.rs ──▶ text.rs ──▶ scrape.rs, server/metrics.rs
//! sessions, queues, arenas, models, jails: as they are when asked     ┘
//! ```
//!
//! A label that a client or an operator chooses has a bounded number of values ([`Book`]).

mod book;
mod collect;
mod counts;
mod histogram;
#[cfg(test)]
mod page;
mod process;
mod scrape;
mod table;
mod text;

use std::sync::Arc;

use nn_tensor::{Fault, ModelName, Tenant, Version};

pub(crate) use collect::collect;
pub(crate) use counts::{OfModel, OfTenant, Spent};
pub(crate) use histogram::Histogram;
pub(crate) use process::Process;
pub(crate) use scrape::{listen, serve};

use crate::model::Model;
use book::Book;

/// Tenants with counters of their own.
const TENANTS_MAX: usize = 128;

/// Model versions with counters and gauges of their own.
const MODELS_MAX: usize = 256;

/// The label of whoever has none of its own. No tenant and no model can be called so.
const OTHERS: &str = "(other)";

/// The label of all models that guests have loaded from bytes: their names say nothing and do not end.
const GUESTS: &str = "(guests)";

/// What is counted on the way of a compute.
#[derive(Debug)]
pub(crate) struct Metrics {
    tenants: Book<Tenant, OfTenant>,
    models: Book<(ModelName, Version), OfModel>,
    guests: Arc<OfModel>,
}

// === impl Metrics ===

impl Default for Metrics {
    fn default() -> Self {
        Self {
            tenants: Book::new(TENANTS_MAX),
            models: Book::new(MODELS_MAX),
            guests: Arc::default(),
        }
    }
}

impl Metrics {
    /// Where a tenant's computes are counted, as long as it has a session.
    pub(crate) fn of_tenant(&self, tenant: &Tenant) -> Arc<OfTenant> {
        self.tenants.of(tenant)
    }

    /// Where a version's computes are counted, as long as it is there.
    pub(crate) fn of_model(&self, model: &Model) -> Arc<OfModel> {
        if model.is_guests() {
            return Arc::clone(&self.guests);
        }
        self.models.of(&(model.name.clone(), model.version))
    }

    /// A session was refused. A tenant that has none gets no counters of its own by that.
    pub(crate) fn session_refused(&self, tenant: &Tenant, fault: &Fault) {
        self.tenants.known(tenant).refused(fault);
    }
}
