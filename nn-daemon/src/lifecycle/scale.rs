//! How many instances a version is to have, between the least and the most that its `model.toml` says. Pure.
//!
//! One more where for each of them a call has been waiting behind the one that it computes for `limits.instance_busy_ms`: it
//! would have something to do at once; unless somebody's load wants for room. One less where one has had nothing to do
//! for `limits.instance_idle_ms`. Calls go to the instance with the fewest, so that where some have nothing to do none has
//! calls waiting.

use std::time::Duration;

use nn_catalogue::Instances;

use crate::limits::Limits;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Up,
    Down,
    Stay,
}

/// How long what is seen must last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) range: Instances,
    pub(super) busy: Duration,
    pub(super) idle: Duration,
}

/// What is seen of a pool.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// Those that serve.
    pub(super) serving: u32,
    /// One more is being started.
    pub(super) is_coming: bool,
    /// A load that somebody waits for finds no room.
    pub(super) is_room_wanted: bool,
    /// For how long all have been busy.
    pub(super) busy: Duration,
    /// For how long the one that would go has had nothing to do.
    pub(super) idle: Duration,
}

/// For how long all instances have been busy: what they were not is taken off, so that the moment between two calls
/// does not undo seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Busy(Duration);

// === impl Rules ===

impl Rules {
    pub(super) fn new(range: Instances, limits: &Limits) -> Self {
        Self {
            range,
            busy: Duration::from_millis(limits.instance_busy_ms),
            idle: Duration::from_millis(limits.instance_idle_ms),
        }
    }

    /// Whether anything is to be decided at all.
    pub(super) fn is_elastic(&self) -> bool {
        self.range.min < self.range.max
    }

    pub(super) fn step(&self, seen: Seen) -> Step {
        let Instances { min, max } = self.range;
        let is_idle = seen.idle >= self.idle;
        if seen.serving > min && is_idle {
            return Step::Down;
        }
        let has_place =
            !seen.is_room_wanted && seen.serving > 0 && seen.serving < max && !seen.is_coming;
        if has_place && seen.busy >= self.busy {
            return Step::Up;
        }
        Step::Stay
    }
}

// === impl Busy ===

impl Busy {
    /// They were, or were not, for so long.
    pub(super) fn add(&mut self, is_busy: bool, time: Duration) {
        self.0 = if is_busy {
            self.0.saturating_add(time)
        } else {
            self.0.saturating_sub(time)
        };
    }

    pub(super) fn time(self) -> Duration {
        self.0
    }

    /// One more is on the way: it is seen anew how much that helps.
    pub(super) fn forget(&mut self) {
        self.0 = Duration::ZERO;
    }
}

#[cfg(test)]
mod tests;
