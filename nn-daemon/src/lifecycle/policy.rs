//! How models are kept running, as the operator has decided, and what decides with them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::admission::Admission;
use super::measure::Meter;
use super::residents::Residents;
use super::spares::Spares;
use crate::events::Events;
use crate::prepared::Prepared;
use crate::quarantine::Quarantine;

/// Whom one worker of an operator's model serves: `workers.isolation`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// All tenants of all peers.
    #[default]
    Peer,
    /// One tenant.
    Tenant,
}

/// What every model's task goes by.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) isolation: Isolation,
    /// Whether a second worker waits beside one that answers.
    pub(crate) warm_spare: bool,
    pub(crate) quarantine: Arc<Quarantine>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) spares: Arc<Spares>,
    pub(crate) residents: Arc<Residents>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) events: Arc<Events>,
    pub(crate) prepared: Arc<Prepared>,
}

// === impl Isolation ===

impl Isolation {
    /// As the configuration and `nnctl` call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Tenant => "tenant",
        }
    }
}
