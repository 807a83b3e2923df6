//! What a client asks, as JSON, and the bounds of it.

use http_json::Problem;
use serde::Deserialize;

use crate::USAGE;

pub(crate) const BODY_BYTES_MAX: usize = 256 << 10;

/// Each is a row of the model's batch: 65 rows of 128 tokens are 13 MB of numbers.
const TEXTS_MAX: usize = 64;

/// Whoever sends more meant a document: the model looks at 128 tokens.
const TEXT_CHARS_MAX: usize = 4000;

/// A sentence, and those to compare it with.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Question {
    pub(crate) query: String,
    pub(crate) texts: Vec<String>,
}

/// Whether a content type is JSON's, with whatever parameters.
pub(crate) fn is_json(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}

// === impl Question ===

impl Question {
    /// Reads a request's body.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Problem> {
        let question: Self = serde_json::from_slice(body).map_err(|error| {
            // What is no JSON at all, and JSON that says something else.
            let status = if error.is_data() { 422 } else { 400 };
            Problem::new(status, format!("the body cannot be used: {error}"), USAGE)
        })?;
        question.check()?;
        Ok(question)
    }

    fn check(&self) -> Result<(), Problem> {
        let count = self.texts.len();
        if count == 0 {
            return Err(unfit(
                "there is no text to compare with",
                "send at least one",
            ));
        }
        if count > TEXTS_MAX {
            let error = format!("{count} texts are more than {TEXTS_MAX}");
            return Err(Problem::new(413, error, "send them in several requests"));
        }
        for text in std::iter::once(&self.query).chain(&self.texts) {
            if text.trim().is_empty() {
                return Err(unfit("a text is empty", "send a sentence each"));
            }
            let chars = text.chars().count();
            if chars > TEXT_CHARS_MAX {
                let error = format!("a text of {chars} characters is longer than {TEXT_CHARS_MAX}");
                return Err(Problem::new(413, error, "send a sentence each"));
            }
        }
        Ok(())
    }
}

fn unfit(error: &str, hint: &str) -> Problem {
    Problem::new(422, error, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(body: &str) -> u16 {
        Question::parse(body.as_bytes()).unwrap_err().status
    }

    #[test]
    fn a_query_and_texts_are_a_question() {
        let question = Question::parse(br#"{"query": "a", "texts": ["b", "c"]}"#).unwrap();
        assert_eq!((question.query.as_str(), question.texts.len()), ("a", 2));
    }

    #[test]
    fn what_is_no_json_and_what_says_something_else_are_told_apart() {
        let broken = ["", "{", "query=a", "{\"query\": \"\\ud800\"}"];
        let other = [
            "[]",
            "{}",
            r#"{"query": "a", "texts": "b"}"#,
            r#"{"query": "a", "texts": ["b"], "top": 1}"#,
        ];
        assert_eq!(broken.map(status), [400; 4]);
        assert_eq!(other.map(status), [422; 4]);
    }

    #[test]
    fn too_few_too_many_and_too_long_are_refused() {
        let many = format!(r#"{{"query": "a", "texts": [{}"b"]}}"#, "\"b\",".repeat(64));
        let long = format!(r#"{{"query": "a", "texts": ["{}"]}}"#, "b".repeat(4001));
        let none = r#"{"query": "a", "texts": []}"#;
        let blank = r#"{"query": " ", "texts": ["b"]}"#;
        assert_eq!(
            [&many, &long, none, blank].map(status),
            [413, 413, 422, 422]
        );
    }

    #[test]
    fn the_type_of_json_has_parameters_or_none() {
        let kinds = [
            "application/json",
            "Application/JSON; charset=utf-8",
            "text/plain",
            "",
        ];
        assert_eq!(kinds.map(is_json), [true, true, false, false]);
    }
}
