//! An error as it crosses a process border: a code that machines act on, and what a person needs to
//! mend it. Never a framework's raw text, a path or an address: those stay in the log, found by `log_id`.

use std::fmt;

use crate::Reason;

/// What kind of failure: wasi-nn's `error-code`, and three more that its guests see as `runtime-error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// A bad name, shape, dtype or length.
    InvalidArgument,
    /// The model's bytes are not in the format they were said to be in.
    InvalidEncoding,
    /// The deadline passed.
    Timeout,
    /// The framework or the system failed while running.
    RuntimeError,
    /// Asked for something that is not offered.
    UnsupportedOperation,
    /// Beyond a stated limit.
    TooLarge,
    /// No such model, version or alias; also the answer where access is denied.
    NotFound,
    /// Refused by policy.
    Security,
    /// None of the others.
    Unknown,
    /// A queue or quota is full at this moment; trying again later may succeed.
    Busy,
    /// The process that ran the model died; it is being restarted.
    BackendCrashed,
    /// The daemon is ending and has begun nothing of this: it may be asked of the next one.
    Leaving,
}

/// A failure on its way to somebody who can act on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What kind.
    pub code: Code,
    /// Which row of the table of reasons; `None` where it has none, or another release has named one that is not known here.
    pub reason: Option<Reason>,
    /// What went wrong, in a sentence of our own.
    pub message: String,
    /// What would have been right; empty where that is no help.
    pub expected: String,
    /// What came instead; empty where that is no help.
    pub got: String,
    /// What to do next; empty where nothing can be done.
    pub hint: String,
    /// Finds the details in the daemon's log; empty when there are none.
    pub log_id: Box<str>,
}

// === impl Code ===

impl Code {
    /// Every code, in the order of their declaration.
    pub const ALL: [Self; 12] = [
        Self::InvalidArgument,
        Self::InvalidEncoding,
        Self::Timeout,
        Self::RuntimeError,
        Self::UnsupportedOperation,
        Self::TooLarge,
        Self::NotFound,
        Self::Security,
        Self::Unknown,
        Self::Busy,
        Self::BackendCrashed,
        Self::Leaving,
    ];

    /// The kebab-case name that people and logs read.
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
            Self::Busy => "busy",
            Self::BackendCrashed => "backend-crashed",
            Self::Leaving => "leaving",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

// === impl Fault ===

impl Fault {
    /// A fault with a code and a sentence; the rest empty.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            reason: None,
            message: message.into(),
            expected: String::new(),
            got: String::new(),
            hint: String::new(),
            log_id: Box::default(),
        }
    }

    /// A fault as the table of reasons has it: code, sentence and what to do.
    #[must_use]
    pub fn of(reason: Reason) -> Self {
        let row = reason.row();
        let fault = Self::new(row.code, row.what).hint(row.todo);
        fault.because(reason)
    }

    /// A fault of code [`Code::InvalidArgument`].
    pub fn invalid_argument(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    /// A fault of code [`Code::TooLarge`].
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(Code::TooLarge, message)
    }

    /// A fault of code [`Code::NotFound`].
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }

    /// A fault of code [`Code::Busy`].
    pub fn busy(message: impl Into<String>) -> Self {
        Self::new(Code::Busy, message)
    }

    /// A fault of code [`Code::RuntimeError`].
    pub fn runtime(message: impl Into<String>) -> Self {
        Self::new(Code::RuntimeError, message)
    }

    /// Names the row of the table of reasons that this is: its code counts, and what it says to do where nothing is said yet.
    #[must_use]
    pub fn because(mut self, reason: Reason) -> Self {
        let row = reason.row();
        self.code = row.code;
        self.reason = Some(reason);
        if self.hint.is_empty() {
            row.todo.clone_into(&mut self.hint);
        }
        self
    }

    /// Says what went wrong more closely.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// Adds what would have been right.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = expected.into();
        self
    }

    /// Adds what came instead.
    #[must_use]
    pub fn got(mut self, got: impl Into<String>) -> Self {
        self.got = got.into();
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// Adds the id under which the daemon's log holds the details.
    #[must_use]
    pub fn log_id(mut self, log_id: impl Into<Box<str>>) -> Self {
        self.log_id = log_id.into();
        self
    }
}

/// One line for a log or a guest: message, then the parts that are there.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let parts: [(&str, &str); 5] = [
            ("expected", &self.expected),
            ("got", &self.got),
            ("hint", &self.hint),
            ("reason", self.reason.map_or("", Reason::id)),
            ("log", &self.log_id),
        ];
        let mut there = parts.iter().filter(|(_, text)| !text.is_empty());
        there.try_for_each(|(label, text)| write!(f, "; {label}: {text}"))
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_a_reason_has_its_code_sentence_hint_and_id() {
        let fault = Fault::of(Reason::InputTwice);
        assert_eq!(
            fault.to_string(),
            "an input was given twice; hint: an input may be named or numbered, not both; reason: input-twice"
        );
        assert_eq!(fault.code, Code::InvalidArgument);
    }

    #[test]
    fn a_reason_keeps_a_hint_that_was_there_and_sets_the_code() {
        let fault = Fault::runtime("no")
            .hint("do that")
            .because(Reason::QueueFull);
        assert_eq!((fault.code, fault.hint.as_str()), (Code::Busy, "do that"));
    }
}
