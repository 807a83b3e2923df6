//! A session's part in a model's queue. Nobody may wait with as many jobs as there are places left: alone a session gets
//! half of the queue, of two each a third, and for one that has nothing waiting there is always a place, until there are
//! as many sessions as places. Who is served next is not decided here: jobs run in the order in which they came.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nn_tensor::Id128;

/// How many jobs of each session wait in one queue.
#[derive(Debug, Default)]
pub(super) struct Shares(Mutex<HashMap<Id128, usize>>);

/// One job's place; dropped, it is free.
#[derive(Debug)]
pub(crate) struct Share {
    shares: Arc<Shares>,
    session: Id128,
}

impl Shares {
    fn waiting(&self) -> MutexGuard<'_, HashMap<Id128, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more job of a session, of so many that are free; `None` if it has had its part.
    pub(super) fn enter(self: &Arc<Self>, session: Id128, free: usize) -> Option<Share> {
        let mut waiting = self.waiting();
        let own = waiting.get(&session).copied().unwrap_or(0);
        if own >= free {
            return None;
        }
        waiting.insert(session, own.saturating_add(1));
        Some(Share {
            shares: Arc::clone(self),
            session,
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut waiting = self.shares.waiting();
        let own = waiting.get(&self.session).copied().unwrap_or(0);
        if own > 1 {
            waiting.insert(self.session, own.saturating_sub(1));
        } else {
            waiting.remove(&self.session);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: usize = 12;

    /// Fills a queue with jobs of one session after another; gives how many of each got in.
    fn fill(shares: &Arc<Shares>, sessions: u128) -> (Vec<usize>, Vec<Share>) {
        let mut held = Vec::new();
        let counts = (1..=sessions).map(|session| {
            let before = held.len();
            while let Some(share) = shares.enter(Id128(session), PLACES - held.len()) {
                held.push(share);
            }
            held.len() - before
        });
        (counts.collect(), held)
    }

    #[test]
    fn one_session_gets_half_and_the_next_half_of_what_is_left() {
        let shares = Arc::default();
        let (counts, _held) = fill(&shares, 4);
        assert_eq!(counts, [6, 3, 2, 1]);
    }

    #[test]
    fn a_session_without_a_job_gets_a_place_while_there_is_one() {
        let shares = Arc::default();
        let (_, held) = fill(&shares, 2);
        assert!(shares.enter(Id128(9), PLACES - held.len()).is_some());
        assert!(shares.enter(Id128(10), 1).is_some());
        assert!(shares.enter(Id128(11), 0).is_none());
    }

    #[test]
    fn places_that_are_given_back_may_be_taken_again() {
        let shares = Arc::default();
        let (_, held) = fill(&shares, 1);
        drop(held);
        assert!(shares.waiting().is_empty());
        assert_eq!(fill(&shares, 1).0, [6]);
    }
}
