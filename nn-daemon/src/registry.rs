//! Name and version → model: the sole owner of the map. Everything else asks here.

mod artifact;
mod begin;
mod permits;
mod place;
mod pointing;
mod rescan;
mod rest;
mod restore;
mod stored;
mod units;
mod unload;

pub(crate) use artifact::{ArtifactError, Sealed, Upload, digest, digest_of, hex, reread, seal};
pub(crate) use nn_catalogue::{Landing, StoreError, replace};
pub(crate) use nn_vet::known_format as check_format;
pub(crate) use stored::not_stored;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nn_catalogue::{Digest, Manifest, Pointers, Store};
use nn_tensor::{Alias, Fault, ModelName, ModelRef, Reason, Tenant, Version};

use crate::events::{Events, Kind, Told};
use crate::lifecycle::{ensure_started, ensure_there};
use crate::limits::Limits;
use crate::model::{Artifact, Model, Origin, Source};
use crate::peer::Peer;
use crate::session::Sessions;
use crate::tenancy::Tenancy;
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
    tenancy: Tenancy,
    names: Mutex<BTreeMap<ModelName, Entry>>,
    /// Held while a name's pointers are changed, here and in the state directory: what was promised last holds in both.
    pointing: Arc<tokio::sync::Mutex<()>>,
    /// Held while a version is placed.
    placing: tokio::sync::Mutex<()>,
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
    Fault::of(Reason::ModelUnknown).message(format!("there is no model {reference}"))
}

impl Registry {
    pub(crate) fn new(
        limits: Limits,
        store: Store,
        sessions: Arc<Sessions>,
        startup: Result<Arc<Startup>, Fault>,
        (events, tenancy): (Arc<Events>, Tenancy),
    ) -> Self {
        Self {
            limits,
            store: Arc::new(store),
            sessions,
            startup,
            events,
            tenancy,
            names: Mutex::default(),
            pointing: Arc::default(),
            placing: tokio::sync::Mutex::default(),
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
            return Err(Fault::of(Reason::ModelsFull)
                .expected(format!("at most {}", self.limits.models_max)));
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
        let startup = self.startup.as_ref().map_err(Clone::clone)?;
        let active = model.active();
        ensure_started(active, startup);
        if active.is_remote() {
            // It may have to take over.
            ensure_there(model, startup);
        }
        Ok(())
    }

    /// Seals uploaded bytes in memory and judges them, by what is said of them too.
    pub(crate) async fn vet(&self, upload: Upload, manifest: &Manifest) -> Result<Artifact, Fault> {
        // Without a framework there is no use in taking the bytes.
        self.startup.as_ref().map_err(Clone::clone)?;
        let sealed = upload.seal(&self.limits).await?;
        if let Some(signature) = &sealed.vetted.signature {
            let seen = manifest.converted(signature)?;
            manifest.warm_ups(&seen, self.limits.tensor_bytes_max)?;
        }
        let origin = Origin::Stored(Arc::clone(&self.store));
        Ok(Artifact::read(origin, sealed))
    }

    /// Adds vetted bytes as the next version: stored, not yet loaded. `promise` is what is promised to become of it, also
    /// after a restart.
    pub(crate) async fn add(
        &self,
        name: ModelName,
        artifact: Artifact,
        (manifest, promise): (Manifest, Option<Landing>),
        by: Option<Peer>,
    ) -> Result<Arc<Model>, Fault> {
        let model = self.insert(Addition {
            name,
            version: None,
            source: Source::Uploaded,
            artifact,
            manifest,
        })?;
        let kept = Arc::clone(&model);
        if let Err(fault) = self
            .stored(move |store| keep(store, &kept, promise.as_ref()))
            .await
        {
            self.remove(&model);
            return Err(fault);
        }
        let sha256 = Digest(model.artifact.sha256).to_string();
        let told = Told::new(Kind::Stored).of(model.id());
        self.tell(told.because(format!("sha256 {sha256}")), by);
        Ok(model)
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

    /// Tells what a client, or the daemon itself, has done.
    fn tell(&self, told: Told, by: Option<Peer>) {
        self.events.tell(match by {
            Some(peer) => told.by(peer),
            None => told,
        });
    }

    /// Tells clients that a name resolves anew: those for whom there is something of that name.
    pub(crate) fn announce(&self, name: &ModelName) {
        self.announce_without(name, None);
    }

    /// The same, and those for whom there was something until now.
    fn announce_without(&self, name: &ModelName, gone: Option<&Model>) {
        let versions: Vec<Arc<Model>> = {
            let names = self.names();
            let entry = names.get(name).into_iter();
            entry
                .flat_map(|entry| entry.versions.values().cloned())
                .collect()
        };
        let is_for = |tenant: &Tenant| {
            let mut all = versions.iter().map(Arc::as_ref).chain(gone);
            all.any(|model| self.is_for(tenant, model))
        };
        for session in self.sessions.all() {
            if is_for(&session.tenant) {
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
