//! What becomes of a version once it has answered, as whoever loaded it has asked for. Pure.

use nn_tensor::{Alias, Version};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::pointers::{Pointers, PointersError};

/// Its name's pointers, changed by its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Landing {
    /// It does not become current.
    #[serde(skip_serializing_if = "is_false")]
    pub staged: bool,
    /// An alias that stands for it from then on.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "alias_to",
        deserialize_with = "alias_from"
    )]
    pub alias: Option<Alias>,
    /// Its name's current version stays loaded from then on.
    #[serde(skip_serializing_if = "is_false")]
    pub pin: bool,
}

impl Landing {
    /// Whether it becomes current, and nothing else.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// Whether anything becomes of it.
    #[must_use]
    pub fn changes_anything(&self) -> bool {
        !self.staged || self.alias.is_some() || self.pin
    }

    /// Has the name mean what was asked for. Fails where there is no room for the alias.
    pub fn apply(&self, version: Version, pointers: &mut Pointers) -> Result<(), PointersError> {
        if let Some(alias) = &self.alias {
            pointers.alias(alias.clone(), version)?;
        }
        // Unless a newer one is, which took less time to load.
        if !self.staged && pointers.current() < Some(version) {
            pointers.promote(version);
        }
        if self.pin {
            pointers.pin(true);
        }
        Ok(())
    }

    /// Whether that would fail now, so that nobody sends bytes in vain.
    pub fn check(&self, pointers: &Pointers) -> Result<(), PointersError> {
        let version = pointers.next()?;
        self.apply(version, &mut pointers.clone())
    }
}

// Serde's signatures.
fn is_false(value: &bool) -> bool {
    !value
}

fn alias_to<S: Serializer>(alias: &Option<Alias>, to: S) -> Result<S::Ok, S::Error> {
    alias.as_ref().map(Alias::as_str).serialize(to)
}

/// What is no alias is left out.
fn alias_from<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Alias>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    Ok(text.and_then(|text| text.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ALIASES_MAX;

    fn v(number: u32) -> Version {
        Version::new(number).unwrap()
    }

    #[test]
    fn what_was_asked_for_becomes_of_it_and_nothing_else() {
        let alias: Alias = "canary".parse().unwrap();
        let staged = Landing {
            staged: true,
            alias: Some(alias.clone()),
            pin: true,
        };
        let mut pointers = Pointers::default();
        Landing::default().apply(v(1), &mut pointers).unwrap();
        staged.apply(v(2), &mut pointers).unwrap();
        assert_eq!(pointers.current(), Some(v(1)));
        assert_eq!(pointers.aliases().get(&alias), Some(&v(2)));
        assert!(pointers.is_pinned());
    }

    #[test]
    fn a_newer_version_that_was_faster_stays_current() {
        let mut pointers = Pointers::default();
        pointers.promote(v(3));
        Landing::default().apply(v(2), &mut pointers).unwrap();
        assert_eq!(pointers.current(), Some(v(3)));
    }

    #[test]
    fn one_alias_too_many_is_known_before_anything_changes() {
        let mut pointers = Pointers::default();
        for number in 0..ALIASES_MAX {
            let alias = format!("a{number}").parse().unwrap();
            pointers.alias(alias, v(1)).unwrap();
        }
        let with = |alias: &str| Landing {
            alias: Some(alias.parse().unwrap()),
            ..Landing::default()
        };
        assert_eq!(
            with("one-more").check(&pointers),
            Err(PointersError::TooManyAliases)
        );
        assert_eq!(with("a0").check(&pointers), Ok(()));
    }

    #[test]
    fn what_is_kept_of_it_is_read_again() {
        let asked = Landing {
            staged: true,
            alias: Some("canary".parse().unwrap()),
            pin: true,
        };
        for landing in [asked, Landing::default()] {
            let text = toml::to_string(&landing).unwrap();
            assert_eq!(toml::from_str(&text), Ok(landing), "{text}");
        }
    }
}
