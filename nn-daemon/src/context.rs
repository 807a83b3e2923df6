//! What every part of the daemon shares: bounds, sessions, models, the way to new workers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use nn_sandbox::Plan;
use nn_tensor::{Fault, Id128};

use crate::config::Config;
use crate::framework::Framework;
use crate::guests::Guests;
use crate::jail::GroupsStatus;
use crate::jail::own::OwnJails;
use crate::lifecycle::policy::Policy;
use crate::lifecycle::state::State;
use crate::metrics::Process;
use crate::model::Model;
use crate::registry::Registry;
use crate::remote::Remotes;
use crate::server::tls::Certificates;
use crate::session::Sessions;
use crate::shutdown::Wish;
use crate::tenancy::Tenancy;
use crate::worker::{Ends, Worker};

/// Made once, at the start.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) config: Config,
    pub(crate) started: Instant,
    /// Where clients connect.
    pub(crate) socket: PathBuf,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) guests: Arc<Guests>,
    /// As the configuration says now; a reload changes them.
    pub(crate) tenancy: Tenancy,
    /// The jail of workers.
    pub(crate) plan: Plan,
    /// What control groups do for them.
    pub(crate) cgroups: GroupsStatus,
    /// The jails of the daemon itself and of the spawner.
    pub(crate) jails: OwnJails,
    /// How models are kept running, and which are not.
    pub(crate) policy: Policy,
    /// How workers ended.
    pub(crate) ends: Arc<Ends>,
    /// The way to remote engines, where there is one.
    pub(crate) remotes: Result<Arc<Remotes>, Fault>,
    /// What the daemon's own process takes.
    pub(crate) process: Process,
    /// What the door over TCP shows, where it is of TLS.
    pub(crate) certificates: Option<Arc<Certificates>>,
    /// True from the moment the daemon has begun to end.
    pub(crate) draining: tokio::sync::watch::Receiver<bool>,
    /// An operator's wish that it does.
    pub(crate) end: Wish,
}

impl Context {
    /// Ends a session everywhere: here, and in every worker that has mapped its arenas.
    pub(crate) fn close_session(&self, id: Id128) {
        if let Some(session) = self.sessions.close(id) {
            for worker in self.workers() {
                worker.close_session(session.id);
            }
        }
    }

    /// Every worker that serves at the moment.
    pub(crate) fn workers(&self) -> Vec<Arc<Worker>> {
        [self.registry.workers(), self.guests.workers()].concat()
    }

    /// Every model that anybody has: operators' and guests'.
    pub(crate) fn models(&self) -> Vec<Arc<Model>> {
        let registry = self.registry.list().into_iter();
        let named = registry.map(|(_, _, model)| model);
        named.chain(self.guests.list(None)).collect()
    }

    /// The frameworks of models that answer.
    pub(crate) fn frameworks_in_use(&self) -> Vec<Framework> {
        let answers = |model: &Arc<Model>| model.status.borrow().state == State::Ready;
        let models = self.models().into_iter().filter(answers);
        let used: Vec<Framework> = models.filter_map(|model| model.framework().ok()).collect();
        let all = Framework::ALL.into_iter();
        all.filter(|framework| used.contains(framework)).collect()
    }

    pub(crate) fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }
}
