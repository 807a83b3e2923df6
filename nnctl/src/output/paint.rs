//! Colour: what a word of state is shown in, and when there is any. The only place that knows. JSON never has colour,
//! and neither has what goes to a file or a pipe, or to a user who has set NO_COLOR (<https://no-color.org>).

use std::ffi::OsStr;

/// Whether there is colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    /// None.
    Plain,
    /// By the escape sequences that every terminal has.
    Ansi,
}

/// What a terminal is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Colour {
    /// As it should be.
    Green,
    /// On its way, or not as well as it could be.
    Yellow,
    /// Wrong.
    Red,
    /// Not there, and no harm.
    Dim,
}

/// What the environment says of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish<'a> {
    pub(super) terminal: bool,
    pub(super) no_color: Option<&'a OsStr>,
    pub(super) term: Option<&'a OsStr>,
}

// === impl Paint ===

impl Paint {
    pub(super) fn of(wish: Wish<'_>) -> Self {
        let refused = wish.no_color.is_some_and(|set| !set.is_empty());
        let dumb = wish.term.is_none_or(|term| term == "dumb");
        if wish.terminal && !refused && !dumb {
            Self::Ansi
        } else {
            Self::Plain
        }
    }

    /// The word in the colour of what it says, if it is a word of state.
    pub(crate) fn word(self, word: &str) -> String {
        match (self, Colour::of(word)) {
            (Self::Ansi, Some(colour)) => format!("\x1b[{}m{word}\x1b[0m", colour.code()),
            (Self::Ansi, None) | (Self::Plain, _) => word.to_owned(),
        }
    }
}

// === impl Colour ===

impl Colour {
    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "ready" | "READY" | "ok" | "yes" | "active" | "available" | "started" | "promoted" => {
                Self::Green
            }
            "loading" | "warming" | "restarting" | "draining" | "DRAINING" | "ending"
            | "rolled-back" | "left-out" | "WARNING" => Self::Yellow,
            "failed" | "quarantined" | "crashed" | "denied" | "lost" | "PROBLEM" | "NO"
            | "MISSING" | "DEGRADED" | "error" => Self::Red,
            "absent" | "unknown" | "untried" | "unloaded" => Self::Dim,
            _ => return None,
        })
    }

    const fn code(self) -> &'static str {
        match self {
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Red => "31",
            Self::Dim => "2",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMINAL: Wish<'_> = Wish {
        terminal: true,
        no_color: None,
        term: None,
    };

    fn with(no_color: Option<&'static str>, term: &'static str) -> Paint {
        Paint::of(Wish {
            no_color: no_color.map(OsStr::new),
            term: Some(OsStr::new(term)),
            ..TERMINAL
        })
    }

    #[test]
    fn there_is_colour_on_a_terminal_and_nowhere_else() {
        assert_eq!(with(None, "xterm"), Paint::Ansi);
        let pipe = Wish {
            terminal: false,
            term: Some(OsStr::new("xterm")),
            ..TERMINAL
        };
        assert_eq!(Paint::of(pipe), Paint::Plain);
        assert_eq!(with(None, "dumb"), Paint::Plain);
        assert_eq!(Paint::of(TERMINAL), Paint::Plain);
    }

    #[test]
    fn who_wants_none_has_none_and_an_empty_wish_is_none() {
        assert_eq!(with(Some("1"), "xterm"), Paint::Plain);
        assert_eq!(with(Some(""), "xterm"), Paint::Ansi);
    }

    #[test]
    fn words_of_state_have_the_colour_of_what_they_say() {
        assert_eq!(Paint::Ansi.word("ready"), "\x1b[32mready\x1b[0m");
        assert_eq!(Paint::Ansi.word("failed"), "\x1b[31mfailed\x1b[0m");
        assert_eq!(Paint::Ansi.word("foo"), "foo");
        assert_eq!(Paint::Plain.word("failed"), "failed");
    }
}
