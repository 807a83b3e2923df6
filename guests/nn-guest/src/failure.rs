//! A failed call of wasi-nn, with code and text taken out of the host's resource so that it can travel as a value.

use thiserror::Error;

use crate::ErrorCode;
use crate::bindings::wasi::nn::errors;

/// What the host answered instead of a result. Prints as `not-found: no such model`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}: {text}", code_name(*code))]
pub struct Failure {
    /// The kind of failure: what a program should act on.
    pub code: ErrorCode,
    /// The host's sentence about it, for people.
    pub text: String,
}

impl From<errors::Error> for Failure {
    fn from(error: errors::Error) -> Self {
        Self {
            code: error.code(),
            text: error.data(),
        }
    }
}

/// The name of a code as the interface spells it.
#[must_use]
pub const fn code_name(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::InvalidArgument => "invalid-argument",
        ErrorCode::InvalidEncoding => "invalid-encoding",
        ErrorCode::Timeout => "timeout",
        ErrorCode::RuntimeError => "runtime-error",
        ErrorCode::UnsupportedOperation => "unsupported-operation",
        ErrorCode::TooLarge => "too-large",
        ErrorCode::NotFound => "not-found",
        ErrorCode::Security => "security",
        ErrorCode::Unknown => "unknown",
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_prints_code_then_text() {
        let failure = Failure {
            code: ErrorCode::TooLarge,
            text: "over 1 MiB".to_owned(),
        };
        assert_eq!(failure.to_string(), "too-large: over 1 MiB");
    }
}
