//! Where log lines go (stderr, in the journal's form if that is what it is), and the limiter for lines that a client or a model can cause.

use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nn_service::{JournalLines, stderr_is_journal};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Lines a [`Limiter`] lets through each second.
const LINES_PER_SECOND: u32 = 50;

/// Starts logging. The libraries below us speak from warnings up.
pub fn start(level: tracing::Level) {
    let targets = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("nn_daemon", level);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = if stderr_is_journal() {
        lines.event_format(JournalLines).with_ansi(false).boxed()
    } else {
        let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
        lines.with_ansi(colours).boxed()
    };
    // A second start, as in tests, keeps the first subscriber.
    let _ = tracing_subscriber::registry()
        .with(targets)
        .with(lines)
        .try_init();
}

/// Prints what was asked for to stdout. A closed pipe is the reader's wish, not an error.
pub fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// A short id that ties a client's error to the line in the log that explains it.
#[must_use]
pub(crate) fn log_id() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{:06x}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Lets so many lines a second through and counts the others.
#[derive(Debug)]
pub(crate) struct Limiter {
    window: Mutex<Option<(Instant, u32)>>,
}

impl Limiter {
    pub(crate) const fn new() -> Self {
        Self {
            window: Mutex::new(None),
        }
    }

    /// Whether a line may be written now.
    pub(crate) fn allows(&self) -> bool {
        let Ok(mut window) = self.window.lock() else {
            return false;
        };
        let now = Instant::now();
        match window.as_mut() {
            Some((start, lines)) if now.duration_since(*start) < Duration::from_secs(1) => {
                *lines = lines.saturating_add(1);
                *lines <= LINES_PER_SECOND
            }
            _ => {
                *window = Some((now, 1));
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limiter_stops_a_flood() {
        let limiter = Limiter::new();
        let through = (0..1000).filter(|_| limiter.allows()).count();
        assert!((1..=200).contains(&through), "{through}");
    }
}
