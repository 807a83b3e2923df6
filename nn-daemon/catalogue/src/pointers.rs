//! What a name means: which version is current, which were before it, and which the aliases stand for. Pure.
//!
//! ```text
//!  load foo     → 1         current 1
//!  load foo     → 2         current 2   previous 1
//!  promote foo@1            current 1   previous 1 2
//!  rollback foo             current 2   previous 1
//!  alias foo@1 stable                              foo:stable is 1
//! ```
//!
//! A version number is never used again, so `foo@3` means the same bytes for ever.

use std::collections::BTreeMap;
use std::str::FromStr;

use nn_tensor::{Alias, Fault, Selector, Version};

use crate::Placement;

/// Aliases of one name.
pub const ALIASES_MAX: usize = 64;

/// Versions that are remembered as having been current.
pub const PREVIOUS_MAX: usize = 16;

/// The pointers of one name. Which versions there are is the caller's knowledge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pointers {
    current: Option<Version>,
    /// The oldest first; none twice in a row.
    previous: Vec<Version>,
    highest: Option<Version>,
    aliases: BTreeMap<Alias, Version>,
    pinned: bool,
    /// Where an operator has had versions computed, whatever their `model.toml` says.
    placements: BTreeMap<Version, Placement>,
}

/// Why pointers stay as they were.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PointersError {
    /// One alias more than there may be.
    #[error("the model has {ALIASES_MAX} aliases already")]
    TooManyAliases,
    /// Nothing was current before.
    #[error("no earlier version is left to go back to")]
    NoPrevious,
    /// No number is left for the next version.
    #[error("no version numbers are left")]
    NoNumber,
}

impl From<PointersError> for Fault {
    fn from(error: PointersError) -> Self {
        let text = error.to_string();
        match error {
            PointersError::TooManyAliases => {
                Self::too_large(text).hint("take one away: `nnctl alias NAME ALIAS --remove`")
            }
            PointersError::NoPrevious => Self::not_found(text)
                .hint("`nnctl list` shows the versions; `nnctl promote NAME@VERSION` takes any"),
            PointersError::NoNumber => Self::too_large(text).hint("load it under another name"),
        }
    }
}

impl Pointers {
    /// Those of a name as they were kept: a version that is current, and others that were, the oldest first.
    #[must_use]
    pub fn kept(
        current: Option<Version>,
        previous: Vec<Version>,
        highest: Option<Version>,
        aliases: BTreeMap<Alias, Version>,
        pinned: bool,
    ) -> Self {
        let mut kept = Self {
            current,
            highest: highest.max(current),
            aliases,
            pinned,
            ..Self::default()
        };
        for version in previous {
            kept.remember(version);
        }
        kept
    }

    /// The version that NAME alone means.
    #[must_use]
    pub fn current(&self) -> Option<Version> {
        self.current
    }

    /// What was current before, the oldest first.
    #[must_use]
    pub fn previous(&self) -> &[Version] {
        &self.previous
    }

    /// The highest number that was ever given.
    #[must_use]
    pub fn highest(&self) -> Option<Version> {
        self.highest
    }

    /// Every alias.
    #[must_use]
    pub fn aliases(&self) -> &BTreeMap<Alias, Version> {
        &self.aliases
    }

    /// The aliases that stand for a version.
    pub fn aliases_of(&self, version: Version) -> impl Iterator<Item = &Alias> {
        let all = self.aliases.iter();
        all.filter_map(move |(alias, of)| (*of == version).then_some(alias))
    }

    /// Whether its current version stays loaded whatever happens to memory.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        self.pinned
    }

    /// Pins it, or no longer.
    pub fn pin(&mut self, pinned: bool) {
        self.pinned = pinned;
    }

    /// Who computes each version that an operator has placed.
    #[must_use]
    pub fn placements(&self) -> &BTreeMap<Version, Placement> {
        &self.placements
    }

    /// Has a version computed so.
    pub fn place(&mut self, version: Version, placement: Placement) {
        self.placements.insert(version, placement);
    }

    /// The version that a selector means.
    #[must_use]
    pub fn means(&self, selector: &Selector) -> Option<Version> {
        match selector {
            Selector::Current => self.current,
            Selector::Version(version) => Some(*version),
            Selector::Alias(alias) => self.aliases.get(alias).copied(),
        }
    }

    /// Whether somebody who names no number can reach a version.
    #[must_use]
    pub fn is_named(&self, version: Version) -> bool {
        self.current == Some(version) || self.aliases.values().any(|of| *of == version)
    }

    /// The number of the next version.
    pub fn next(&self) -> Result<Version, PointersError> {
        self.highest
            .map_or(Some(Version::FIRST), Version::next)
            .ok_or(PointersError::NoNumber)
    }

    /// Notes that a number is taken.
    pub fn take(&mut self, version: Version) {
        self.highest = self.highest.max(Some(version));
    }

    /// Makes a version current.
    pub fn promote(&mut self, version: Version) {
        self.take(version);
        if self.current == Some(version) {
            return;
        }
        if let Some(before) = self.current.replace(version) {
            self.remember(before);
        }
    }

    /// Makes the version current that was before this one, and gives it. What is current now is not remembered: the next
    /// rollback goes further back.
    pub fn rollback(&mut self, exists: impl Fn(Version) -> bool) -> Result<Version, PointersError> {
        let mut previous = self.previous.clone();
        while let Some(version) = previous.pop() {
            if exists(version) && self.current != Some(version) {
                self.previous = previous;
                self.current = Some(version);
                return Ok(version);
            }
        }
        Err(PointersError::NoPrevious)
    }

    /// Has an alias stand for a version; gives the one that it stood for.
    pub fn alias(
        &mut self,
        alias: Alias,
        version: Version,
    ) -> Result<Option<Version>, PointersError> {
        if self.aliases.len() >= ALIASES_MAX && !self.aliases.contains_key(&alias) {
            return Err(PointersError::TooManyAliases);
        }
        Ok(self.aliases.insert(alias, version))
    }

    /// Takes an alias away; gives the version that it stood for.
    pub fn unalias(&mut self, alias: &Alias) -> Option<Version> {
        self.aliases.remove(alias)
    }

    /// A version has gone, and these are left: its aliases go with it. If it was current, the one before it is now, or
    /// else the highest.
    pub fn remove(
        &mut self,
        gone: Version,
        left: impl Fn(Version) -> bool,
        highest: Option<Version>,
    ) {
        self.aliases.retain(|_, version| *version != gone);
        self.placements.remove(&gone);
        let before = std::mem::take(&mut self.previous);
        for version in before.into_iter().filter(|version| *version != gone) {
            self.remember(version);
        }
        if self.current == Some(gone) {
            self.current = None;
            if self.rollback(left).is_err() {
                self.current = highest;
            }
        }
    }

    fn remember(&mut self, version: Version) {
        if self.previous.last() != Some(&version) {
            self.previous.push(version);
        }
        let excess = self.previous.len().saturating_sub(PREVIOUS_MAX);
        self.previous.drain(..excess);
    }
}

/// Parses both sides of what a file says of aliases; what is no alias is left out.
pub(crate) fn aliases_from(texts: &BTreeMap<String, u32>) -> BTreeMap<Alias, Version> {
    let alias = |(text, number): (&String, &u32)| {
        Some((Alias::from_str(text).ok()?, Version::new(*number)?))
    };
    texts.iter().filter_map(alias).take(ALIASES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn v(number: u32) -> Version {
        Version::new(number).unwrap()
    }

    fn alias(text: &str) -> Alias {
        text.parse().unwrap()
    }

    #[test]
    fn a_rollback_goes_one_back_and_the_next_one_further() {
        let mut pointers = Pointers::default();
        for number in 1..=3 {
            pointers.promote(v(number));
        }
        assert_eq!(pointers.rollback(|_| true), Ok(v(2)));
        assert_eq!(pointers.rollback(|_| true), Ok(v(1)));
        assert_eq!(pointers.rollback(|_| true), Err(PointersError::NoPrevious));
        assert_eq!(pointers.current(), Some(v(1)));
    }

    #[test]
    fn a_rollback_passes_over_what_has_gone() {
        let mut pointers = Pointers::default();
        for number in 1..=3 {
            pointers.promote(v(number));
        }
        assert_eq!(pointers.rollback(|version| version == v(1)), Ok(v(1)));
    }

    #[test]
    fn a_number_is_not_given_twice_though_its_version_has_gone() {
        let mut pointers = Pointers::default();
        pointers.promote(v(1));
        pointers.remove(v(1), |_| false, None);
        assert_eq!((pointers.current(), pointers.next()), (None, Ok(v(2))));
    }

    #[test]
    fn the_one_before_takes_over_from_a_current_one_that_goes() {
        let mut pointers = Pointers::default();
        for number in [1, 3, 2] {
            pointers.promote(v(number));
        }
        pointers.alias(alias("canary"), v(2)).unwrap();
        pointers.remove(v(2), |version| version != v(2), Some(v(3)));
        assert_eq!(pointers.current(), Some(v(3)));
        assert_eq!(pointers.means(&Selector::Alias(alias("canary"))), None);
    }

    #[test]
    fn an_alias_follows_where_it_is_put() {
        let mut pointers = Pointers::default();
        pointers.promote(v(1));
        assert_eq!(pointers.alias(alias("stable"), v(1)), Ok(None));
        assert_eq!(pointers.alias(alias("stable"), v(2)), Ok(Some(v(1))));
        assert_eq!(
            pointers.means(&Selector::Alias(alias("stable"))),
            Some(v(2))
        );
        assert!(pointers.is_named(v(2)) && pointers.is_named(v(1)));
    }

    #[test]
    fn there_is_room_for_so_many_aliases_and_moving_one_takes_none() {
        let mut pointers = Pointers::default();
        for number in 0..ALIASES_MAX {
            pointers.alias(alias(&format!("a{number}")), v(1)).unwrap();
        }
        assert_eq!(
            pointers.alias(alias("more"), v(1)),
            Err(PointersError::TooManyAliases)
        );
        assert!(pointers.alias(alias("a0"), v(2)).is_ok());
    }

    #[derive(Clone, Debug)]
    enum Act {
        Load,
        Promote(u32),
        Rollback,
        Alias(u8, u32),
        Remove(u32),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            Just(Act::Load),
            (1_u32..8).prop_map(Act::Promote),
            Just(Act::Rollback),
            (0_u8..4, 1_u32..8).prop_map(|(alias, version)| Act::Alias(alias, version)),
            (1_u32..8).prop_map(Act::Remove),
        ]
    }

    proptest! {
        /// Whatever happens in whatever order: what a name or an alias means is there, and no number comes twice.
        #[test]
        fn no_pointer_points_to_what_is_not_there(acts in proptest::collection::vec(act(), 0..60)) {
            let mut pointers = Pointers::default();
            let mut there = BTreeSet::new();
            let mut ever = BTreeSet::new();
            for act in acts {
                match act {
                    Act::Load => {
                        let version = pointers.next().unwrap();
                        prop_assert!(ever.insert(version));
                        there.insert(version);
                        pointers.promote(version);
                    }
                    Act::Promote(number) if there.contains(&v(number)) => pointers.promote(v(number)),
                    Act::Rollback => {
                        let before = pointers.current();
                        let gone = pointers.rollback(|version| there.contains(&version));
                        prop_assert!(gone.is_err() || pointers.current() != before);
                    }
                    Act::Alias(name, number) if there.contains(&v(number)) => {
                        pointers.alias(alias(&format!("a{name}")), v(number)).unwrap();
                    }
                    Act::Remove(number) if there.remove(&v(number)) => {
                        pointers.remove(v(number), |left| there.contains(&left), there.last().copied());
                    }
                    Act::Promote(_) | Act::Alias(..) | Act::Remove(_) => {}
                }
                prop_assert!(pointers.current().is_none_or(|current| there.contains(&current)));
                prop_assert_eq!(pointers.current().is_none(), there.is_empty());
                prop_assert!(pointers.aliases().values().all(|version| there.contains(version)));
                prop_assert!(pointers.previous().len() <= PREVIOUS_MAX);
            }
        }
    }
}
