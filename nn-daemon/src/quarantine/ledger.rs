//! Which models are refused for their crashes. Pure: crashes and the time in, decisions out.
//!
//! A crash is charged to an account, and an account with so many crashes within the window is held:
//!
//! ```text
//!  crash at load, whoever loads ──────────▶ (digest)          nothing but the bytes was in the worker
//!  crash of a worker of all tenants ──────▶ (digest)          ADR 17: who of them did it is not known
//!  crash of a worker of one tenant ───────▶ (digest, tenant)  no other tenant's input was in it
//!
//!  (digest) held: refused to all        (digest, tenant) held: refused to that tenant
//!  (digest, tenant) held for two tenants' workers of an operator's model ──▶ (digest) held
//! ```
//!
//! What guests have loaded never becomes (digest) by their inputs: a guest could send the bytes of an operator's model,
//! and inputs that crash it, to take it from everybody.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use nn_tensor::{Code, Fault, Tenant};

use crate::worker::Cause;

/// Accounts with crashes that are not held. With one more, that of the oldest crash is forgotten.
pub(crate) const WATCHED_MAX: usize = 1024;

/// Accounts that are held. With one more, the oldest is let go.
pub(crate) const HELD_MAX: usize = 1024;

/// So many tenants' own workers of one model make it everybody's matter.
const TENANTS_MAX: usize = 2;

/// A SHA-256.
pub(crate) type Digest = [u8; 32];

/// Whose calls a worker computes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// Those of all tenants.
    All,
    /// One tenant's, of an operator's model.
    Tenant(Tenant),
    /// One tenant's, of a model that a guest of it has loaded.
    Guest(Tenant),
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

/// What is held against an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) sha256: Digest,
    /// For whom alone; `None` for all.
    pub(crate) tenant: Option<Tenant>,
    /// Whether guests' own models made it so.
    pub(crate) guest: bool,
    /// Whether the last crash was at load.
    pub(crate) at_load: bool,
    /// By the wall clock.
    pub(crate) since_unix_s: u64,
    pub(crate) crashes: BTreeMap<Kind, u32>,
}

/// One crash.
#[derive(Clone, Debug)]
pub(crate) struct Crash<'a> {
    pub(crate) sha256: Digest,
    pub(crate) whose: &'a Whose,
    pub(crate) kind: Kind,
    pub(crate) at_load: bool,
}

/// When: since the daemon's start, and for people.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) at: Duration,
    pub(crate) unix_s: u64,
}

/// How many are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) crashes: u32,
    pub(crate) window: Duration,
}

/// What came of a crash.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is remembered.
    Counted,
    /// The account is held from now on, and another may have had to go for it.
    Quarantined { evicted: Option<Held> },
    /// It was held already.
    Known,
}

/// Whom a crash is charged to.
type Account = (Digest, Option<Tenant>);

#[derive(Debug)]
struct Watched {
    crashes: VecDeque<(Duration, Kind)>,
    guest: bool,
}

/// All accounts.
#[derive(Debug)]
pub(crate) struct Ledger {
    rules: Rules,
    watched: BTreeMap<Account, Watched>,
    /// The oldest first.
    held: Vec<Held>,
}

// === impl Whose ===

impl Whose {
    fn tenant(&self) -> Option<&Tenant> {
        match self {
            Self::All => None,
            Self::Tenant(tenant) | Self::Guest(tenant) => Some(tenant),
        }
    }

    fn is_guest(&self) -> bool {
        matches!(self, Self::Guest(_))
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
    /// own has chosen to, whatever the status says.
    pub(crate) fn of(cause: &Cause) -> Option<Self> {
        match cause {
            Cause::Crash(_) => Some(Self::Crash),
            Cause::Panic => Some(Self::Panic),
            Cause::Violation => Some(Self::Violation),
            Cause::Protocol => Some(Self::Protocol),
            Cause::OutOfMemory => Some(Self::OutOfMemory),
            Cause::Clean | Cause::Status(_) | Cause::Unknown => Some(Self::Left),
            Cause::Killed | Cause::Timeout => None,
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
    fn is_of(&self, sha256: &Digest, tenant: Option<&Tenant>) -> bool {
        self.sha256 == *sha256 && self.tenant.as_ref() == tenant
    }

    /// What whoever wants the model is told.
    pub(crate) fn fault(&self, rules: Rules) -> Fault {
        let whom = match &self.tenant {
            Some(tenant) => format!(" for tenant {tenant}"),
            None => String::new(),
        };
        // Counts may come from a file.
        let total = self.crashes.values().copied().fold(0, u32::saturating_add);
        let kinds = self.crashes.iter();
        let kinds: Vec<String> = kinds
            .map(|(kind, count)| format!("{count} by {}", kind.name()))
            .collect();
        let hex = crate::registry::hex(self.sha256.get(..6).unwrap_or(&self.sha256));
        Fault::new(
            Code::Security,
            format!("the model is quarantined{whom}: its workers crashed too often"),
        )
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

// === impl Ledger ===

impl Ledger {
    /// An empty one but for what is held already, the oldest first.
    pub(crate) fn new(rules: Rules, mut held: Vec<Held>) -> Self {
        let more = held.len().saturating_sub(HELD_MAX);
        held.drain(..more);
        Self {
            rules,
            watched: BTreeMap::new(),
            held,
        }
    }

    /// What is held, the oldest first.
    pub(crate) fn held(&self) -> &[Held] {
        &self.held
    }

    /// Why this model may not be run for these; `None` if it may.
    pub(crate) fn against(&self, sha256: &Digest, whose: &Whose) -> Option<&Held> {
        let mut against = self.held.iter().filter(|held| held.sha256 == *sha256);
        against.find(|held| held.tenant.is_none() || held.tenant.as_ref() == whose.tenant())
    }

    /// A worker has crashed.
    pub(crate) fn crashed(&mut self, crash: &Crash<'_>, now: Moment) -> Outcome {
        if self.against(&crash.sha256, crash.whose).is_some() {
            return Outcome::Known;
        }
        let tenant = crash.whose.tenant().filter(|_| !crash.at_load).cloned();
        let account = (crash.sha256, tenant);
        let rules = self.rules;
        let watched = self.watched.entry(account.clone()).or_insert(Watched {
            crashes: VecDeque::new(),
            guest: crash.whose.is_guest(),
        });
        watched.guest &= crash.whose.is_guest();
        let crashes = &mut watched.crashes;
        crashes.retain(|(at, _)| now.at.saturating_sub(*at) < rules.window);
        crashes.push_back((now.at, crash.kind));
        let count = u32::try_from(crashes.len()).unwrap_or(u32::MAX);
        if count < rules.crashes {
            self.forget_one();
            return Outcome::Counted;
        }
        let guest = watched.guest;
        let mut kinds = BTreeMap::<Kind, u32>::new();
        for (_, kind) in std::mem::take(crashes) {
            let count = kinds.entry(kind).or_default();
            *count = count.saturating_add(1);
        }
        self.watched.remove(&account);
        let (sha256, tenant) = account;
        let held = Held {
            sha256,
            tenant,
            guest,
            at_load: crash.at_load,
            since_unix_s: now.unix_s,
            crashes: kinds,
        };
        self.hold(held)
    }

    /// Forgets everything that is held against a model, and what was counted; gives what was held.
    pub(crate) fn lift(&mut self, sha256: &Digest) -> Vec<Held> {
        self.watched.retain(|(of, _), _| of != sha256);
        self.held
            .extract_if(.., |held| held.sha256 == *sha256)
            .collect()
    }

    fn hold(&mut self, mut new: Held) -> Outcome {
        if new.tenant.is_some() && !new.guest {
            let own = |held: &Held| held.sha256 == new.sha256 && !held.guest;
            let others = self.held.iter().filter(|held| own(held)).count();
            if others.saturating_add(1) >= TENANTS_MAX {
                new.tenant = None;
            }
        }
        if new.tenant.is_none() {
            // What was held for one is held for all now.
            let of = new.sha256;
            for held in self.held.extract_if(.., |held| held.sha256 == of) {
                for (kind, count) in held.crashes {
                    let sum = new.crashes.entry(kind).or_default();
                    *sum = sum.saturating_add(count);
                }
            }
        }
        self.held
            .retain(|held| !held.is_of(&new.sha256, new.tenant.as_ref()));
        let evicted = (self.held.len() >= HELD_MAX)
            .then(|| self.evict())
            .flatten();
        self.held.push(new);
        Outcome::Quarantined { evicted }
    }

    /// The oldest goes; one of a guest first, for a guest can make as many as it likes.
    fn evict(&mut self) -> Option<Held> {
        let guests = self.held.iter().position(|held| held.guest);
        let oldest = guests.unwrap_or(0);
        (oldest < self.held.len()).then(|| self.held.remove(oldest))
    }

    /// Keeps accounts bounded.
    fn forget_one(&mut self) {
        if self.watched.len() <= WATCHED_MAX {
            return;
        }
        let age = |watched: &Watched| {
            let last = watched.crashes.back().map(|(at, _)| *at);
            (!watched.guest, last)
        };
        let oldest = self.watched.iter().min_by_key(|(_, watched)| age(watched));
        if let Some(account) = oldest.map(|(account, _)| account.clone()) {
            self.watched.remove(&account);
        }
    }
}

#[cfg(test)]
mod tests;
