//! Versions taken out of service: from the table, from the state directory, and from whoever holds them.

use std::sync::Arc;
use std::time::Duration;

use nn_catalogue::Pointers;
use nn_tensor::{Fault, ModelName, ModelRef, Selector, Version};
use tokio::time::timeout;

use super::{Entry, Registry, unknown};
use crate::events::{Kind, Told};
use crate::model::{Claim, Model, Source};
use crate::peer::Peer;
use crate::session::Why;

/// How long an unload waits for the version that a pinned name means afterwards; its load goes on.
const SUCCESSOR_MAX: Duration = Duration::from_secs(20);

impl Registry {
    /// Unloads one version, or all of a name. Uploaded bytes go; those of a repository are left out
    /// until the daemon starts anew.
    pub(crate) async fn unload(
        &self,
        reference: &ModelRef,
        by: Option<Peer>,
    ) -> Result<Vec<Arc<Model>>, Fault> {
        let models = match &reference.selector {
            Selector::Version(_) => vec![self.find(reference)?],
            Selector::Current => {
                let names = self.names();
                let entry = names
                    .get(&reference.name)
                    .filter(|entry| !entry.versions.is_empty());
                entry
                    .ok_or_else(|| unknown(reference))?
                    .versions
                    .values()
                    .cloned()
                    .collect()
            }
            Selector::Alias(_) => {
                return Err(Fault::invalid_argument("an alias cannot be unloaded")
                    .expected("NAME or NAME@VERSION")
                    .got(reference.to_string()));
            }
        };
        let _successor = match models.as_slice() {
            [one] => self.successor(one).await,
            _ => None,
        };
        let mut discarded = Ok(());
        for model in &models {
            discarded = discarded.and(self.discard(model, by).await);
        }
        discarded.map(|()| models)
    }

    /// Takes a model away. Fails where the state directory cannot be changed: then it is back with the next start.
    pub(crate) async fn discard(&self, model: &Arc<Model>, by: Option<Peer>) -> Result<(), Fault> {
        let _turn = self.pointing.lock().await;
        let pointers = self.remove(model);
        let units = model.unload();
        self.tell(Told::new(Kind::Unloaded).of(model.id()), by);
        for session in self.sessions.all() {
            for gone in units.iter().chain([model]) {
                session.forget(gone, Why::Unloaded);
            }
        }
        self.announce_without(&model.name, Some(model));
        self.keep_pin(&model.name);
        if let Ok(startup) = &self.startup {
            startup.policy.prepared.forget(model).await;
        }
        if !matches!(model.source, Source::Uploaded) {
            return Ok(());
        }
        let (name, version) = (model.name.clone(), model.version);
        let forgotten = self.stored(move |store| store.forget(&name, version, &pointers));
        let retired = forgotten.await.map_err(|fault| {
            fault.hint("it is unloaded, and will be back with the next start: make room in the state directory and load and unload it again")
        })?;
        self.names()
            .retain(|name, entry| !entry.versions.is_empty() || !retired.contains(name));
        Ok(())
    }

    /// What a pinned name means once this version has gone, loaded: the name is to be served all the while. Where there is
    /// no room for both, it is loaded when this one has made some.
    async fn successor(&self, model: &Arc<Model>) -> Option<Claim> {
        let next = {
            let names = self.names();
            let entry = names.get(&model.name)?;
            let is_current = entry.pointers.current() == Some(model.version);
            if !is_current || !entry.pointers.is_pinned() {
                return None;
            }
            let mut trial = entry.pointers.clone();
            let left = |version: Version| {
                version != model.version && entry.versions.contains_key(&version)
            };
            let highest = entry.versions.keys().copied().filter(|&v| left(v)).max();
            trial.remove(model.version, left, highest);
            Arc::clone(entry.versions.get(&trial.current()?)?)
        };
        let loaded = timeout(SUCCESSOR_MAX, self.warm(&next)).await;
        loaded.ok()?.ok()
    }

    /// Begins to load what a pinned name means, if it rests.
    pub(super) fn keep_pin(&self, name: &ModelName) {
        let current = {
            let names = self.names();
            let entry = names.get(name).filter(|entry| entry.pointers.is_pinned());
            entry.and_then(|entry| entry.versions.get(&entry.pointers.current()?).cloned())
        };
        if let Some(current) = current {
            // Without a framework nothing can be loaded, and that is known.
            let _ = self.start(&current);
        }
    }

    /// Gives what its name means from now on.
    pub(super) fn remove(&self, model: &Arc<Model>) -> Pointers {
        let mut names = self.names();
        let Some(entry) = names.get_mut(&model.name) else {
            return Pointers::default();
        };
        let Entry { pointers, versions } = entry;
        versions.remove(&model.version);
        let highest = versions.last_key_value().map(|(&version, _)| version);
        let is_left = |version| versions.contains_key(&version);
        pointers.remove(model.version, is_left, highest);
        entry.pin();
        entry.pointers.clone()
    }
}
