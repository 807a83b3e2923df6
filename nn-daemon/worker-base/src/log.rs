//! Lines for the daemon's log, on descriptor 2. A model may provoke as many as it likes: their number
//! and length are bounded here.

use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// The most lines a process writes in its life, the last one aside.
const LINES_MAX: u32 = 500;

/// The longest line, in bytes.
const LINE_BYTES_MAX: usize = 512;

static LINES: AtomicU32 = AtomicU32::new(0);

/// The program's name, which lines begin with.
static NAME: OnceLock<&str> = OnceLock::new();

/// Lines begin with this name. The first one holds.
pub fn name(name: &'static str) {
    let _ = NAME.set(name);
}

/// What lines begin with.
pub(crate) fn its_name() -> &'static str {
    NAME.get().copied().unwrap_or("nn-worker")
}

/// Writes a line, unless there were too many.
pub fn line(text: &str) {
    let before = LINES.fetch_add(1, Ordering::Relaxed);
    if before < LINES_MAX {
        last(text);
    } else if before == LINES_MAX {
        last("more lines than a process may write; the rest is dropped");
    } else {
        // Never back to zero by overflow.
        LINES.store(LINES_MAX.saturating_add(1), Ordering::Relaxed);
    }
}

/// Writes a line, however many there were.
pub fn last(text: &str) {
    // Nobody is left to tell that the log is gone.
    let _ = std::io::stderr().write_all(&clean(text));
}

/// One line: no control characters, bounded, ended.
fn clean(text: &str) -> Vec<u8> {
    let mut line = format!("{}: ", its_name());
    for c in text.trim_end().chars() {
        if line.len() >= LINE_BYTES_MAX {
            line.push('…');
            break;
        }
        line.push(if c.is_control() { ' ' } else { c });
    }
    line.push('\n');
    line.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(clean("a\nb\x1b[31mc\n"), b"nn-worker: a b [31mc\n");
    }

    #[test]
    fn a_line_is_bounded() {
        assert!(clean(&"ö".repeat(10_000)).len() < LINE_BYTES_MAX + 8);
    }
}
