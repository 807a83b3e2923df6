//! One thing that was looked at, and what came of it.

use serde::Serialize;

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// This user, or nobody, can tell.
    Unknown,
    /// It works, but not as well or as safely as it could.
    Warning,
    /// It does not work.
    Problem,
}

/// What was found, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// `GROUP.WHAT`; never changes its meaning.
    pub(super) id: String,
    pub(super) level: Level,
    pub(super) found: String,
    /// Empty where there is nothing to do.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) advice: String,
}

// === impl Finding ===

impl Finding {
    pub(super) fn ok(id: &str, found: impl Into<String>) -> Self {
        Self::new(id, Level::Ok, found.into(), String::new())
    }

    pub(super) fn unknown(id: &str, found: impl Into<String>) -> Self {
        Self::new(id, Level::Unknown, found.into(), String::new())
    }

    pub(super) fn warning(id: &str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(id, Level::Warning, found.into(), advice.into())
    }

    pub(super) fn problem(id: &str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(id, Level::Problem, found.into(), advice.into())
    }

    fn new(id: &str, level: Level, found: String, advice: String) -> Self {
        Self {
            id: id.to_owned(),
            level,
            found,
            advice,
        }
    }
}
