//! What nn-host says to people: all of it on stderr, because stdout is the guest's.

use std::io::{self, IsTerminal};

use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::exit::Failure;

/// What the crates of this project are called begins so; the others (HTTP/2 and the like) speak up only
/// when something is wrong.
const OUR_OWN: &str = "nn_";

/// How much of an error is shown: what it quotes may be a guest's, and of any length.
const SHOWN_CHARS_MAX: usize = 8 * 1024;

/// Starts the log.
pub(crate) fn start(level: Level) {
    let others = level.min(Level::WARN);
    let filter = Targets::new()
        .with_default(others)
        .with_target(OUR_OWN, level);
    let ansi = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(ansi)
        .with_target(false);
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .init();
}

/// Text that may hold anything, for a terminal: no control characters but line ends, and not endless.
fn printable(text: &str) -> String {
    let mut shown = String::new();
    for (count, letter) in text.chars().enumerate() {
        if count >= SHOWN_CHARS_MAX {
            shown.push('…');
            break;
        }
        match letter {
            '\n' => shown.push(letter),
            _ if letter.is_control() => shown.extend(letter.escape_default()),
            _ => shown.push(letter),
        }
    }
    shown
}

/// Repeats what a private daemon has complained of.
#[expect(
    clippy::print_stderr,
    reason = "the daemon's words, not a line of this log"
)]
pub(crate) fn repeat(lines: &[String]) {
    for line in lines {
        eprintln!("nn-daemon: {}", printable(line));
    }
}

/// Says why nn-host ends: the error, its causes, and what to do next.
#[expect(
    clippy::print_stderr,
    reason = "the last word to the user, not a log line"
)]
pub(crate) fn report(error: &anyhow::Error) {
    eprintln!("nn-host: error: {}", printable(&format!("{error:#}")));
    let hint = error.downcast_ref::<Failure>().and_then(Failure::hint);
    if let Some(hint) = hint {
        eprintln!("hint: {hint}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_lines_stay() {
        assert_eq!(printable("a\x1b[31m\u{7}\nb é"), "a\\u{1b}[31m\\u{7}\nb é");
    }

    #[test]
    fn what_is_endless_is_cut() {
        let shown = printable(&"x".repeat(1 << 20));
        assert_eq!(shown.chars().count(), SHOWN_CHARS_MAX + 1);
    }
}
