//! Whose worker computes: all tenants' one, or the tenant's own unit of the version.

use std::sync::Arc;

use nn_tensor::{Fault, ModelRef, Selector, Tenant};

use super::Registry;
use crate::lifecycle::policy::Policy;
use crate::lifecycle::state::State;
use crate::model::Model;
use crate::peer::Peer;
use crate::worker::Worker;

impl Registry {
    /// What computes a reference for a tenant, loaded: what is not loaded yet is, within bounds.
    pub(crate) async fn resolve_for(
        &self,
        reference: &ModelRef,
        who: (Peer, &Tenant),
    ) -> Result<Arc<Model>, Fault> {
        let version = self.find_for(reference, who)?;
        self.start(&version)?;
        version.usable(self.limits.load_wait_max()).await?;
        let startup = self.startup.as_ref().map_err(Clone::clone)?;
        if version.is_split(startup.policy.isolation) {
            let unit = version.unit_of(who.1, &self.limits)?;
            self.start(&unit)?;
            unit.usable(self.limits.load_wait_max()).await?;
        }
        // It may have been taken from the tenant meanwhile.
        self.permit(who, reference, &version)?;
        if !version.is_split(startup.policy.isolation) {
            return Ok(version);
        }
        // Its load may have taken longer than it may be idle.
        version.unit_of(who.1, &self.limits)
    }

    /// Every worker that waits beside others.
    pub(crate) fn spares(&self) -> Vec<Arc<Worker>> {
        let all = self.list().into_iter();
        all.filter_map(|(_, _, model)| model.own_spare()).collect()
    }

    /// How many versions that answer are to have one that waits, and have none.
    pub(crate) fn spares_missing(&self, policy: &Policy) -> usize {
        if !policy.warm_spare {
            return 0;
        }
        // Beside relays none waits.
        let answers = |model: &Model| model.status.borrow().state == State::Ready;
        let all = self.list().into_iter();
        all.filter(|(_, _, model)| answers(model) && model.own_spare().is_none())
            .count()
    }

    /// Ends tenants' own workers that nobody has used for a while.
    pub(crate) fn retire_idle(&self) {
        let sessions = self.sessions.all();
        let is_used = |unit: &Arc<Model>| sessions.iter().any(|session| session.uses(unit));
        for (_, _, model) in self.list() {
            model.retire(is_used, &self.limits);
        }
    }

    /// The digests of the versions that a reference means: NAME is every version, as for `unload`.
    pub(crate) fn digests(&self, reference: &ModelRef) -> Vec<[u8; 32]> {
        let alias = matches!(reference.selector, Selector::Alias(_)).then(|| self.find(reference));
        let means = |model: &Model| match reference.selector {
            Selector::Current => model.name == reference.name,
            Selector::Version(version) => model.name == reference.name && model.version == version,
            Selector::Alias(_) => matches!(&alias, Some(Ok(of)) if of.id() == model.id()),
        };
        let all = self.list().into_iter().map(|(_, _, model)| model);
        all.filter(|model| means(model))
            .map(|model| model.artifact.sha256)
            .collect()
    }
}
