//! What a model takes and gives, and what its clients send and get: not the same where its operator has tensors converted.

use std::sync::{Arc, PoisonError};

use nn_tensor::{Fault, Reason, Signature, TensorSpec};

use super::Model;

/// Both.
#[derive(Clone, Debug)]
pub(crate) struct Signatures {
    /// The model's own.
    pub(crate) own: Arc<Signature>,
    /// What clients see.
    pub(crate) seen: Arc<Signature>,
}

impl Signatures {
    /// The same, its tensors in the order in which others have them: clients that have learnt one go on by it.
    fn in_order_of(&self, others: &Self) -> Self {
        let sorted = |ours: &Arc<Signature>, theirs: &Signature| {
            let is_same = same_names(&ours.inputs, &theirs.inputs)
                && same_names(&ours.outputs, &theirs.outputs);
            if is_same {
                return Arc::clone(ours);
            }
            let by = |specs: &[TensorSpec], order: &[TensorSpec]| {
                let mut specs = specs.to_vec();
                specs.sort_by_key(|spec| order.iter().position(|of| of.name == spec.name));
                specs
            };
            Arc::new(Signature {
                inputs: by(&ours.inputs, &theirs.inputs),
                outputs: by(&ours.outputs, &theirs.outputs),
            })
        };
        Self {
            own: sorted(&self.own, &others.own),
            seen: sorted(&self.seen, &others.seen),
        }
    }
}

fn same_names(ours: &[TensorSpec], theirs: &[TensorSpec]) -> bool {
    let names = |specs: &[TensorSpec]| specs.len();
    let mut pairs = ours.iter().zip(theirs);
    names(ours) == names(theirs) && pairs.all(|(our, their)| our.name == their.name)
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

    /// Those that this side has learnt, if it has.
    pub(crate) fn learnt(&self) -> Option<Signatures> {
        let known = self.signatures.lock();
        known.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Of the side that computes, else of the other.
    pub(crate) fn signatures(&self) -> Result<Signatures, Fault> {
        let remote = self.remote().filter(|remote| remote.is_active());
        let theirs = remote.and_then(|remote| remote.learnt());
        let ours = self.learnt();
        if let (Some(theirs), Some(ours)) = (&theirs, &ours) {
            return Ok(theirs.in_order_of(ours));
        }
        if let Some(known) = theirs.or(ours) {
            return Ok(known);
        }
        let said = || self.artifact.vetted()?.signature.clone();
        let own = said().ok_or_else(|| {
            Fault::of(Reason::ModelLoading).message("the model has not been loaded yet")
        })?;
        self.signatures_of(own)
    }
}
