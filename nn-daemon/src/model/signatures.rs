//! What a model takes and gives, and what its clients send and get: not the same where its operator has tensors converted.

use std::sync::{Arc, PoisonError};

use nn_tensor::{Fault, Reason, Signature};

use super::Model;

/// Both.
#[derive(Clone, Debug)]
pub(crate) struct Signatures {
    /// The model's own.
    pub(crate) own: Arc<Signature>,
    /// What clients see.
    pub(crate) seen: Arc<Signature>,
}

impl Model {
    /// Of a model with this signature of its own. Fails where what its `model.toml` has converted does not fit that.
    pub(crate) fn signatures_of(&self, own: Signature) -> Result<Signatures, Fault> {
        let seen = self.manifest.converted(&own)?;
        let (own, seen) = (Arc::new(own), Arc::new(seen));
        Ok(Signatures { own, seen })
    }

    /// What its clients send and get: as its bytes say, and as its worker knows better; an error where they do not say it
    /// and no worker has yet.
    pub(crate) fn signature(&self) -> Result<Arc<Signature>, Fault> {
        Ok(self.signatures()?.seen)
    }

    /// What it takes and gives itself, where that is something else.
    pub(crate) fn own_signature(&self) -> Option<Arc<Signature>> {
        let Signatures { own, seen } = self.signatures().ok()?;
        (own != seen).then_some(own)
    }

    pub(crate) fn set_signatures(&self, signatures: Signatures) {
        let known = self.signatures.lock();
        *known.unwrap_or_else(PoisonError::into_inner) = Some(signatures);
    }

    fn signatures(&self) -> Result<Signatures, Fault> {
        let known = self.signatures.lock();
        let known = known.unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known {
            return Ok(known);
        }
        let said = || self.artifact.vetted()?.signature.clone();
        let own = said().ok_or_else(|| {
            Fault::of(Reason::ModelLoading).message("the model has not been loaded yet")
        })?;
        self.signatures_of(own)
    }
}
