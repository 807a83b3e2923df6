//! The last of what a model's workers have written: kept within bounds for operators, over restarts of the workers, and
//! told to whoever follows. Whoever writes never waits.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::watch;

/// What is kept of one version, texts and what each line costs besides, in bytes.
const BYTES_MAX: usize = 64 * 1024;

/// What a line costs besides its text: a worker that writes empty lines fills the tail too.
const LINE_BYTES: usize = 64;

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Counts up from 1.
    pub(crate) number: u64,
    /// By the wall clock.
    pub(crate) unix_us: u64,
    pub(crate) worker: u32,
    /// Without control characters.
    pub(crate) text: Box<str>,
}

/// What the workers of one version have written.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    kept: Mutex<Kept>,
    /// The number of the last line.
    last: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<Arc<Line>>,
    bytes: usize,
}

/// Text as it may be shown on a terminal.
pub(super) fn plain(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for c in String::from_utf8_lossy(bytes).chars() {
        if c.is_control() {
            text.extend(c.escape_unicode());
        } else {
            text.push(c);
        }
    }
    text
}

// === impl Tail ===

impl Tail {
    /// Adds a line, for which the oldest ones make room.
    pub(super) fn add(&self, worker: u32, text: &str) {
        let mut kept = self.kept();
        let number = self.last.borrow().saturating_add(1);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let line = Line {
            number,
            unix_us: now.map_or(0, super::micros),
            worker,
            text: text.into(),
        };
        kept.bytes = kept.bytes.saturating_add(line.bytes());
        kept.lines.push_back(Arc::new(line));
        while kept.bytes > BYTES_MAX {
            let Some(oldest) = kept.lines.pop_front() else {
                break;
            };
            kept.bytes = kept.bytes.saturating_sub(oldest.bytes());
        }
        // Before the lock goes: whoever hears of the line finds it.
        self.last.send_replace(number);
    }

    /// The lines after that number, and how many of them are no longer kept.
    pub(crate) fn after(&self, number: u64) -> (u64, Vec<Arc<Line>>) {
        let kept = self.kept();
        let later = kept.lines.iter().filter(|line| line.number > number);
        let later: Vec<Arc<Line>> = later.cloned().collect();
        let next = later.first().map_or_else(
            || self.last.borrow().saturating_add(1),
            |oldest| oldest.number,
        );
        (next.saturating_sub(number).saturating_sub(1), later)
    }

    /// Changes with each line.
    pub(crate) fn news(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Line ===

impl Line {
    fn bytes(&self) -> usize {
        self.text.len().saturating_add(LINE_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(tail: &Tail, after: u64) -> (u64, Vec<String>) {
        let (lost, lines) = tail.after(after);
        (
            lost,
            lines.iter().map(|line| line.text.to_string()).collect(),
        )
    }

    #[test]
    fn lines_are_kept_in_their_order_whichever_worker_wrote_them() {
        let tail = Tail::default();
        tail.add(1, "a");
        tail.add(2, "b");
        assert_eq!(texts(&tail, 0), (0, vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(texts(&tail, 1), (0, vec!["b".to_owned()]));
        assert_eq!(texts(&tail, 2), (0, Vec::new()));
        let workers: Vec<u32> = tail.after(0).1.iter().map(|line| line.worker).collect();
        assert_eq!(workers, [1, 2]);
    }

    #[test]
    fn a_flood_pushes_out_the_oldest_and_what_is_gone_is_counted() {
        let tail = Tail::default();
        (0..1000).for_each(|n| tail.add(1, &format!("{n:0448}")));
        let (lost, lines) = tail.after(0);
        assert_eq!((lost, lines.len()), (872, 128));
        assert_eq!(lines.last().unwrap().number, 1000);
        assert_eq!(tail.after(900).0, 0);
    }

    #[test]
    fn empty_lines_fill_the_tail_too() {
        let tail = Tail::default();
        (0..100_000).for_each(|_| tail.add(1, ""));
        assert_eq!(tail.after(0).1.len(), BYTES_MAX / LINE_BYTES);
    }

    #[tokio::test]
    async fn whoever_hears_of_a_line_finds_it() {
        let tail = Tail::default();
        let mut news = tail.news();
        tail.add(1, "a");
        news.changed().await.unwrap();
        assert_eq!(texts(&tail, 0).1, ["a"]);
    }

    #[test]
    fn what_would_drive_a_terminal_is_escaped() {
        assert_eq!(
            plain(b"\x1b[2J \"\xff\"\r"),
            "\\u{1b}[2J \"\u{fffd}\"\\u{d}"
        );
    }
}
