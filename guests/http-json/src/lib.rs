//! What guests that answer HTTP by JSON share: an answer, and a problem, which is what went wrong in a form that a page can
//! show: a sentence, a hint, and the host's reason where it has one.

use std::time::Duration;

use http_guest::{Answer, BodyError};
use nn_guest::{Code, Failure};
use serde::Serialize;

const JSON: &str = "application/json";

/// When a client may come again, in seconds: a queue is empty by then.
const SOON: u32 = 1;

/// The same for what a person has to do, or a process that starts.
const LATER: u32 = 10;

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The HTTP status.
    #[serde(skip)]
    pub status: u16,
    /// What is wrong, a sentence for a person.
    pub error: String,
    /// What to do about it.
    pub hint: String,
    /// Which row of the host's table of reasons it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Box<str>>,
    /// Under which id the daemon's log has more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<Box<str>>,
    #[serde(skip)]
    headers: Vec<(&'static str, String)>,
}

/// An answer of a value as JSON.
#[must_use]
pub fn answer(status: u16, value: &impl Serialize) -> Answer {
    // What these guests answer are structs of texts and numbers: they have a form in JSON.
    let text = serde_json::to_string(value).unwrap_or_else(|_| "{}".to_owned());
    let answer = Answer::new(status, text).of_kind(JSON);
    // A browser is to take it for nothing else, and to ask again next time.
    answer
        .header("x-content-type-options", "nosniff")
        .header("cache-control", "no-store")
}

/// A time in milliseconds, as a person reads it: three places.
#[must_use]
pub fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

// === impl Problem ===

impl Problem {
    /// A status, a sentence and what to do.
    #[must_use]
    pub fn new(status: u16, error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            status,
            error: error.into(),
            hint: hint.into(),
            reason: None,
            log: None,
            headers: Vec::new(),
        }
    }

    /// A method that is not there; `allow` are those that are.
    #[must_use]
    pub fn method(method: &str, allow: &'static str, hint: &str) -> Self {
        // What a client may send as a method is long.
        let method: String = method.chars().take(16).collect();
        let problem = Self::new(405, format!("the method {method} is not for this"), hint);
        problem.header("allow", allow)
    }

    /// As an answer.
    #[must_use]
    pub fn answer(&self) -> Answer {
        let answer = answer(self.status, self);
        let headers = self.headers.iter();
        headers.fold(answer, |answer, (name, value)| answer.header(name, value))
    }

    fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn again(self, seconds: u32) -> Self {
        self.header("retry-after", seconds.to_string())
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Broken => Self::new(400, error.to_string(), "send it again"),
            BodyError::TooLarge { .. } => Self::new(413, error.to_string(), "send less"),
        }
    }
}

/// What the host said no to. That a model is not there, or not for this function, is the operator's to mend and not the
/// client's, who named none: both are told to come again.
impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let what = ["; hint: ", "; reason: ", "; log: "]
            .iter()
            .filter_map(|label| failure.text.find(label))
            .min();
        let what = what.and_then(|end| failure.text.get(..end));
        let status = status(&failure);
        let problem = Self {
            reason: failure.reason().map(Box::from),
            log: failure.log_id().map(Box::from),
            ..Self::new(
                status,
                what.unwrap_or(&failure.text),
                failure.advice().unwrap_or_else(|| otherwise(status)),
            )
        };
        match status {
            503 if failure.is_transient() => problem.again(SOON),
            503 => problem.again(LATER),
            _ => problem,
        }
    }
}

fn status(failure: &Failure) -> u16 {
    if failure.is_transient() {
        return 503;
    }
    match failure.code {
        Code::NotFound | Code::Security => 503,
        Code::InvalidArgument => 422,
        Code::TooLarge => 413,
        Code::Timeout => 504,
        Code::RuntimeError | Code::InvalidEncoding | Code::UnsupportedOperation | Code::Unknown => {
            500
        }
    }
}

/// What to do where the host does not say.
const fn otherwise(status: u16) -> &'static str {
    match status {
        413 => "send less",
        422 => "send something else",
        503 | 504 => "try again in a moment",
        _ => "tell the operator of this server",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(code: Code, text: &str) -> Problem {
        let text = text.to_owned();
        Problem::from(Failure { code, text })
    }

    fn retry_after(problem: &Problem) -> Option<String> {
        let answer = problem.answer();
        let mut headers = answer.headers.into_iter();
        headers.find_map(|(name, value)| (name == "retry-after").then_some(value))
    }

    #[test]
    fn what_passes_may_be_tried_again_and_says_when() {
        let busy = problem(
            Code::RuntimeError,
            "busy: the queue is full; hint: try again; reason: queue-full",
        );
        assert_eq!(busy.status, 503);
        assert_eq!(retry_after(&busy), Some("1".to_owned()));
        assert_eq!(
            busy.answer().text,
            "{\"error\":\"busy: the queue is full\",\"hint\":\"try again\",\"reason\":\"queue-full\"}\n"
        );
    }

    #[test]
    fn a_model_that_is_not_there_is_no_fault_of_the_client() {
        let missing = problem(Code::NotFound, "there is no model a; hint: `nnctl list`");
        assert_eq!(
            (missing.status, missing.hint.as_str()),
            (503, "`nnctl list`")
        );
        assert_eq!(retry_after(&missing), Some("10".to_owned()));
    }

    #[test]
    fn a_failure_without_advice_gets_some() {
        let statuses = [
            problem(Code::RuntimeError, "the model failed"),
            problem(Code::Timeout, "the deadline passed"),
            problem(Code::TooLarge, "too much"),
            problem(Code::InvalidArgument, "no"),
        ];
        assert!(statuses.iter().all(|problem| !problem.hint.is_empty()));
        assert_eq!(statuses.map(|problem| problem.status), [500, 504, 413, 422]);
    }

    #[test]
    fn a_method_is_named_and_not_at_any_length() {
        let answer = Problem::method(&"M".repeat(1000), "POST", "POST something").answer();
        assert!(answer.text.len() < 120, "{answer:?}");
        assert!(answer.headers.contains(&("allow", "POST".to_owned())));
    }
}
