//! What nn-host says to people: all of it on stderr, because stdout is the guest's. Where stderr is the
//! journal, its lines carry priorities in place of times and colours.

use std::io::{self, IsTerminal};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nn_service::{JournalLines, stderr_is_journal};
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

/// Lets so many lines a second through and counts the others: for lines that a guest or a client can
/// cause, one for each place that writes them.
#[derive(Debug)]
pub(crate) struct Limiter {
    per_second: u64,
    window: Mutex<Option<Window>>,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    asked: u64,
}

/// Starts the log.
pub(crate) fn start(level: Level) {
    let others = level.min(Level::WARN);
    let filter = Targets::new()
        .with_default(others)
        // What a guest does wrong with HTTP, as often as it likes.
        .with_target("wasmtime_wasi_http", Level::ERROR)
        .with_target(OUR_OWN, level);
    let ansi = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(ansi)
        .with_target(false);
    let registry = tracing_subscriber::registry().with(filter);
    if stderr_is_journal() {
        let lines = lines.with_ansi(false).event_format(JournalLines);
        registry.with(lines).init();
    } else {
        registry.with(lines).init();
    }
}

/// Text that may hold anything, for a terminal: no control characters but line ends, and not endless.
pub(crate) fn printable(text: &str) -> String {
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

// === impl Limiter ===

impl Limiter {
    pub(crate) const fn new(per_second: u64) -> Self {
        Self {
            per_second,
            window: Mutex::new(None),
        }
    }

    /// Whether a line may be written now; if so, how many were kept back in the last second that had any.
    pub(crate) fn pass(&self) -> Option<u64> {
        let mut window = self.window.lock().ok()?;
        let now = Instant::now();
        match window.as_mut() {
            Some(open) if now.duration_since(open.began) < Duration::from_secs(1) => {
                open.asked = open.asked.saturating_add(1);
                (open.asked <= self.per_second).then_some(0)
            }
            last => {
                let asked = last.map_or(0, |window| window.asked);
                *window = Some(Window {
                    began: now,
                    asked: 1,
                });
                Some(asked.saturating_sub(self.per_second))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_kept_back() {
        let limiter = Limiter::new(10);
        let through = (0..1000).filter_map(|_| limiter.pass()).count();
        assert!((10..=100).contains(&through), "{through}");
    }

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
