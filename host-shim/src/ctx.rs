//! What a store keeps for wasi-nn: the tenant's client, the guest's quota, how long things may take.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use nn_client::{Client, Graph};
use nn_tensor::{Fault, ModelName, ModelRef, Reason, Trace};
use wasmtime::component::{HasData, ResourceTable};

use crate::limits::{GuestLimits, Quota, TenantQuota};

const TIMEOUT: Duration = Duration::from_secs(30);
const LOAD_TIMEOUT: Duration = Duration::from_secs(60);

/// The state of wasi-nn in one store, which is one guest.
#[derive(Debug)]
pub struct WasiNnCtx {
    pub(crate) client: Client,
    pub(crate) quota: Quota,
    pub(crate) timeout: Duration,
    pub(crate) load_timeout: Duration,
    pub(crate) trace: Option<Trace>,
    models: Option<Arc<BTreeSet<ModelName>>>,
    /// The graph that the guest loaded last: its next tensors are probably for it.
    pub(crate) last_graph: Weak<Graph>,
}

/// Makes a [`WasiNnCtx`].
#[derive(Clone, Debug)]
pub struct WasiNnCtxBuilder {
    client: Client,
    limits: GuestLimits,
    tenant: Option<TenantQuota>,
    timeout: Duration,
    load_timeout: Duration,
    trace: Option<Trace>,
    models: Option<Arc<BTreeSet<ModelName>>>,
}

/// A [`WasiNnCtx`] and the table its resources live in, borrowed from a store's state.
#[derive(Debug)]
pub struct WasiNnCtxView<'a> {
    /// The state of wasi-nn.
    pub ctx: &'a mut WasiNnCtx,
    /// The store's resources; may be shared with WASI.
    pub table: &'a mut ResourceTable,
}

/// Implemented by the state of a store whose guests use wasi-nn.
pub trait WasiNnView: Send {
    /// Where it keeps the state of wasi-nn.
    fn nn(&mut self) -> WasiNnCtxView<'_>;
}

/// Ties the generated traits to [`WasiNnCtxView`].
pub(crate) struct HasNn;

impl HasData for HasNn {
    type Data<'a> = WasiNnCtxView<'a>;
}

// === impl WasiNnCtx ===

impl WasiNnCtx {
    /// A guest of the client's tenant, with the default limits.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self::builder(client).build()
    }

    /// The same with limits of your own.
    #[must_use]
    pub fn builder(client: Client) -> WasiNnCtxBuilder {
        WasiNnCtxBuilder {
            client,
            limits: GuestLimits::default(),
            tenant: None,
            timeout: TIMEOUT,
            load_timeout: LOAD_TIMEOUT,
            trace: None,
            models: None,
        }
    }

    /// Refuses a name that this guest may not use, as the daemon refuses one that there is not. A malformed one passes:
    /// whoever reads it next says what is wrong with it.
    pub(crate) fn may_find(&self, name: &str) -> Result<(), Fault> {
        let Some(models) = &self.models else {
            return Ok(());
        };
        match name.parse::<ModelRef>() {
            Ok(reference) if !models.contains(&reference.name) => {
                Err(Fault::of(Reason::ModelUnknown)
                    .message(format!("there is no model {reference}")))
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }

    pub(crate) fn last_graph(&self) -> Option<Arc<Graph>> {
        self.last_graph.upgrade()
    }
}

// === impl WasiNnCtxBuilder ===

impl WasiNnCtxBuilder {
    /// What the guest may hold.
    #[must_use]
    pub fn limits(mut self, limits: GuestLimits) -> Self {
        self.limits = limits;
        self
    }

    /// What all guests of its tenant may hold together, this one included.
    #[must_use]
    pub fn tenant_quota(mut self, quota: TenantQuota) -> Self {
        self.tenant = Some(quota);
        self
    }

    /// The models that the guest may use by name; all that its tenant may use unless set. For others it is told what
    /// it would be told if there were no such model.
    #[must_use]
    pub fn models(mut self, models: Arc<BTreeSet<ModelName>>) -> Self {
        self.models = Some(models);
        self
    }

    /// What the daemon's log is to call the guest's computes by: the id of the request that it serves, say.
    #[must_use]
    pub fn trace(mut self, trace: Trace) -> Self {
        self.trace = Some(trace);
        self
    }

    /// How long one compute may take; 30 s unless set. The daemon may cut it shorter.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long one `load` or `load-by-name` may take; 60 s unless set.
    #[must_use]
    pub fn load_timeout(mut self, timeout: Duration) -> Self {
        self.load_timeout = timeout;
        self
    }

    /// The context.
    #[must_use]
    pub fn build(self) -> WasiNnCtx {
        WasiNnCtx {
            client: self.client,
            quota: Quota::new(&self.limits, self.tenant),
            timeout: self.timeout,
            load_timeout: self.load_timeout,
            trace: self.trace,
            models: self.models,
            last_graph: Weak::new(),
        }
    }
}
