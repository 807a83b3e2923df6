//! Model repositories, read again while the daemon serves; and what is to land once it answers, found then or promised
//! before the daemon's start.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};

use nn_catalogue::{Found, Landing, Pointers};
use nn_tensor::{Code, Fault, ModelName, Version};

use super::Registry;
use crate::events::{Kind, Told};
use crate::model::Model;

/// Versions of one name of which the first that answers lands; the others stay what they are.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) versions: Vec<Arc<Model>>,
    pub(super) landing: Landing,
}

impl Due {
    /// What has come to a name in a repository, as far as it is news: higher than any number known before, or where
    /// nothing was current. The highest first.
    pub(super) fn news(come: Vec<Arc<Model>>, before: &Pointers) -> Option<Self> {
        let is_news = |model: &Arc<Model>| {
            before.current().is_none() || Some(model.version) > before.highest()
        };
        let (mut versions, others): (Vec<Arc<Model>>, Vec<_>) = come.into_iter().partition(is_news);
        // Read again when they are loaded.
        others.iter().for_each(|model| model.artifact.release());
        versions.sort_by_key(|model| std::cmp::Reverse(model.version));
        (!versions.is_empty()).then(|| Self {
            versions,
            landing: Landing::default(),
        })
    }
}

impl Registry {
    /// Adds the versions that are new in the repositories; gives how many. The highest of a name becomes current once it
    /// answers, if it is higher than any that was known; where it does not, the next. What has gone from a repository
    /// stays: it may be in use (`nnctl unload` takes it away). Of a model.toml that was read before, the tenants that it names
    /// count anew. What was unloaded stays away until the daemon starts anew.
    pub(crate) async fn rescan(self: &Arc<Self>, repositories: &[PathBuf]) -> usize {
        let before: BTreeMap<ModelName, Pointers> = {
            let names = self.names();
            let known = names.iter();
            known
                .map(|(name, entry)| (name.clone(), entry.pointers.clone()))
                .collect()
        };
        let registry = Arc::clone(self);
        let dirs = repositories.to_vec();
        let added = tokio::task::spawn_blocking(move || registry.take_in_new(&dirs));
        let added = added.await.unwrap_or_default();
        let count = added.len();
        let mut by_name: BTreeMap<ModelName, Vec<Arc<Model>>> = BTreeMap::new();
        for model in added {
            by_name.entry(model.name.clone()).or_default().push(model);
        }
        for (name, come) in by_name {
            let before = before.get(&name).cloned().unwrap_or_default();
            if let Some(due) = Due::news(come, &before) {
                tokio::spawn(Arc::clone(self).raise(due));
            }
        }
        count
    }

    fn take_in_new(&self, repositories: &[PathBuf]) -> Vec<Arc<Model>> {
        let found = repositories.iter().flat_map(|dir| self.scan(dir));
        let is_known = |found: &Found| {
            let known = self.found();
            known.contains(&(found.name.clone(), found.version))
        };
        let (known, new): (Vec<Found>, Vec<Found>) = found.partition(is_known);
        let mut changed: Vec<_> = known.iter().filter_map(|of| self.take_access(of)).collect();
        changed.dedup();
        for name in changed {
            tracing::info!(model = %name, "its model.toml names other tenants");
            self.announce(&name);
        }
        new.into_iter().filter_map(|of| self.take_in(of)).collect()
    }

    pub(super) fn found(&self) -> MutexGuard<'_, BTreeSet<(ModelName, Version)>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Loads what is due and has it land, unless its name means a higher version by then. What cannot be loaded now stays,
    /// and its name means what it meant.
    pub(super) async fn raise(self: Arc<Self>, due: Due) {
        let versions = due.versions.clone();
        self.raise_first(due).await;
        for model in versions {
            // What is loaded gives its bytes up when it rests.
            if !model.started.load(Ordering::Acquire) {
                model.artifact.release();
            }
        }
    }

    async fn raise_first(self: &Arc<Self>, due: Due) {
        for model in due.versions {
            let landed = async {
                let warm = self.warm(&model).await?;
                self.land(warm, due.landing.clone(), None).await
            };
            let landed: Result<(), Fault> = landed.await;
            let id = model.id();
            let Err(fault) = landed else {
                return;
            };
            // Whoever has unloaded it, or ends the daemon, knows.
            if *model.unload.borrow() {
                return;
            }
            tracing::error!(
                "{id} is to be what its name means, and is not: {fault}; `nnctl promote` tries again"
            );
            let told = Told::new(Kind::LeftOut).of(id);
            self.tell(told.because(&fault.message), None);
            // What finds no room now is not worse than another.
            if fault.code == Code::Busy {
                return;
            }
        }
    }
}
