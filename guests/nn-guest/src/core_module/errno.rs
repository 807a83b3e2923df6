//! A number of the host's to a failure with a sentence. Pure.

use super::ffi::Errno;
use crate::{Code, Failure};

pub(super) const INVALID_ARGUMENT: Errno = 1;
pub(super) const RUNTIME_ERROR: Errno = 5;
pub(super) const TOO_LARGE: Errno = 7;

const LOGGED: &str = "the host's log says more (`nn-host -vv run …`)";

/// What a function's refusal means, as far as a number tells; with what it was given, where that helps.
pub(super) fn refused(function: &str, errno: Errno, got: Option<&str>) -> Failure {
    let (code, what, hint) = meaning(function, errno);
    let mut failure = Failure::of(code, format!("{what} ({function})"));
    if code == Code::Unknown {
        failure = failure.got(format!("errno {errno}"));
    } else if let Some(got) = got {
        failure = failure.got(got);
    }
    failure.hint(hint)
}

fn meaning(function: &str, errno: Errno) -> (Code, &'static str, &'static str) {
    match errno {
        INVALID_ARGUMENT => (
            Code::InvalidArgument,
            "the host refuses what it was given",
            advice(function),
        ),
        2 => (
            Code::InvalidEncoding,
            "the bytes are no model of this encoding",
            "nn-host takes an ONNX file with all data inside",
        ),
        3 => (
            Code::Unknown,
            "the module exports no memory called `memory`",
            "link it without renaming that",
        ),
        4 => (
            Code::RuntimeError,
            "busy: the host has no room for this right now",
            "try again later",
        ),
        RUNTIME_ERROR => (
            Code::RuntimeError,
            "the host or the model failed, or the deadline passed",
            LOGGED,
        ),
        6 => (
            Code::UnsupportedOperation,
            "the host does not do this",
            "nn-host has the target cpu",
        ),
        TOO_LARGE => (
            Code::TooLarge,
            "a tensor, a model or what the guest holds is over a limit of the host's",
            LOGGED,
        ),
        8 => (
            Code::NotFound,
            "there is no such model, or not for this guest",
            "`nnctl list` shows the models",
        ),
        _ => (
            Code::Unknown,
            "a failure that the interface does not know",
            LOGGED,
        ),
    }
}

/// What an invalid argument of a function is to be replaced by.
fn advice(function: &str) -> &'static str {
    match function {
        "load_by_name" => "NAME, NAME@VERSION or NAME:ALIAS",
        "set_input" | "compute" => {
            "each of the model's inputs once, in its order, with its element type and dimensions: `nnctl describe NAME` shows them"
        }
        _ => LOGGED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(errno: Errno) -> Failure {
        refused("compute", errno, None)
    }

    #[test]
    fn every_errno_has_its_code() {
        let codes = [1, 2, 3, 4, 5, 6, 7, 8, 100, -1].map(|errno| failure(errno).code);
        let expected = [
            Code::InvalidArgument,
            Code::InvalidEncoding,
            Code::Unknown,
            Code::RuntimeError,
            Code::RuntimeError,
            Code::UnsupportedOperation,
            Code::TooLarge,
            Code::NotFound,
            Code::Unknown,
            Code::Unknown,
        ];
        assert_eq!(codes, expected);
    }

    #[test]
    fn busy_is_transient_as_in_a_component_and_an_error_of_the_run_is_not() {
        assert!(failure(4).is_transient());
        assert!(!failure(5).is_transient());
    }

    #[test]
    fn a_number_that_nobody_knows_is_told() {
        assert_eq!(
            failure(102).to_string(),
            "unknown: a failure that the interface does not know (compute); got: errno 102; \
             hint: the host's log says more (`nn-host -vv run …`)"
        );
    }

    #[test]
    fn what_was_given_stands_before_what_to_do() {
        let name = refused("load_by_name", 1, Some("no body"));
        assert_eq!(
            name.to_string(),
            "invalid-argument: the host refuses what it was given (load_by_name); got: no body; \
             hint: NAME, NAME@VERSION or NAME:ALIAS"
        );
    }
}
