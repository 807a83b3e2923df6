//! Name and version → model: the sole owner of the map. Everything else asks here.

mod artifact;
mod pointing;
mod rescan;
mod rest;
mod restore;
mod stored;
mod units;

pub(crate) use artifact::{Upload, digest, hex};
pub(crate) use nn_catalogue::{StoreError, replace};
pub(crate) use nn_vet::known_format as check_format;
pub(crate) use pointing::Landing;
pub(crate) use stored::not_stored;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nn_catalogue::{Digest, Manifest, Pointers, Store};
use nn_tensor::{Alias, Fault, ModelName, ModelRef, Selector, Tenant, Version};

use crate::events::{Events, Kind, Told};
use crate::lifecycle::ensure_started;
use crate::limits::Limits;
use crate::model::{Artifact, Model, Source};
use crate::peer::Peer;
use crate::session::Sessions;
use crate::worker::{Startup, Worker};
use stored::keep;

/// All models of this daemon.
#[derive(Debug)]
pub(crate) struct Registry {
    limits: Limits,
    store: Arc<Store>,
    sessions: Arc<Sessions>,
    /// What workers are started with; an error while there is no framework to start them with.
    startup: Result<Arc<Startup>, Fault>,
    events: Arc<Events>,
    names: Mutex<BTreeMap<ModelName, Entry>>,
    /// Held while a name's pointers are changed, here and in the state directory: what was promised last holds in both.
    pointing: Arc<tokio::sync::Mutex<()>>,
    /// What was found in repositories, ever: what was unloaded since is not found again.
    found: Mutex<BTreeSet<(ModelName, Version)>>,
}

#[derive(Debug, Default)]
struct Entry {
    pointers: Pointers,
    versions: BTreeMap<Version, Arc<Model>>,
}

impl Entry {
    /// Tells versions which of them is pinned.
    fn pin(&self) {
        for (&version, model) in &self.versions {
            let is_pinned = self.pointers.is_pinned() && self.pointers.current() == Some(version);
            model.pinned.store(is_pinned, Ordering::Relaxed);
        }
    }
}

/// What people are told of a version's place among those of its name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    /// NAME alone means it.
    pub(crate) current: bool,
    pub(crate) aliases: Vec<Alias>,
    /// `rollback` would make it current.
    pub(crate) next_back: bool,
}

/// A version to be added.
struct Addition {
    name: ModelName,
    /// `None` for the next.
    version: Option<Version>,
    source: Source,
    artifact: Artifact,
    manifest: Manifest,
}

/// The answer where there is nothing, and where there is nothing for who asks.
pub(crate) fn unknown(reference: &ModelRef) -> Fault {
    Fault::not_found(format!("there is no model {reference}"))
        .hint("`nnctl list` shows the models; `nnctl load NAME PATH` adds one")
}

impl Registry {
    pub(crate) fn new(
        limits: Limits,
        store: Store,
        sessions: Arc<Sessions>,
        startup: Result<Arc<Startup>, Fault>,
        events: Arc<Events>,
    ) -> Self {
        Self {
            limits,
            store: Arc::new(store),
            sessions,
            startup,
            events,
            names: Mutex::default(),
            pointing: Arc::default(),
            found: Mutex::default(),
        }
    }

    /// Where uploads are written.
    pub(crate) fn incoming(&self) -> std::path::PathBuf {
        self.store.incoming()
    }

    /// Adds a version; what its name means does not change.
    fn insert(&self, addition: Addition) -> Result<Arc<Model>, Fault> {
        let Addition {
            name,
            version,
            source,
            artifact,
            manifest,
        } = addition;
        manifest.expects(Digest(artifact.sha256))?;
        let mut names = self.names();
        let known: usize = names.values().map(|entry| entry.versions.len()).sum();
        if known >= usize::try_from(self.limits.models_max).unwrap_or(usize::MAX) {
            return Err(Fault::busy("there are too many models")
                .expected(format!("at most {}", self.limits.models_max))
                .hint("unload one, or raise limits.models_max"));
        }
        let entry = names.entry(name.clone()).or_default();
        let version = version.map_or_else(|| entry.pointers.next(), Ok)?;
        // At the start what was uploaded counts. Later a number stays what it is, whatever a repository has got.
        if matches!(source, Source::Repository) && entry.versions.contains_key(&version) {
            return Err(
                Fault::invalid_argument(format!("there is a {name}@{version} already"))
                    .hint("give it a number that was not used before"),
            );
        }
        let queue_max = manifest
            .queue_max
            .unwrap_or(self.limits.queue_per_model_max);
        let model = Model::new(name, version, source, Arc::new(artifact), queue_max);
        let model = Arc::new(model.described(manifest, Arc::clone(&self.events)));
        entry.versions.insert(version, Arc::clone(&model));
        entry.pointers.take(version);
        Ok(model)
    }

    fn start(&self, model: &Arc<Model>) -> Result<(), Fault> {
        ensure_started(model, self.startup.as_ref().map_err(Clone::clone)?);
        Ok(())
    }

    /// Adds uploaded bytes as the next version: stored, not yet loaded. `pending` is a promise that it is loaded, also
    /// after a restart.
    pub(crate) async fn add(
        &self,
        name: ModelName,
        upload: Upload,
        (manifest, pending): (Manifest, bool),
        by: Option<Peer>,
    ) -> Result<Arc<Model>, Fault> {
        // Without a framework there is no use in taking the bytes.
        self.startup.as_ref().map_err(Clone::clone)?;
        let artifact = upload.seal(&self.limits).await?;
        if let Some(signature) = &artifact.vetted.signature {
            manifest.warm_ups(signature, self.limits.tensor_bytes_max)?;
        }
        let model = self.insert(Addition {
            name,
            version: None,
            source: Source::Uploaded,
            artifact,
            manifest,
        })?;
        let kept = Arc::clone(&model);
        if let Err(fault) = self.stored(move |store| keep(store, &kept, pending)).await {
            self.remove(&model);
            return Err(fault);
        }
        let sha256 = Digest(model.artifact.sha256).to_string();
        let told = Told::new(Kind::Stored).of(model.id());
        self.tell(told.because(format!("sha256 {sha256}")), by);
        Ok(model)
    }

    /// The same for a tenant: what is not for it is not there.
    pub(crate) fn find_for(
        &self,
        reference: &ModelRef,
        tenant: &Tenant,
    ) -> Result<Arc<Model>, Fault> {
        let model = self.find(reference)?;
        if model.manifest.allows(tenant) {
            return Ok(model);
        }
        let told = Told::new(Kind::Denied)
            .of(model.id())
            .tenant(tenant.as_str());
        self.events
            .tell_limited(told.because("the model is not for this tenant"));
        Err(unknown(reference))
    }

    /// The model that a reference means, whatever its state.
    pub(crate) fn find(&self, reference: &ModelRef) -> Result<Arc<Model>, Fault> {
        let names = self.names();
        let entry = names
            .get(&reference.name)
            .ok_or_else(|| unknown(reference))?;
        let version = entry.pointers.means(&reference.selector);
        let model = version.and_then(|version| entry.versions.get(&version));
        model.cloned().ok_or_else(|| unknown(reference))
    }

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
        let mut discarded = Ok(());
        for model in &models {
            discarded = discarded.and(self.discard(model, by).await);
        }
        discarded.map(|()| models)
    }

    /// Takes a model away. Fails where the state directory cannot be changed: then it is back with the next start.
    async fn discard(&self, model: &Arc<Model>, by: Option<Peer>) -> Result<(), Fault> {
        let _turn = self.pointing.lock().await;
        let pointers = self.remove(model);
        let units = model.unload();
        self.tell(Told::new(Kind::Unloaded).of(model.id()), by);
        for session in self.sessions.all() {
            session.forget(model);
            units.iter().for_each(|unit| session.forget(unit));
        }
        self.announce(&model.name);
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

    /// Tells what a client, or the daemon itself, has done.
    fn tell(&self, told: Told, by: Option<Peer>) {
        self.events.tell(match by {
            Some(peer) => told.by(peer),
            None => told,
        });
    }

    /// Gives what its name means from now on.
    fn remove(&self, model: &Arc<Model>) -> Pointers {
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

    /// Tells every client that a name resolves anew, unless there is nothing of that name for it.
    pub(crate) fn announce(&self, name: &ModelName) {
        let versions: Vec<Arc<Model>> = {
            let names = self.names();
            let entry = names.get(name).into_iter();
            entry
                .flat_map(|entry| entry.versions.values().cloned())
                .collect()
        };
        let is_for = |tenant: &Tenant| versions.iter().any(|model| model.manifest.allows(tenant));
        for session in self.sessions.all() {
            if versions.is_empty() || is_for(&session.tenant) {
                session.models_changed(name.as_str());
            }
        }
    }

    /// Every model with its name's current flag, by name and version.
    pub(crate) fn list(&self) -> Vec<(ModelName, bool, Arc<Model>)> {
        let names = self.names();
        let all = names.iter().flat_map(|(name, entry)| {
            let of = move |(version, model): (&Version, &Arc<Model>)| {
                (
                    name.clone(),
                    entry.pointers.current() == Some(*version),
                    Arc::clone(model),
                )
            };
            entry.versions.iter().map(of)
        });
        all.collect()
    }

    /// A version's place among those of its name.
    pub(crate) fn standing(&self, model: &Model) -> Standing {
        let names = self.names();
        let Some(entry) = names.get(&model.name) else {
            return Standing::default();
        };
        let mut back = entry.pointers.clone();
        let back = back.rollback(|version| entry.versions.contains_key(&version));
        Standing {
            current: entry.pointers.current() == Some(model.version),
            aliases: entry.pointers.aliases_of(model.version).cloned().collect(),
            next_back: back == Ok(model.version),
        }
    }

    /// Every worker that serves at the moment.
    pub(crate) fn workers(&self) -> Vec<Arc<Worker>> {
        self.list()
            .into_iter()
            .flat_map(|(_, _, model)| model.workers())
            .collect()
    }

    /// Unloads every model without forgetting any: the daemon is ending.
    pub(crate) async fn shut_down(&self) {
        let models: Vec<Arc<Model>> = self.list().into_iter().map(|(_, _, model)| model).collect();
        for model in &models {
            model.unload();
        }
        for model in models {
            model.gone().await;
        }
    }

    fn names(&self) -> MutexGuard<'_, BTreeMap<ModelName, Entry>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
