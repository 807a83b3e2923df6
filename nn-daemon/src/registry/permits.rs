//! Which models are there for whom: by the tenants in a model's model.toml, and by the models in `[tenants.NAME]`. What is
//! not for a tenant is not there, and what it holds of it ends when that changes.

use std::collections::BTreeSet;
use std::sync::Arc;

use nn_catalogue::Found;
use nn_tensor::{Fault, ModelName, ModelRef, Tenant};

use super::{Registry, unknown};
use crate::model::{Model, Source};
use crate::peer::Peer;

impl Registry {
    /// Whether a model is there for a tenant.
    pub(crate) fn is_for(&self, tenant: &Tenant, model: &Model) -> bool {
        model.access.allows(tenant) && self.tenancy.may_use(tenant, &model.name)
    }

    /// Fails where a model is not there for a tenant, in the words for one that is not there at all. That it was
    /// asked for is told among the events.
    pub(super) fn permit(
        &self,
        (peer, tenant): (Peer, &Tenant),
        reference: &ModelRef,
        model: &Model,
    ) -> Result<(), Fault> {
        if self.is_for(tenant, model) {
            return Ok(());
        }
        let why = "the model is not for this tenant";
        let denials = self.tenancy.denials();
        denials.tell_of(peer, Some(tenant), &model.id(), why);
        Err(unknown(reference))
    }

    /// The model that a reference means for a tenant: what is not for it is not there.
    pub(crate) fn find_for(
        &self,
        reference: &ModelRef,
        who: (Peer, &Tenant),
    ) -> Result<Arc<Model>, Fault> {
        let model = self.find(reference)?;
        self.permit(who, reference, &model)?;
        Ok(model)
    }

    /// Ends what sessions hold of models that are no longer for their tenants, and tells their clients; gives how many
    /// graphs. What is in flight in these goes on to its end, which its deadline bounds.
    pub(crate) fn end_denied(&self) -> usize {
        let mut ended: usize = 0;
        for session in self.sessions.all() {
            let names =
                session.end_denied(|tenant, model| self.is_for(tenant, model), &self.limits);
            ended = ended.saturating_add(names.len());
            let names: BTreeSet<ModelName> = names.into_iter().collect();
            for name in names {
                session.models_changed(name.as_str());
            }
        }
        ended
    }

    /// Takes up the tenants that a repository names now for a version that is known; gives its name if they are others.
    pub(super) fn take_access(&self, found: &Found) -> Option<ModelName> {
        let model = {
            let names = self.names();
            let entry = names.get(&found.name)?;
            Arc::clone(entry.versions.get(&found.version)?)
        };
        let is_of_repository = matches!(model.source, Source::Repository);
        let tenants = found.manifest.tenants.as_ref();
        let has_changed = is_of_repository && model.access.replace(tenants);
        has_changed.then(|| found.name.clone())
    }
}
