//! Why a call came to nothing: what the client reads, what only the log does, whether anything was sent, and whether it
//! speaks against the endpoint.

use nn_tensor::{Fault, Reason};
use nn_worker_wire::Failure;

use super::breaker::Verdict;

/// How much of an engine's own words is kept, in characters.
const WORDS_MAX: usize = 512;

/// How much of each name that it gives.
const BRIEF_MAX: usize = 64;

/// A call that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Which row of the table.
    pub reason: Reason,
    /// What would have been right, in words of ours.
    pub expected: String,
    /// What came, in words of ours.
    pub got: String,
    /// What others said, for the log: cut, and without control characters.
    pub detail: String,
    /// Whether the engine may have begun with it.
    pub sent: bool,
    /// Whether the endpoint is to blame.
    pub blames: bool,
}

// === impl Failed ===

impl Failed {
    /// For this reason, with nothing sent; the endpoint is to blame.
    #[must_use]
    pub fn unsent(reason: Reason, detail: &str) -> Self {
        Self {
            reason,
            expected: String::new(),
            got: String::new(),
            detail: cut(detail),
            sent: false,
            blames: true,
        }
    }

    /// For this reason, after it was sent; the endpoint is to blame.
    #[must_use]
    pub fn sent(reason: Reason, detail: &str) -> Self {
        Self {
            sent: true,
            ..Self::unsent(reason, detail)
        }
    }

    /// The endpoint is not to blame.
    #[must_use]
    pub fn blameless(self) -> Self {
        Self {
            blames: false,
            ..self
        }
    }

    /// With what would have been right.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = expected.into();
        self
    }

    /// With what came.
    #[must_use]
    pub fn got(mut self, got: impl Into<String>) -> Self {
        self.got = got.into();
        self
    }

    /// What it says of the endpoint.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if self.blames {
            Verdict::Bad(self.reason)
        } else {
            Verdict::Unknown
        }
    }

    /// As the daemon is told.
    #[must_use]
    pub fn into_failure(self) -> Failure {
        let fault = Fault::of(self.reason).expected(self.expected).got(self.got);
        Failure::new(fault, self.detail)
    }
}

/// Others' words: not many of them, and none that steer a terminal.
#[must_use]
pub fn cut(words: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let mut chars = words.chars();
    let mut cut: String = chars.by_ref().take(WORDS_MAX).map(plain).collect();
    if chars.next().is_some() {
        cut.push('…');
    }
    cut
}

/// The beginning of others' words: to be written before it is known how long they are.
#[must_use]
pub fn brief(words: &str) -> &str {
    words
        .char_indices()
        .nth(BRIEF_MAX)
        .and_then(|(at, _)| words.get(..at))
        .unwrap_or(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_any_length_are_brief() {
        assert_eq!(brief("FP32"), "FP32");
        let long = "ö".repeat(1 << 20);
        assert_eq!(brief(&long), "ö".repeat(BRIEF_MAX));
    }

    #[test]
    fn others_words_are_one_line_and_not_long() {
        assert_eq!(cut("a\n\u{1b}[31m"), "a  [31m");
        assert!(cut(&"ö".repeat(10_000)).len() < 2 * WORDS_MAX + 8);
    }

    #[test]
    fn the_client_reads_our_words_and_the_log_theirs() {
        let failed = Failed::sent(Reason::RemoteFailed, "their words").got("gRPC status INTERNAL");
        let (fault, detail) = failed.into_failure().split();
        assert!(!fault.to_string().contains("their words"));
        assert!(fault.got.contains("INTERNAL"));
        assert_eq!(detail, "their words");
    }
}
