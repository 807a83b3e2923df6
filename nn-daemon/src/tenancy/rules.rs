//! What `[tenants.NAME]` says of one tenant. Pure.

use std::collections::{BTreeMap, BTreeSet};

use nn_tensor::ModelName;

use super::{Bound, Listed};

/// Everything that it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Who may act for it, where it says so.
    pub(crate) uids: Option<Vec<u32>>,
    /// Names of the models that its guests may use; all, where it does not say.
    pub(crate) models: Option<BTreeSet<ModelName>>,
    /// Its part of a model's turns.
    pub(crate) weight: u32,
    /// The bounds that it says itself.
    pub(crate) own: BTreeMap<Bound, u64>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            uids: None,
            models: None,
            weight: 1,
            own: BTreeMap::new(),
        }
    }
}

impl Rules {
    /// Whether a uid may act for it by what it says itself.
    pub(super) fn lists(&self, uid: u32) -> bool {
        self.uids.as_ref().is_some_and(|uids| uids.contains(&uid))
    }

    pub(super) fn lets_use(&self, name: &ModelName) -> bool {
        self.models
            .as_ref()
            .is_none_or(|models| models.contains(name))
    }
}

/// Whether nothing says who may act for whom.
pub(super) fn are_doors_open(listed: &Listed) -> bool {
    listed.values().all(|rules| rules.uids.is_none())
}
