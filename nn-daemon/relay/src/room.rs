//! Memory for outputs that is asked for and has not come. One question an arena at a time, because answers do not say which
//! they are for: those that need memory of it meanwhile wait for the same answer, and ask again if it is not enough.

use std::collections::HashMap;

use nn_tensor::ArenaId;
use tokio::sync::oneshot::{self, Receiver, Sender};

/// What came of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Growth {
    /// A segment of so many bytes.
    Room(u64),
    /// None now.
    NoRoom,
    /// None ever, for so much.
    TooLarge,
}

/// An answer, and for how many bytes was asked.
pub(crate) type Told = (Growth, u64);

/// Every arena that was asked for.
#[derive(Debug, Default)]
pub(crate) struct Rooms(HashMap<ArenaId, Asked>);

#[derive(Debug)]
struct Asked {
    bytes: u64,
    waiting: Vec<Sender<Told>>,
}

// === impl Rooms ===

impl Rooms {
    /// Waits for memory of this arena. True where that has to be asked for first.
    pub(crate) fn wait(&mut self, arena: ArenaId, bytes: u64) -> (bool, Receiver<Told>) {
        let (sender, receiver) = oneshot::channel();
        let is_first = !self.0.contains_key(&arena);
        let asked = self.0.entry(arena).or_insert_with(|| Asked {
            bytes,
            waiting: Vec::new(),
        });
        // Jobs that went meanwhile.
        asked.waiting.retain(|one| !one.is_closed());
        asked.waiting.push(sender);
        (is_first, receiver)
    }

    /// The answer. A segment that is smaller than what was asked for was on its way already, and is none.
    pub(crate) fn told(&mut self, arena: ArenaId, growth: Growth) {
        let Some(asked) = self.0.get(&arena) else {
            return;
        };
        if matches!(growth, Growth::Room(bytes) if bytes < asked.bytes) {
            return;
        }
        let Some(asked) = self.0.remove(&arena) else {
            return;
        };
        for waiting in asked.waiting {
            // One that has gone needs none.
            let _ = waiting.send((growth, asked.bytes));
        }
    }

    /// The arena is gone: nothing comes any more.
    pub(crate) fn forget(&mut self, arena: ArenaId) {
        self.0.remove(&arena);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARENA: ArenaId = ArenaId(7);

    #[test]
    fn one_question_an_arena_and_all_are_told() {
        let mut rooms = Rooms::default();
        let (first, mut one) = rooms.wait(ARENA, 100);
        let (second, mut other) = rooms.wait(ARENA, 200);
        assert!(first && !second);
        assert!(rooms.wait(ArenaId(8), 1).0);
        rooms.told(ARENA, Growth::Room(99));
        assert!(one.try_recv().is_err());
        rooms.told(ARENA, Growth::Room(100));
        assert_eq!(one.try_recv(), Ok((Growth::Room(100), 100)));
        assert_eq!(other.try_recv(), Ok((Growth::Room(100), 100)));
        assert!(rooms.wait(ARENA, 200).0);
    }

    #[test]
    fn who_has_gone_does_not_keep_others_from_asking() {
        let mut rooms = Rooms::default();
        drop(rooms.wait(ARENA, 100));
        rooms.told(ARENA, Growth::NoRoom);
        assert!(rooms.wait(ARENA, 100).0);
        rooms.forget(ARENA);
        rooms.told(ARENA, Growth::NoRoom);
        assert!(rooms.wait(ARENA, 100).0);
    }
}
