//! All that is served at a time: routes, the programs and tenants behind them, and the places of the process. A reload
//! makes a new one, from the parts of the old one that stay as they are; requests go on in the one that they began in.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use nn_client::Client;
use nn_tensor::{ModelRef, Tenant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::exit::Failure;
use crate::serve::config::{self, Config};
use crate::serve::file::{HostLimits, RequestLimits};
use crate::serve::present::{Gate, Present};
use crate::serve::program::{Program, Source};
use crate::serve::refusal::Refusal;
use crate::serve::route::Table;
use crate::serve::tenant::{Account, Share};

/// One client for each tenant, for as long as the process lives: what it knows of models outlives a reload.
#[derive(Debug)]
pub(super) struct Clients {
    socket: PathBuf,
    of: Mutex<BTreeMap<Tenant, Client>>,
}

/// What is served.
pub(super) struct Site {
    pub(super) limits: HostLimits,
    places: Arc<Semaphore>,
    routes: Table<Arc<Route>>,
}

/// Where requests lead to.
pub(super) struct Route {
    /// For people.
    pub(super) name: String,
    pub(super) program: Arc<Program>,
    pub(super) account: Arc<Account>,
    pub(super) models: Vec<ModelRef>,
    pub(super) env: Vec<(String, String)>,
    pub(super) limits: RequestLimits,
}

/// One request's place among those at a time. It goes with the guest, not with the answer.
#[derive(Debug)]
pub(super) struct Place {
    _host: OwnedSemaphorePermit,
    _share: Share,
    _present: Present,
}

/// What is found again of what was there before.
struct Parts<'a> {
    old: Option<&'a Site>,
    programs: Vec<Arc<Program>>,
    accounts: BTreeMap<Tenant, Arc<Account>>,
}

// === impl Clients ===

impl Clients {
    pub(super) fn new(socket: PathBuf) -> Self {
        Self {
            socket,
            of: Mutex::default(),
        }
    }

    pub(super) fn of(&self, tenant: &Tenant) -> Client {
        let mut clients = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Client::new(self.socket.clone(), tenant.clone());
        clients.entry(tenant.clone()).or_insert_with(new).clone()
    }

    /// Lets go of those whose tenants no route names any more; requests in flight have their own.
    pub(super) fn keep_only(&self, site: &Site) {
        let named = |tenant: &Tenant| site.routes().any(|route| route.account.tenant == *tenant);
        let mut clients = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        clients.retain(|tenant, _| named(tenant));
    }
}

// === impl Site ===

impl Site {
    /// Compiles what is new. Fails where a component is not there, or is none.
    pub(super) async fn build(
        config: &Config,
        clients: &Clients,
        old: Option<&Self>,
    ) -> Result<Self, Failure> {
        let requests_max = config.limits.requests_max;
        let places = old.filter(|old| old.limits.requests_max == requests_max);
        let places = places.map(|old| Arc::clone(&old.places));
        let mut parts = Parts {
            old,
            programs: Vec::new(),
            accounts: BTreeMap::new(),
        };
        let mut routes = Vec::with_capacity(config.routes.len());
        for route in &config.routes {
            let program = parts.program(config, route).await?;
            let account = parts.account(config, clients, &route.tenant);
            let made = Route {
                name: route.pattern.to_string(),
                program,
                account,
                models: route.models.clone(),
                env: route.env.clone(),
                limits: route.limits,
            };
            routes.push((route.pattern.clone(), Arc::new(made)));
        }
        Ok(Self {
            limits: config.limits,
            places: places.unwrap_or_else(|| Arc::new(Semaphore::new(requests_max))),
            routes: Table::new(routes),
        })
    }

    pub(super) fn route(&self, host: &str, path: &str) -> Option<&Arc<Route>> {
        self.routes.find(host, path)
    }

    pub(super) fn routes(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.all()
    }

    /// A place for a request of a route, if there is room for one of its tenant's, and for one at all.
    pub(super) fn admit(&self, route: &Route, gate: &Gate) -> Result<Place, Refusal> {
        let share = route.account.admit()?;
        let host = Arc::clone(&self.places).try_acquire_owned();
        Ok(Place {
            _host: host.map_err(|_| Refusal::Busy)?,
            _share: share,
            _present: gate.enter(),
        })
    }
}

// === impl Parts ===

impl Parts<'_> {
    async fn program(
        &mut self,
        config: &Config,
        route: &config::Route,
    ) -> Result<Arc<Program>, Failure> {
        let instances_max = config.limits.requests_max;
        let source = Source::read(&route.component)?;
        let old = self.old.into_iter().flat_map(Site::routes);
        let mut known = self.programs.iter().chain(old.map(|route| &route.program));
        if let Some(program) = known.find(|program| program.is_of(&source, instances_max)) {
            return Ok(Arc::clone(program));
        }
        let program = Program::make(source, config.cache.clone(), instances_max).await?;
        let program = Arc::new(program);
        self.programs.push(Arc::clone(&program));
        Ok(program)
    }

    fn account(&mut self, config: &Config, clients: &Clients, tenant: &Tenant) -> Arc<Account> {
        if let Some(account) = self.accounts.get(tenant) {
            return Arc::clone(account);
        }
        let rules = config.tenants.get(tenant).cloned().unwrap_or_default();
        let mut old = self.old.into_iter().flat_map(Site::routes);
        let same = |account: &Account| account.tenant == *tenant && account.is_under(&rules);
        let account = match old.find(|route| same(&route.account)) {
            Some(route) => Arc::clone(&route.account),
            None => Arc::new(Account::new(tenant.clone(), clients.of(tenant), rules)),
        };
        self.accounts.insert(tenant.clone(), Arc::clone(&account));
        account
    }
}
