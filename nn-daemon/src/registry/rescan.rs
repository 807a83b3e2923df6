//! Model repositories, read again while the daemon serves: what is new in them is added.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, MutexGuard, PoisonError};

use nn_tensor::{ModelName, Version};

use super::Registry;
use super::restore::scan;
use crate::model::Model;

impl Registry {
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
        let found = repositories.iter().flat_map(|dir| scan(dir));
        let known = |name: &ModelName, version| self.found().contains(&(name.clone(), version));
        let new = found.filter(|found| !known(&found.name, found.version));
        new.filter_map(|found| self.take_in(found)).collect()
    }

    pub(super) fn found(&self) -> MutexGuard<'_, BTreeSet<(ModelName, Version)>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
