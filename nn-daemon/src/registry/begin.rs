//! What is loaded at the start: what names mean, as far as there is room. In a fixed order, the pinned ones first, so that
//! none rests again for another and two starts do the same; what is left is loaded by its first use.

use std::collections::BTreeSet;
use std::sync::Arc;

use nn_catalogue::Pointers;
use nn_tensor::{Code, Fault, ModelName, Version};

use super::Registry;
use crate::events::{Kind, Told};
use crate::model::{Claim, Model, Source};

impl Registry {
    /// Begins to load current versions. `firsts` are names of repositories that have had none before: theirs is the
    /// highest that answers.
    pub(super) fn begin(self: &Arc<Self>, firsts: &BTreeSet<ModelName>) {
        let Ok(startup) = &self.startup else { return };
        let current = self.list().into_iter().filter(|(_, current, _)| *current);
        let mut current: Vec<Arc<Model>> = current.map(|(_, _, model)| model).collect();
        current.sort_by_key(|model| !self.is_pinned(&model.name));
        let admission = &startup.policy.admission;
        let (mut places, mut left) = (Vec::new(), Vec::new());
        current.retain(|model| match admission.admit(model.active().need()) {
            Ok(place) => {
                places.push(place);
                true
            }
            Err(_) => {
                left.push(model.id());
                false
            }
        });
        // Each task takes its own again: none runs before this returns.
        drop(places);
        if !left.is_empty() {
            tracing::info!(
                "there is no room for all models; loaded by their first use: {}",
                left.join(", ")
            );
        }
        for model in current {
            if firsts.contains(&model.name) {
                tokio::spawn(Arc::clone(self).settle_first(model));
            } else {
                let _ = self.start(&model);
            }
        }
    }

    fn is_pinned(&self, name: &ModelName) -> bool {
        let names = self.names();
        let entry = names.get(name);
        entry.is_some_and(|entry| entry.pointers.is_pinned())
    }

    /// Loads the highest version of a name, which callers wait for meanwhile, and notes that the name means it; where it
    /// does not answer, the next one that does.
    async fn settle_first(self: Arc<Self>, highest: Arc<Model>) {
        let name = highest.name.clone();
        let mut candidates: Vec<Arc<Model>> = {
            let names = self.names();
            let versions = names.get(&name).into_iter().flat_map(|of| &of.versions);
            versions.map(|(_, model)| Arc::clone(model)).collect()
        };
        candidates.retain(|model| {
            model.version <= highest.version && matches!(model.source, Source::Repository)
        });
        while let Some(model) = candidates.pop() {
            let fault = match self.warm(&model).await {
                Ok(warm) => return self.settle_on(&warm, highest.version).await,
                Err(fault) => fault,
            };
            // What finds no room now is not worse than another.
            if *model.unload.borrow() || fault.code == Code::Busy {
                return;
            }
            self.leave_out(&name, model.version, &fault.to_string());
        }
    }

    /// Has a name mean a version that answers, in place of the one that was expected to.
    async fn settle_on(self: &Arc<Self>, warm: &Claim, expected: Version) {
        let (model, version) = (Arc::clone(warm.model()), warm.model().version);
        let change = move |pointers: &mut Pointers| {
            if pointers.current() == Some(expected) && version != expected {
                let placements = pointers.placements().clone();
                *pointers = Pointers::kept(
                    Some(version),
                    pointers.previous().to_vec(),
                    pointers.highest(),
                    pointers.aliases().clone(),
                    pointers.is_pinned(),
                );
                for (version, placement) in placements {
                    pointers.place(version, placement);
                }
            }
            Ok::<_, Fault>(())
        };
        let told = move |registry: &Self| {
            if registry.standing(&model).current {
                registry.tell(Told::new(Kind::Promoted).of(model.id()), None);
            }
        };
        if let Err(fault) = self
            .point(&warm.model().name, Some(version), change, told)
            .await
        {
            tracing::warn!(model = %warm.model().id(), "its name means it until the end of this daemon only: {fault}");
        }
    }
}
