//! Which models are refused for their crashes. Pure: crashes and the time in, decisions out.
//!
//! A crash is charged to an account, and an account with so many crashes within the window is held:
//!
//! ```text
//!  operator's model  crash at load ───────────────────▶ (digest)               nothing but the bytes was in it
//!                    crash of a worker of all tenants ▶ (digest)               ADR 17: who did it is not known
//!                    crash of a worker of one tenant ─▶ (digest, tenant)       no other tenant's input was in it
//!  guest's model     any crash ───────────────────────▶ (digest, uid, tenant)  nobody else is in it
//!
//!  (digest) held: refused to all            (digest, tenant) held: refused to that tenant
//!  (digest, uid, tenant) held: refused to guests of that tenant that come by that uid
//!  (digest, tenant) held for two tenants' workers of an operator's model ──▶ (digest) held
//! ```
//!
//! What guests have loaded never counts against others, neither by what it is sent nor by what it is: a guest could
//! send the bytes of an operator's model, and see to it that they crash, to take it from everybody.
//!
//! Both what is counted and what is held is bounded, guests' apart from operators': a guest makes another guest's be
//! forgotten only where that one has more of them, and an operator's never.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use super::held::{Digest, Held, Kind, Rules, Whose};

/// Accounts of operators' models: with crashes that are not held, and held. With one more the oldest is let go.
pub(super) const ACCOUNTS_MAX: usize = 1024;

/// Accounts of guests' models, as those. With one more, the oldest of the uid that has the most goes.
pub(super) const GUESTS_MAX: usize = 1024;

/// Of those, one uid's. With one more, its own oldest goes.
pub(super) const GUESTS_PER_UID_MAX: usize = 64;

/// So many tenants' own workers of one model make it everybody's matter.
const TENANTS_MAX: usize = 2;

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
type Account = (Digest, Whose);

/// The latest of an account's crashes, the oldest first.
type Crashes = VecDeque<(Duration, Kind)>;

/// All accounts.
#[derive(Debug)]
pub(crate) struct Ledger {
    rules: Rules,
    watched: BTreeMap<Account, Crashes>,
    /// The oldest first.
    held: Vec<Held>,
}

// === impl Crash ===

impl Crash<'_> {
    fn account(&self) -> Account {
        let whose = match self.whose {
            // No input was in it.
            Whose::Tenant(_) if self.at_load => Whose::All,
            whose => whose.clone(),
        };
        (self.sha256, whose)
    }
}

// === impl Ledger ===

impl Ledger {
    /// An empty one but for what is held already, the oldest first.
    pub(crate) fn new(rules: Rules, mut held: Vec<Held>) -> Self {
        // By its own hand there are never more; a file may have been written by another.
        while let_go(&mut held).is_some() {}
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
        against.find(|held| held.whose.covers(whose))
    }

    /// A worker has crashed.
    pub(crate) fn crashed(&mut self, crash: &Crash<'_>, now: Moment) -> Outcome {
        if self.against(&crash.sha256, crash.whose).is_some() {
            return Outcome::Known;
        }
        let account = crash.account();
        let rules = self.rules;
        let crashes = self.watched.entry(account.clone()).or_default();
        crashes.retain(|(at, _)| now.at.saturating_sub(*at) < rules.window);
        crashes.push_back((now.at, crash.kind));
        let count = u32::try_from(crashes.len()).unwrap_or(u32::MAX);
        if count < rules.crashes {
            self.forget_one();
            return Outcome::Counted;
        }
        let mut kinds = BTreeMap::<Kind, u32>::new();
        for (_, kind) in std::mem::take(crashes) {
            let count = kinds.entry(kind).or_default();
            *count = count.saturating_add(1);
        }
        self.watched.remove(&account);
        let (sha256, whose) = account;
        self.hold(Held {
            sha256,
            whose,
            at_load: crash.at_load,
            since_unix_s: now.unix_s,
            crashes: kinds,
        })
    }

    /// Forgets everything that is held against a model, and what was counted; gives what was held.
    pub(crate) fn lift(&mut self, sha256: &Digest) -> Vec<Held> {
        self.watched.retain(|(of, _), _| of != sha256);
        self.held
            .extract_if(.., |held| held.sha256 == *sha256)
            .collect()
    }

    fn hold(&mut self, mut new: Held) -> Outcome {
        let of = new.sha256;
        if matches!(new.whose, Whose::Tenant(_)) {
            let tenants =
                |held: &&Held| held.sha256 == of && matches!(held.whose, Whose::Tenant(_));
            let others = self.held.iter().filter(tenants).count();
            if others.saturating_add(1) >= TENANTS_MAX {
                new.whose = Whose::All;
            }
        }
        if new.whose == Whose::All {
            // What was held for one tenant is held for all now. What guests did to theirs is their own affair.
            let tenants =
                |held: &mut Held| held.sha256 == of && matches!(held.whose, Whose::Tenant(_));
            for held in self.held.extract_if(.., tenants) {
                for (kind, count) in held.crashes {
                    let sum = new.crashes.entry(kind).or_default();
                    *sum = sum.saturating_add(count);
                }
            }
        }
        self.held.push(new);
        let evicted = let_go(&mut self.held);
        Outcome::Quarantined { evicted }
    }

    /// Keeps accounts bounded.
    fn forget_one(&mut self) {
        let Some(uid) = who_has_too_many(self.watched.keys().map(|(_, whose)| whose)) else {
            return;
        };
        let theirs = self.watched.iter();
        let theirs = theirs.filter(|((_, whose), _)| whose.guest_uid() == uid);
        let oldest = theirs.min_by_key(|(_, crashes)| crashes.back().map(|(at, _)| *at));
        if let Some(account) = oldest.map(|(account, _)| account.clone()) {
            self.watched.remove(&account);
        }
    }
}

/// Takes one out where there is one too many.
fn let_go(held: &mut Vec<Held>) -> Option<Held> {
    let uid = who_has_too_many(held.iter().map(|held| &held.whose))?;
    let oldest = held.iter().position(|held| held.whose.guest_uid() == uid)?;
    Some(held.remove(oldest))
}

/// Of whose accounts the oldest has to go, if one has: of one uid's guests, or (`None`) of operators' models.
fn who_has_too_many<'a>(accounts: impl Iterator<Item = &'a Whose>) -> Option<Option<u32>> {
    let mut counts = HashMap::<Option<u32>, usize>::new();
    for whose in accounts {
        let count = counts.entry(whose.guest_uid()).or_default();
        *count = count.saturating_add(1);
    }
    if counts
        .remove(&None)
        .is_some_and(|count| count > ACCOUNTS_MAX)
    {
        return Some(None);
    }
    let guests: usize = counts.values().sum();
    // The lowest uid of several, so that it is the same one each time.
    let most = |(uid, count): &(Option<u32>, usize)| (*count, std::cmp::Reverse(*uid));
    let (uid, most) = counts.into_iter().max_by_key(most)?;
    (most > GUESTS_PER_UID_MAX || guests > GUESTS_MAX).then_some(uid)
}

#[cfg(test)]
mod tests;
