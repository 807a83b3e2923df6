//! Names and numbers that people and peers pass around, each parsed once into a type that cannot
//! hold an invalid one.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::Arc;

use crate::{Fault, Reason};

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {got:?} is not well-formed (expected {expected})")]
pub struct NameError {
    /// Which kind of name.
    pub what: &'static str,
    /// The rule it breaks.
    pub expected: &'static str,
    /// The text, cut to a length fit for a message.
    pub got: String,
}

/// A model's name: `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelName(Box<str>);

/// A model's version: 1 or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(NonZeroU32);

/// A movable name for a version: `[a-z][a-z0-9_-]{0,63}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Alias(Box<str>);

/// On whose behalf a session acts: `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tenant(Box<str>);

/// What a client's log knows a call by, so that the daemon's says the same: `[A-Za-z0-9._-]{1,64}`. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Trace(Arc<str>);

/// A random 128-bit number: a session's id, or the token that ties a descriptor socket to it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Id128(pub u128);

/// What a guest may ask for: `NAME`, `NAME@VERSION` or `NAME:ALIAS`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ModelRef {
    /// The model.
    pub name: ModelName,
    /// Which version of it.
    pub selector: Selector,
}

/// Which version of a model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Selector {
    /// The version that is current when the question is asked.
    Current,
    /// Exactly this version.
    Version(Version),
    /// The version that the alias stands for when the question is asked.
    Alias(Alias),
}

const TENANT: &str = "tenant";
const LONG_NAME: &str = "a letter or digit, then up to 127 of letters, digits, '.', '_', '-'";
const SHORT_NAME: &str =
    "a lower-case letter, then up to 63 of lower-case letters, digits, '_', '-'";
const TRACE: &str = "1 to 64 of letters, digits, '.', '_', '-'";
const VERSION: &str = "a decimal number from 1 to 4294967295";

fn refuse(what: &'static str, expected: &'static str, got: &str) -> NameError {
    NameError {
        what,
        expected,
        got: got.chars().take(64).collect(),
    }
}

fn long_name(what: &'static str, text: &str) -> Result<Box<str>, NameError> {
    let follows = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
    match text.as_bytes() {
        [first, rest @ ..]
            if first.is_ascii_alphanumeric()
                && rest.len() <= 127
                && rest.iter().copied().all(follows) =>
        {
            Ok(text.into())
        }
        _ => Err(refuse(what, LONG_NAME, text)),
    }
}

// === impl ModelName, Tenant, Alias ===

impl ModelName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ModelName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        long_name("model name", text).map(Self)
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Tenant {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The tenant of a client that names none: `default`.
impl Default for Tenant {
    fn default() -> Self {
        Self("default".into())
    }
}

impl FromStr for Tenant {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        long_name(TENANT, text).map(Self)
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Alias {
    /// The alias as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Alias {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let follows =
            |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'_' | b'-');
        match text.as_bytes() {
            [first, rest @ ..]
                if first.is_ascii_lowercase()
                    && rest.len() <= 63
                    && rest.iter().copied().all(follows) =>
            {
                Ok(Self(text.into()))
            }
            _ => Err(refuse("alias", SHORT_NAME, text)),
        }
    }
}

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Trace ===

impl Trace {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Trace {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let letter = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
        if (1..=64).contains(&text.len()) && text.bytes().all(letter) {
            return Ok(Self(text.into()));
        }
        Err(refuse("trace", TRACE, text))
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl NameError ===

impl From<NameError> for Fault {
    fn from(error: NameError) -> Self {
        let reason = match error.what {
            TENANT => Reason::TenantName,
            _ => Reason::ModelName,
        };
        Self::of(reason)
            .message(format!("a malformed {}", error.what))
            .expected(error.expected)
            .got(error.got.escape_debug().to_string())
    }
}

// === impl Version ===

impl Version {
    /// The first version of any model.
    pub const FIRST: Self = Self(NonZeroU32::MIN);

    /// A version from its number; 0 is none.
    #[must_use]
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// Its number, 1 or more.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }

    /// The version after this one; `None` after the last.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

impl FromStr for Version {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        // `parse` alone would also take "+3" and "003".
        let canonical = text.bytes().all(|c| c.is_ascii_digit()) && !text.starts_with('0');
        text.parse()
            .ok()
            .filter(|_| canonical)
            .and_then(Self::new)
            .ok_or_else(|| refuse("version", VERSION, text))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

// === impl ModelRef ===

impl FromStr for ModelRef {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if let Some((name, version)) = text.split_once('@') {
            return Ok(Self {
                name: name.parse()?,
                selector: Selector::Version(version.parse()?),
            });
        }
        if let Some((name, alias)) = text.split_once(':') {
            return Ok(Self {
                name: name.parse()?,
                selector: Selector::Alias(alias.parse()?),
            });
        }
        Ok(Self {
            name: text.parse()?,
            selector: Selector::Current,
        })
    }
}

impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.selector {
            Selector::Current => write!(f, "{}", self.name),
            Selector::Version(version) => write!(f, "{}@{version}", self.name),
            Selector::Alias(alias) => write!(f, "{}:{alias}", self.name),
        }
    }
}

// === impl Id128 ===

/// Hidden: a token is as good as the session it opens.
impl fmt::Debug for Id128 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Id128(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_of_all_three_forms_read_back_as_written() {
        let written = ["foo", "foo@3", "foo:canary", "a.b-c_D9@4294967295"];
        let read: Vec<_> = written
            .iter()
            .map(|w| w.parse::<ModelRef>().unwrap().to_string())
            .collect();
        assert_eq!(read, written);
    }

    #[test]
    fn a_trace_of_other_letters_or_lengths_is_refused() {
        let (longest, longer) = ("x".repeat(64), "x".repeat(65));
        assert!(
            ["-", "a.b_c-D9", &longest]
                .iter()
                .all(|t| t.parse::<Trace>().is_ok())
        );
        assert!(
            ["", "a b", "a\n", "é", &longer]
                .iter()
                .all(|t| t.parse::<Trace>().is_err())
        );
    }

    #[test]
    fn malformed_references_are_refused() {
        let long = "a".repeat(129);
        let malformed = [
            "",
            "@1",
            "foo@",
            "foo@0",
            "foo@+1",
            "foo@01",
            "foo@4294967296",
            "foo:",
            "foo:A",
            ".foo",
            "fo/o",
            "fö",
            &long,
        ];
        let accepted: Vec<_> = malformed
            .iter()
            .filter(|m| m.parse::<ModelRef>().is_ok())
            .collect();
        assert!(accepted.is_empty(), "{accepted:?}");
    }
}
