//! What a worker with a model needs of memory. It is said in one place: by it a worker is let in (`lifecycle/admission.rs`), and
//! its jail holds it to that (`worker/needs.rs`).

use nn_catalogue::KServe;

use super::Model;
use crate::limits::Limits;

/// What a relay has besides messages, in bytes.
const RELAY_BYTES: u64 = 64 * 1024 * 1024;

/// A call's messages: the request, and the answer.
const MESSAGES: u64 = 2;

/// What one worker will need.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Need {
    pub(crate) model_bytes: u64,
    /// What one had before, in bytes; 0 while that is not known.
    pub(crate) loaded_bytes: u64,
    /// Of a relay: the messages of all calls that may be under way, in bytes.
    pub(crate) messages_bytes: Option<u64>,
}

impl Need {
    /// The most that it may have.
    pub(crate) fn budget(&self, limits: &Limits) -> u64 {
        match self.messages_bytes {
            None => limits.worker_budget(self.model_bytes),
            // The spawner gives nobody more.
            Some(messages) => RELAY_BYTES
                .saturating_add(messages)
                .min(limits.worker_budget_max()),
        }
    }

    /// What its load may take of it.
    pub(crate) fn load_peak(&self, limits: &Limits) -> u64 {
        match self.messages_bytes {
            None => limits.load_peak(self.model_bytes),
            Some(_) => RELAY_BYTES,
        }
    }
}

impl From<u64> for Need {
    fn from(model_bytes: u64) -> Self {
        Self {
            model_bytes,
            ..Self::default()
        }
    }
}

impl Model {
    /// What a worker of this side will need.
    pub(crate) fn need(&self) -> Need {
        let kserve = self.manifest.kserve.as_ref();
        Need {
            model_bytes: self.artifact.bytes,
            loaded_bytes: self.artifact.loaded_bytes(),
            messages_bytes: kserve.filter(|_| self.is_remote()).map(messages_bytes),
        }
    }

    /// The most that a worker of this side may have, in bytes.
    pub(crate) fn budget(&self, limits: &Limits) -> u64 {
        self.need().budget(limits)
    }
}

fn messages_bytes(kserve: &KServe) -> u64 {
    let each = kserve.message_bytes_max.saturating_mul(MESSAGES);
    each.saturating_mul(kserve.in_flight_max.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn relay(messages: u64) -> Need {
        Need {
            messages_bytes: Some(messages),
            ..Need::default()
        }
    }

    #[test]
    fn a_relay_needs_what_its_messages_may_take_and_no_more_than_a_worker_may() {
        let limits = Limits::default();
        assert_eq!(relay(8 * MIB).budget(&limits), 72 * MIB);
        assert_eq!(relay(2048 * MIB).budget(&limits), 2112 * MIB);
        assert_eq!(relay(u64::MAX).budget(&limits), limits.worker_budget_max());
        assert_eq!(relay(2048 * MIB).load_peak(&limits), 64 * MIB);
        let here = Need::from(3 * MIB);
        assert_eq!(here.budget(&limits), limits.worker_budget(3 * MIB));
        assert_eq!(here.load_peak(&limits), 12 * MIB);
    }
}
