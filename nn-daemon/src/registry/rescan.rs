//! Model repositories, read again while the daemon serves: what is new in them is added.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use super::repository::Found;
use super::{Registry, artifact, repository};
use crate::model::{Model, Source};

impl Registry {
    /// Reads a model that was found in a repository. One that cannot be read is reported and left out.
    pub(super) fn take_in(&self, found: Found) -> Option<Arc<Model>> {
        let known = (found.name.clone(), found.version);
        self.found
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(known);
        let artifact = match artifact::read(&found.path, &self.limits) {
            Ok(artifact) => artifact,
            Err(error) => {
                tracing::error!(path = %found.path.display(), "left out: {error}");
                return None;
            }
        };
        let (name, version) = (found.name, found.version);
        match self.insert(name.clone(), Some(version), Source::Repository, artifact) {
            Ok(model) => Some(model),
            Err(fault) => {
                tracing::error!(model = %name, %version, "left out: {fault}");
                None
            }
        }
    }

    /// Adds the versions that are new in the repositories; gives how many. A new highest version becomes current once it
    /// answers. What has gone from a repository stays: it may be in use (`nnctl unload` takes it away). What was unloaded
    /// stays away until the daemon starts anew.
    pub(crate) async fn rescan(self: &Arc<Self>, repositories: &[PathBuf]) -> usize {
        let registry = Arc::clone(self);
        let dirs = repositories.to_vec();
        let added = tokio::task::spawn_blocking(move || registry.take_in_new(&dirs));
        let added = added.await.unwrap_or_default();
        let count = added.len();
        for model in added {
            tokio::spawn(Arc::clone(self).raise(model));
        }
        count
    }

    fn take_in_new(&self, repositories: &[PathBuf]) -> Vec<Arc<Model>> {
        let scan = |dir: &PathBuf| repository::scan(Path::new(dir));
        let found = repositories.iter().flat_map(scan);
        let new = found.filter(|found| !self.has(found));
        new.filter_map(|found| self.take_in(found)).collect()
    }

    fn has(&self, found: &Found) -> bool {
        let known = (found.name.clone(), found.version);
        let ever = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        ever.contains(&known)
    }

    /// Loads a version that is higher than the current one, and then makes it that.
    async fn raise(self: Arc<Self>, model: Arc<Model>) {
        let current = self
            .names()
            .get(&model.name)
            .and_then(|entry| entry.current);
        if current > Some(model.version) {
            return;
        }
        let loaded = match self.start(&model) {
            Ok(()) => model.usable(self.limits.load_max()).await,
            Err(fault) => Err(fault),
        };
        match loaded {
            Ok(()) if self.raise_current(&model).is_some() => {
                self.announce(&model.name);
                tracing::info!(model = %model.id(), "current");
            }
            Ok(()) => {}
            Err(fault) => tracing::error!(model = %model.id(), "not made current: {fault}"),
        }
    }
}
