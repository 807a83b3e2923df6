//! What can go wrong, as a value: a code for programs, a text for people.

use std::fmt;

use thiserror::Error;

/// What a failed call was about. The names are the component interface's; an errno of the other is given the nearest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// A wrong name, type, shape or number of tensors; or a name that no model can have.
    InvalidArgument,
    /// The bytes are no model of the format that was claimed.
    InvalidEncoding,
    /// The deadline came first. The model can be used again. A core module is told [`Code::RuntimeError`] in its place.
    Timeout,
    /// The model failed, its process died, or the host has no room right now: see [`Failure::is_transient`].
    RuntimeError,
    /// The host does not do this at all, or the guest's interface has no way to say it.
    UnsupportedOperation,
    /// A tensor, a model, or what the guest holds is over a limit.
    TooLarge,
    /// No such model or version, or none that this guest may use: the two look the same on purpose.
    NotFound,
    /// Refused by policy. A core module is told [`Code::NotFound`] in its place.
    Security,
    /// Anything else.
    Unknown,
}

/// Why there is no result. Prints as `not-found: there is no model nope; hint: …`.
///
/// It is the host's answer, or this crate's own where it can tell before the host is asked. The text is one or more of
/// *what; expected: …; got: …; hint: …; reason: …; log: …*. To a component the host tells all of it. To a core module it tells a number:
/// the text is then this crate's, and says what the number usually means; the host's log has the rest.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{code}: {text}")]
pub struct Failure {
    /// What a program should act on.
    pub code: Code,
    /// A sentence for a person.
    pub text: String,
}

/// The message of an error and of everything that caused it, as one line for `stderr`.
#[must_use]
pub fn describe(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}

// === impl Code ===

impl Code {
    /// The name as the component's interface spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidArgument => "invalid-argument",
            Self::InvalidEncoding => "invalid-encoding",
            Self::Timeout => "timeout",
            Self::RuntimeError => "runtime-error",
            Self::UnsupportedOperation => "unsupported-operation",
            Self::TooLarge => "too-large",
            Self::NotFound => "not-found",
            Self::Security => "security",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

// === impl Failure ===

impl Failure {
    /// How the text begins when nn-host has no code of its own for what went wrong, and it will pass.
    const TRANSIENT: [&str; 4] = [
        "busy",
        "backend crashed",
        "leaving",
        "nn-daemon cannot be reached",
    ];

    pub(crate) fn of(code: Code, what: impl Into<String>) -> Self {
        let text = what.into();
        Self { code, text }
    }

    pub(crate) fn expected(self, expected: impl fmt::Display) -> Self {
        self.and("expected", expected)
    }

    pub(crate) fn got(self, got: impl fmt::Display) -> Self {
        self.and("got", got)
    }

    pub(crate) fn hint(self, hint: impl fmt::Display) -> Self {
        self.and("hint", hint)
    }

    fn and(mut self, what: &str, text: impl fmt::Display) -> Self {
        self.text = format!("{}; {what}: {text}", self.text);
        self
    }

    /// Which row of the host's table of reasons it is, `input-dtype` for one; docs/errors.md lists them, `nnctl explain` says
    /// what each means. `None` where the host has none, and to a core module, which is told a number alone.
    ///
    /// ```
    /// use nn_guest::{Code, Failure};
    /// let text = "an input was given twice; hint: name it or number it; reason: input-twice".to_owned();
    /// let failure = Failure { code: Code::InvalidArgument, text };
    /// assert_eq!(failure.reason(), Some("input-twice"));
    /// assert_eq!(failure.advice(), Some("name it or number it"));
    /// ```
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.part("reason")
    }

    /// What to do next, as the host says it.
    #[must_use]
    pub fn advice(&self) -> Option<&str> {
        self.part("hint")
    }

    /// The id under which the daemon's log has the framework's own words; an operator wants to know it.
    #[must_use]
    pub fn log_id(&self) -> Option<&str> {
        self.part("log")
    }

    /// What the text says behind a label. The last such label counts: names that a model's author chose come before it.
    fn part(&self, label: &str) -> Option<&str> {
        const LABELS: [&str; 5] = [
            "; expected: ",
            "; got: ",
            "; hint: ",
            "; reason: ",
            "; log: ",
        ];
        let (_, after) = self.text.rsplit_once(&format!("; {label}: "))?;
        let ends = LABELS.iter().filter_map(|label| after.find(label));
        after.get(..ends.min().unwrap_or(after.len()))
    }

    /// Whether the same call may well succeed a little later: the host was busy, the model's process died and is started
    /// again, or the daemon was away. A [`Code::Timeout`] is none of these: it has cost its time already.
    ///
    /// A component reads it off the text as nn-host writes it, for the interface has no code for any of these; other hosts
    /// write other texts. A core module is told `busy` alone.
    ///
    /// ```
    /// use nn_guest::{Code, Failure};
    /// let failure = Failure { code: Code::RuntimeError, text: "busy: the queue is full".to_owned() };
    /// assert!(failure.is_transient());
    /// ```
    #[must_use]
    pub fn is_transient(&self) -> bool {
        let begins = |begin: &&str| self.text.starts_with(*begin);
        self.code == Code::RuntimeError && Self::TRANSIENT.iter().any(begins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_prints_code_then_text() {
        let failure = Failure::of(Code::TooLarge, "over the limit")
            .expected("at most 4 bytes")
            .got("5 bytes")
            .hint("send less");
        assert_eq!(
            failure.to_string(),
            "too-large: over the limit; expected: at most 4 bytes; got: 5 bytes; hint: send less"
        );
    }

    #[test]
    fn parts_are_found_behind_their_labels_and_nowhere_else() {
        let text = "no; got: a; b; hint: do; this; reason: input-unknown; log: 00002a";
        let failure = Failure::of(Code::InvalidArgument, text);
        assert_eq!(failure.advice(), Some("do; this"));
        assert_eq!(failure.reason(), Some("input-unknown"));
        assert_eq!(failure.log_id(), Some("00002a"));
        assert_eq!(Failure::of(Code::Unknown, "no").reason(), None);
    }

    #[test]
    fn only_what_passes_is_transient() {
        let transient = |code, text: &str| Failure::of(code, text).is_transient();
        assert!(transient(Code::RuntimeError, "backend crashed; again"));
        assert!(!transient(Code::RuntimeError, "the model failed"));
        assert!(!transient(Code::NotFound, "busy: a model of that name"));
    }
}
