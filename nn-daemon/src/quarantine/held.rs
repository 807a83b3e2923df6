//! The words of the quarantine: whose calls a worker computes, how it ended, what is held against whom. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use nn_tensor::{Fault, Reason, Tenant};

use crate::guests::Owner;
use crate::worker::Cause;

/// A SHA-256.
pub(crate) type Digest = [u8; 32];

/// Whose calls a worker computes; and against whom something is held.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Whose {
    /// Those of all tenants.
    All,
    /// One tenant's, of an operator's model.
    Tenant(Tenant),
    /// One tenant's of one uid, of a model that a guest of these has loaded.
    Guest(Owner),
}

/// How a worker ended for which its model or an input may be blamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Crash,
    Panic,
    Violation,
    Protocol,
    OutOfMemory,
    /// By leaving unasked, or closing its socket.
    Left,
}

/// What is held against a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) sha256: Digest,
    /// To whom it is refused.
    pub(crate) whose: Whose,
    /// Whether the last crash was at load.
    pub(crate) at_load: bool,
    /// By the wall clock.
    pub(crate) since_unix_s: u64,
    pub(crate) crashes: BTreeMap<Kind, u32>,
}

/// How many crashes are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) crashes: u32,
    pub(crate) window: Duration,
}

// === impl Whose ===

impl Whose {
    /// The tenant, where it is one.
    pub(crate) fn tenant(&self) -> Option<&Tenant> {
        match self {
            Self::All => None,
            Self::Tenant(tenant) => Some(tenant),
            Self::Guest(owner) => Some(&owner.tenant),
        }
    }

    /// The peer whose guest it is, where it is one.
    pub(crate) fn guest_uid(&self) -> Option<u32> {
        match self {
            Self::All | Self::Tenant(_) => None,
            Self::Guest(owner) => Some(owner.uid),
        }
    }

    /// Whether what is held against these is held against `other`. A guest's doing touches nobody else: not its tenant's
    /// calls of an operator's model, for other peers may act for that tenant too.
    pub(super) fn covers(&self, other: &Self) -> bool {
        match self {
            Self::All => true,
            Self::Tenant(tenant) => other.tenant() == Some(tenant),
            Self::Guest(_) => self == other,
        }
    }
}

// === impl Kind ===

impl Kind {
    /// Every kind.
    pub(crate) const ALL: [Self; 6] = [
        Self::Crash,
        Self::Panic,
        Self::Violation,
        Self::Protocol,
        Self::OutOfMemory,
        Self::Left,
    ];

    /// `None` for an end that says nothing against the model. A worker that has its model and leaves by a status of its
    /// own has chosen to, whatever the status says. What is not known is held against nobody.
    pub(crate) fn of(cause: &Cause) -> Option<Self> {
        match cause {
            Cause::Crash(_) => Some(Self::Crash),
            Cause::Panic => Some(Self::Panic),
            Cause::Violation => Some(Self::Violation),
            Cause::Protocol => Some(Self::Protocol),
            Cause::OutOfMemory => Some(Self::OutOfMemory),
            Cause::Status(_) | Cause::Closed => Some(Self::Left),
            Cause::Clean | Cause::Killed | Cause::Timeout | Cause::Unknown => None,
        }
    }

    /// As `nnctl` and the file call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::Panic => "panic",
            Self::Violation => "violation",
            Self::Protocol => "protocol",
            Self::OutOfMemory => "out_of_memory",
            Self::Left => "left",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

// === impl Held ===

impl Held {
    /// What whoever wants the model is told.
    pub(crate) fn fault(&self, rules: Rules) -> Fault {
        let whom = match &self.whose {
            Whose::All => String::new(),
            Whose::Tenant(tenant) => format!(" for tenant {tenant}"),
            Whose::Guest(owner) => format!(" for guests of tenant {}", owner.tenant),
        };
        // Counts may come from a file.
        let total = self.crashes.values().copied().fold(0, u32::saturating_add);
        let kinds = self.crashes.iter();
        let kinds: Vec<String> = kinds
            .map(|(kind, count)| format!("{count} by {}", kind.name()))
            .collect();
        let hex = crate::registry::hex(self.sha256.get(..6).unwrap_or(&self.sha256));
        Fault::of(Reason::ModelQuarantined).message(format!("the model is quarantined{whom}: its workers crashed too often"))
        .expected(format!(
            "fewer than {} crashes within {:?}",
            rules.crashes, rules.window
        ))
        .got(format!("{total}: {}", kinds.join(", ")))
        .hint(format!(
            "the operator finds the cause in the daemon's log, and lets it be tried again by `nnctl quarantine lift {hex}`"
        ))
    }
}
