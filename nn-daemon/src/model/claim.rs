//! A claim on a version: it does not rest while somebody is about to have a name mean it. Between its answer and that
//! lies a write to the disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::Model;

/// How many there are of one version.
#[derive(Debug, Default)]
pub(super) struct Claims(AtomicU32);

/// One of them, given up when dropped.
#[derive(Debug)]
pub(crate) struct Claim(Arc<Model>);

// === impl Claims ===

impl Claims {
    pub(super) fn any(&self) -> bool {
        self.0.load(Ordering::Acquire) > 0
    }
}

// === impl Claim ===

impl Claim {
    pub(crate) fn of(model: &Arc<Model>) -> Self {
        model.claims.0.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(model))
    }

    /// What it is on.
    pub(crate) fn model(&self) -> &Arc<Model> {
        &self.0
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.claims.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use nn_tensor::Version;

    use super::*;
    use crate::model::{Artifact, Origin, Source};

    #[test]
    fn a_version_is_claimed_until_the_last_claim_is_given_up() {
        let artifact = Artifact::unread(Origin::Memory, [0; 32], 0, "onnx".to_owned());
        let (name, artifact) = ("m".parse().unwrap(), Arc::new(artifact));
        let model = Model::new(name, Version::FIRST, Source::Uploaded, artifact, 1);
        let model = Arc::new(model);
        let (first, second) = (Claim::of(&model), Claim::of(&model));
        drop(first);
        assert!(model.claims.any());
        drop(second);
        assert!(!model.claims.any());
    }
}
