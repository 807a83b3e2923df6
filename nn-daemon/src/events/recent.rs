//! The last events, as text in one piece of memory that is asked for once. As many small pieces that live for long, each
//! made among others that are soon gone, they would keep the heap from ever getting smaller.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Event, RECENT_MAX};

/// All of them as lines of JSON, in bytes. More than a thousand usual ones; of the longest that there may be, some 120.
const TEXT_BYTES_MAX: usize = 256 * 1024;

/// The last events.
#[derive(Debug)]
pub(super) struct Recent {
    lines: VecDeque<Line>,
    text: VecDeque<u8>,
}

/// Where one ends: the next begins there.
#[derive(Clone, Copy, Debug)]
struct Line {
    number: u64,
    bytes: usize,
}

impl Recent {
    /// What was known before.
    pub(super) fn new(known: &[Event]) -> Self {
        let mut recent = Self {
            lines: VecDeque::with_capacity(RECENT_MAX),
            text: VecDeque::with_capacity(TEXT_BYTES_MAX),
        };
        let skip = known.len().saturating_sub(RECENT_MAX);
        known.iter().skip(skip).for_each(|event| recent.push(event));
        recent
    }

    /// The next one; the oldest go for it.
    pub(super) fn push(&mut self, event: &Event) {
        // An event is text and numbers: nothing of it cannot be written.
        let Ok(line) = serde_json::to_vec(event) else {
            return;
        };
        while self.lines.len() >= RECENT_MAX
            || self.text.len().saturating_add(line.len()) > TEXT_BYTES_MAX
        {
            let Some(oldest) = self.lines.pop_front() else {
                return;
            };
            self.text.drain(..oldest.bytes);
        }
        self.lines.push_back(Line {
            number: event.number,
            bytes: line.len(),
        });
        self.text.extend(line);
    }

    /// Those after that number, in their order.
    pub(super) fn after(&mut self, number: u64) -> Vec<Arc<Event>> {
        let mut rest: &[u8] = self.text.make_contiguous();
        let mut later = Vec::new();
        for line in &self.lines {
            let (text, next) = rest.split_at_checked(line.bytes).unwrap_or_default();
            rest = next;
            if line.number > number {
                later.extend(serde_json::from_slice(text).map(Arc::new).ok());
            }
        }
        later
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, Told};
    use super::*;

    fn event(number: u64, detail: &str) -> Event {
        let Told(event) = Told::new(Kind::Denied).of("foo@1").because(detail);
        Event { number, ..event }
    }

    fn numbers(recent: &mut Recent, after: u64) -> Vec<u64> {
        recent.after(after).iter().map(|one| one.number).collect()
    }

    #[test]
    fn what_was_pushed_comes_back_as_it_was() {
        let one = event(7, "quotes \" and \\ and ü");
        let mut recent = Recent::new(std::slice::from_ref(&one));
        recent.push(&event(8, ""));
        assert_eq!(*recent.after(0)[0], one);
        assert_eq!(numbers(&mut recent, 7), [8]);
    }

    #[test]
    fn the_oldest_go_first_by_number_and_by_length() {
        let mut recent = Recent::new(&[]);
        let many = u64::try_from(RECENT_MAX).unwrap();
        (1..=many + 3).for_each(|number| recent.push(&event(number, "x")));
        let left = numbers(&mut recent, 0);
        assert_eq!((left.len(), left[0]), (RECENT_MAX, 4));

        let before = recent.text.capacity();
        let long = "\u{1d11e}".repeat(512);
        (1..=2 * many).for_each(|number| recent.push(&event(many + 3 + number, &long)));
        let left = numbers(&mut recent, 0);
        assert!((100..200).contains(&left.len()), "{}", left.len());
        assert!(left.is_sorted() && left.last() == Some(&(3 * many + 3)));
        assert_eq!(recent.text.capacity(), before, "it was asked for once");
    }
}
