//! Name and version → model: the sole owner of the map. Everything else asks here.

mod artifact;
mod repository;
mod rescan;
mod store;
mod units;

pub(crate) use artifact::{Upload, digest, hex};
pub(crate) use nn_vet::known_format as check_format;
pub(crate) use store::{StoreError, replace};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nn_service::Notifier;
use nn_tensor::{Fault, ModelName, ModelRef, Selector, Version};

use crate::lifecycle::ensure_started;
use crate::limits::Limits;
use crate::model::{Artifact, Model, Source};
use crate::session::Sessions;
use crate::worker::{Startup, Worker};
pub(crate) use store::Store;

/// What reading one model may take at the start, however many there are: `limits.model_bytes_max` at 35 MB/s.
const READ_TIME: Duration = Duration::from_secs(60);

/// How many loads in a row an upload waits for, its own included.
const LOAD_TURNS: u32 = 4;

/// All models of this daemon.
#[derive(Debug)]
pub(crate) struct Registry {
    limits: Limits,
    store: Arc<Store>,
    sessions: Arc<Sessions>,
    /// What workers are started with; an error while there is no framework to start them with.
    startup: Result<Arc<Startup>, Fault>,
    names: Mutex<BTreeMap<ModelName, Entry>>,
    /// What was found in repositories, ever: what was unloaded since is not found again.
    found: Mutex<BTreeSet<(ModelName, Version)>>,
}

#[derive(Debug, Default)]
struct Entry {
    current: Option<Version>,
    /// The highest version that ever was: numbers are not used again.
    highest: Option<Version>,
    versions: BTreeMap<Version, Arc<Model>>,
}

fn unknown(reference: &ModelRef) -> Fault {
    Fault::not_found(format!("there is no model {reference}"))
        .hint("`nnctl list` shows the models; `nnctl load NAME PATH` adds one")
}

impl Registry {
    pub(crate) fn new(
        limits: Limits,
        store: Store,
        sessions: Arc<Sessions>,
        startup: Result<Arc<Startup>, Fault>,
    ) -> Self {
        Self {
            limits,
            store: Arc::new(store),
            sessions,
            startup,
            names: Mutex::default(),
            found: Mutex::default(),
        }
    }

    /// A store of uploaded models in a state directory.
    pub(crate) fn open_store(dir: &std::path::Path) -> Result<Store, StoreError> {
        Store::open(dir)
    }

    /// Where uploads are written.
    pub(crate) fn incoming(&self) -> std::path::PathBuf {
        self.store.incoming()
    }

    /// Takes in everything in the state directory and the repositories, and begins to load the
    /// current version of each name. A model that cannot be read is reported and left out.
    pub(crate) fn restore(&self, repositories: &[std::path::PathBuf], notifier: &Notifier) {
        for found in repositories.iter().flat_map(|dir| repository::scan(dir)) {
            if let Some(model) = self.take_in(found) {
                self.raise_current(&model);
            }
            notifier.starting(READ_TIME);
        }
        for (name, kept) in self.store.load() {
            for version in kept.versions() {
                match self.store.artifact(&kept, version, &self.limits) {
                    Ok(artifact) => {
                        let _ =
                            self.insert(name.clone(), Some(version), Source::Uploaded, artifact);
                    }
                    Err(error) => tracing::error!(model = %name, %version, "left out: {error}"),
                }
                notifier.starting(READ_TIME);
            }
            let mut names = self.names();
            let entry = names.entry(name).or_default();
            entry.highest = entry.highest.max(kept.highest());
            entry.current = kept
                .current()
                .filter(|v| entry.versions.contains_key(v))
                .or(entry.current);
        }
        for (_, current, model) in self.list() {
            if current {
                let _ = self.start(&model);
            }
        }
    }

    /// Adds a version, the given one or the next; which one is current does not change.
    fn insert(
        &self,
        name: ModelName,
        version: Option<Version>,
        source: Source,
        artifact: Artifact,
    ) -> Result<Arc<Model>, Fault> {
        let mut names = self.names();
        let known: usize = names.values().map(|entry| entry.versions.len()).sum();
        if known >= usize::try_from(self.limits.models_max).unwrap_or(usize::MAX) {
            return Err(Fault::busy("there are too many models")
                .expected(format!("at most {}", self.limits.models_max))
                .hint("unload one, or raise limits.models_max"));
        }
        let entry = names.entry(name.clone()).or_default();
        let next = entry.highest.map_or(Some(Version::FIRST), Version::next);
        let version = version
            .or(next)
            .ok_or_else(|| Fault::too_large("no version numbers are left"))?;
        let queue_max = self.limits.queue_per_model_max;
        let artifact = Arc::new(artifact);
        let model = Arc::new(Model::new(name, version, source, artifact, queue_max));
        entry.versions.insert(version, Arc::clone(&model));
        entry.highest = entry.highest.max(Some(version));
        Ok(model)
    }

    fn start(&self, model: &Arc<Model>) -> Result<(), Fault> {
        ensure_started(model, self.startup.as_ref().map_err(Clone::clone)?);
        Ok(())
    }

    /// Adds uploaded bytes as the next version: stored, not yet loaded.
    pub(crate) async fn add(&self, name: ModelName, upload: Upload) -> Result<Arc<Model>, Fault> {
        // Without a framework there is no use in taking the bytes.
        self.startup.as_ref().map_err(Clone::clone)?;
        let artifact = upload.seal(&self.limits).await?;
        let model = self.insert(name, None, Source::Uploaded, artifact)?;
        let kept = Arc::clone(&model);
        if let Err(fault) = self.stored(move |store| store.keep(&kept)).await {
            self.remove(&model);
            return Err(fault);
        }
        Ok(model)
    }

    /// Loads a version and, once it is warm, makes it the current one of its name. What the framework
    /// refuses is removed again.
    pub(crate) async fn promote(&self, model: &Arc<Model>) -> Result<(), Fault> {
        self.start(model)?;
        // Its own load is bounded by load_ms_max; it may stand behind others first.
        let within = self.limits.load_max().saturating_mul(LOAD_TURNS);
        if let Err(fault) = model.usable(within).await {
            // What cannot be forgotten has been logged.
            let _ = self.discard(model).await;
            return Err(fault);
        }
        let current = self.raise_current(model);
        let unloaded = || Fault::not_found("the model was unloaded while it was loading");
        let (name, current) = (model.name.clone(), current.ok_or_else(unloaded)?);
        self.stored(move |store| store.set_current(&name, current))
            .await?;
        self.announce(&model.name);
        tracing::info!(model = %model.id(), "current");
        Ok(())
    }

    /// Makes a version current, unless a newer one is, which took less time to load; gives the one that is. `None` for a
    /// version that is no longer here.
    fn raise_current(&self, model: &Model) -> Option<Version> {
        let mut names = self.names();
        let entry = names.get_mut(&model.name)?;
        if !entry.versions.contains_key(&model.version) {
            return None;
        }
        entry.current = entry.current.max(Some(model.version));
        entry.current
    }

    /// The model that a reference means, loaded: what is not loaded yet is, within bounds.
    pub(crate) async fn resolve(&self, reference: &ModelRef) -> Result<Arc<Model>, Fault> {
        let model = self.find(reference)?;
        self.start(&model)?;
        model.usable(self.limits.load_max()).await?;
        Ok(model)
    }

    /// The model that a reference means, whatever its state.
    pub(crate) fn find(&self, reference: &ModelRef) -> Result<Arc<Model>, Fault> {
        let names = self.names();
        let entry = names
            .get(&reference.name)
            .ok_or_else(|| unknown(reference))?;
        let version = match &reference.selector {
            Selector::Current => entry.current,
            Selector::Version(version) => Some(*version),
            Selector::Alias(_) => None,
        };
        let model = version.and_then(|version| entry.versions.get(&version));
        model.cloned().ok_or_else(|| unknown(reference))
    }

    /// Unloads one version, or all of a name. Uploaded bytes go; those of a repository are left out
    /// until the daemon starts anew.
    pub(crate) async fn unload(&self, reference: &ModelRef) -> Result<Vec<Arc<Model>>, Fault> {
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
            discarded = discarded.and(self.discard(model).await);
        }
        discarded.map(|()| models)
    }

    /// Takes a model away. Fails where the state directory cannot be changed: then it is back with the next start.
    async fn discard(&self, model: &Arc<Model>) -> Result<(), Fault> {
        self.remove(model);
        let units = model.unload();
        for session in self.sessions.all() {
            session.forget(model);
            units.iter().for_each(|unit| session.forget(unit));
        }
        self.announce(&model.name);
        if !matches!(model.source, Source::Uploaded) {
            return Ok(());
        }
        let gone = Arc::clone(model);
        let forgotten = self.stored(move |store| store.forget(&gone)).await;
        forgotten.map_err(|fault| {
            fault.hint("it is unloaded, and will be back with the next start: make room in the state directory and load and unload it again")
        })
    }

    /// Works on the state directory, away from the thread that serves.
    async fn stored(
        &self,
        work: impl FnOnce(&Store) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), Fault> {
        let store = Arc::clone(&self.store);
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        done.map_err(|_| Fault::runtime("work on the state directory was interrupted"))?
            .map_err(StoreError::into_fault)
    }

    fn remove(&self, model: &Arc<Model>) {
        let mut names = self.names();
        if let Some(entry) = names.get_mut(&model.name) {
            entry.versions.remove(&model.version);
            if entry.current == Some(model.version) {
                entry.current = entry.versions.last_key_value().map(|(&version, _)| version);
            }
        }
    }

    /// Tells every client that a name resolves anew.
    pub(crate) fn announce(&self, name: &ModelName) {
        for session in self.sessions.all() {
            session.models_changed(name.as_str());
        }
    }

    /// Every model with its name's current flag, by name and version.
    pub(crate) fn list(&self) -> Vec<(ModelName, bool, Arc<Model>)> {
        let names = self.names();
        let all = names.iter().flat_map(|(name, entry)| {
            let of = move |(version, model): (&Version, &Arc<Model>)| {
                (
                    name.clone(),
                    entry.current == Some(*version),
                    Arc::clone(model),
                )
            };
            entry.versions.iter().map(of)
        });
        all.collect()
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
