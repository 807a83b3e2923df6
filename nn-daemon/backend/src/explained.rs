//! What may be told of a framework's words, beside their kind: what a backend found in them whose form it knows. The words
//! themselves stay behind it, for the log.

use std::error::Error;
use std::fmt;

use crate::Cause;

/// How much of a name that a model's author chose is told.
const NAME_CHARS_MAX: usize = 64;

/// The longest name of an operator, or of a domain, that is taken for one.
const IDENT_BYTES_MAX: usize = 64;

/// A framework's words, and what of them a client may read.
#[derive(Debug)]
pub struct Explained {
    got: String,
    cause: Cause,
}

/// A name of the model's own, for people: quoted, escaped, cut.
#[must_use]
pub fn quoted(name: &str) -> String {
    let cut: String = name.chars().take(NAME_CHARS_MAX).collect();
    let more = if cut.len() < name.len() { "…" } else { "" };
    format!("\"{}{more}\"", cut.escape_debug())
}

/// The name of an operator or a domain at the start of a text; `None` where there is none, or one of no usable length.
#[must_use]
pub fn ident(text: &str) -> Option<&str> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let end = text.find(|c| !is_of_name(c)).unwrap_or(text.len());
    text.get(..end)
        .filter(|name| (1..=IDENT_BYTES_MAX).contains(&name.len()))
}

/// The number at the start of a text.
#[must_use]
pub fn number(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit());
    text.get(..end.unwrap_or(text.len()))?.parse().ok()
}

/// What follows the first of a text.
#[must_use]
pub fn after<'a>(text: &'a str, before: &str) -> Option<&'a str> {
    text.split_once(before).map(|(_, after)| after)
}

// === impl Explained ===

impl Explained {
    /// A cause, and what is known of it; the cause alone where that is nothing.
    pub fn cause(got: Option<String>, cause: impl Into<Cause>) -> Cause {
        let cause = cause.into();
        match got {
            Some(got) => Box::new(Self { got, cause }),
            None => cause,
        }
    }

    /// What is known of a cause; empty where that is nothing.
    pub(crate) fn got(cause: &Cause) -> String {
        let explained = cause.downcast_ref::<Self>();
        explained.map_or_else(String::new, |explained| explained.got.clone())
    }
}

/// The framework's words.
impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.cause, f)
    }
}

impl Error for Explained {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_an_operator_ends_where_no_name_goes_on() {
        assert_eq!(ident("Gather(13) node"), Some("Gather"));
        assert_eq!(ident("com.example:Foo"), Some("com.example"));
        assert_eq!(ident("/usr/lib"), None);
        assert_eq!(ident(&"x".repeat(65)), None);
    }

    #[test]
    fn what_is_known_is_told_and_the_words_stay_behind_it() {
        let cause = Explained::cause(Some("the operator Foo".into()), "0x7f00 says Foo");
        assert_eq!(Explained::got(&cause), "the operator Foo");
        assert_eq!(cause.to_string(), "0x7f00 says Foo");
        assert_eq!(Explained::got(&Explained::cause(None, "x")), "");
    }

    #[test]
    fn a_name_of_the_models_own_is_told_escaped_and_cut() {
        assert_eq!(quoted("a\u{1b}[2J"), "\"a\\u{1b}[2J\"");
        assert_eq!(quoted(&"x".repeat(99)).chars().count(), NAME_CHARS_MAX + 3);
    }
}
