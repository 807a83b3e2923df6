//! One tenant's line for a model: its jobs in the order in which they came, and what it has had. Pure.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use nn_tensor::Id128;

use super::Ran;

/// What a job is thought to run before one of its model has: not known to be short.
const UNKNOWN: Duration = Duration::from_millis(1);

/// A decayed average counts the newest by so much less than all before.
const DECAY: u64 = 8;

/// A decayed average of how long jobs run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mean(Option<u64>);

/// A lane. Its time is what its jobs have run, in nanoseconds, divided by the tenant's weight.
#[derive(Debug)]
pub(super) struct Lane<J> {
    /// By number, which is the order of arrival; each with its session.
    jobs: BTreeMap<u64, (Id128, J)>,
    /// How many of them are of each session.
    sessions: HashMap<Id128, usize>,
    pub(super) weight: u32,
    /// Its time, by what has been run.
    pub(super) served: u64,
    /// What its jobs that workers have are thought to add.
    in_hand: u64,
    jobs_in_hand: usize,
    /// The number of its last turn; none has 0.
    last: u64,
    pub(super) run: Mean,
}

// === impl Mean ===

impl Mean {
    pub(super) fn count(&mut self, ran: Ran) {
        let Ran::Whole(ran) = ran else { return };
        let ran = nanos(ran);
        let mean = |mean: u64| (mean - mean / DECAY).saturating_add(ran / DECAY);
        self.0 = Some(self.0.map_or(ran, mean));
    }

    /// What the next is thought to run, by this or else by another.
    pub(super) fn or(self, other: Self) -> Duration {
        let known = self.0.or(other.0).map(Duration::from_nanos);
        known.unwrap_or(UNKNOWN)
    }

    /// What is known.
    pub(super) fn known(self) -> Option<Duration> {
        self.0.map(Duration::from_nanos)
    }
}

// === impl Lane ===

impl<J> Lane<J> {
    /// One that has had so much time.
    pub(super) fn new(served: u64) -> Self {
        Self {
            jobs: BTreeMap::new(),
            sessions: HashMap::new(),
            weight: 1,
            served,
            in_hand: 0,
            jobs_in_hand: 0,
            last: 0,
            run: Mean::default(),
        }
    }

    /// What so much of running is of its time: at least something, so that turns go round.
    pub(super) fn time(&self, ran: Duration) -> u64 {
        (nanos(ran) / u64::from(self.weight.max(1))).max(1)
    }

    /// Where it stands, what it has in hand included; of several that stand alike the least is the one whose turn is
    /// longest ago.
    pub(super) fn stands_at(&self) -> (u64, u64) {
        (self.served.saturating_add(self.in_hand), self.last)
    }

    pub(super) fn waiting(&self) -> usize {
        self.jobs.len()
    }

    /// How many jobs of a session wait in it.
    pub(super) fn waiting_of(&self, session: Id128) -> usize {
        self.sessions.get(&session).copied().unwrap_or(0)
    }

    /// Whether it waits for anything, or a worker has something of it.
    pub(super) fn is_active(&self) -> bool {
        !self.jobs.is_empty() || self.jobs_in_hand > 0
    }

    /// Its first job, and that one's number.
    pub(super) fn first(&self) -> Option<(u64, &J)> {
        let (number, (_, job)) = self.jobs.first_key_value()?;
        Some((*number, job))
    }

    pub(super) fn put(&mut self, number: u64, session: Id128, job: J) {
        let of = self.sessions.entry(session).or_default();
        *of = of.saturating_add(1);
        self.jobs.insert(number, (session, job));
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<J> {
        let (session, job) = self.jobs.remove(&number)?;
        let left = self.waiting_of(session).saturating_sub(1);
        if left > 0 {
            self.sessions.insert(session, left);
        } else {
            self.sessions.remove(&session);
        }
        Some(job)
    }

    /// The numbers of its jobs of which this is true.
    pub(super) fn numbers(&self, mut is_one: impl FnMut(&J) -> bool) -> Vec<u64> {
        let ones = self.jobs.iter().filter(|(_, (_, job))| is_one(job));
        ones.map(|(number, _)| *number).collect()
    }

    /// A worker gets a job of it, which is thought to take so much of its time. It is the turn of that number.
    pub(super) fn hand_over(&mut self, time: u64, turn: u64) {
        self.last = turn;
        self.in_hand = self.in_hand.saturating_add(time);
        self.jobs_in_hand = self.jobs_in_hand.saturating_add(1);
    }

    /// That job has ended.
    pub(super) fn settle(&mut self, time: u64, ran: Ran) {
        self.in_hand = self.in_hand.saturating_sub(time);
        self.jobs_in_hand = self.jobs_in_hand.saturating_sub(1);
        if let Ran::InPart(ran) | Ran::Whole(ran) = ran {
            self.served = self.served.saturating_add(self.time(ran));
        }
        self.run.count(ran);
    }
}

/// Whole nanoseconds, saturating: 584 years.
pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_average_follows_what_was_run_lately() {
        let mut mean = Mean::default();
        assert_eq!((mean.known(), mean.or(mean)), (None, UNKNOWN));
        mean.count(Ran::Whole(Duration::from_millis(80)));
        assert_eq!(mean.known(), Some(Duration::from_millis(80)));
        mean.count(Ran::Whole(Duration::ZERO));
        assert_eq!(mean.known(), Some(Duration::from_millis(70)));
        (0..100).for_each(|_| mean.count(Ran::Whole(Duration::from_millis(5))));
        let known = mean.known().unwrap();
        assert!(known.abs_diff(Duration::from_millis(5)) < Duration::from_micros(1));
        mean.count(Ran::InPart(Duration::MAX));
        mean.count(Ran::Nothing);
        assert_eq!(mean.known(), Some(known));
        mean.count(Ran::Whole(Duration::MAX));
        assert!(mean.known() > Some(known));
    }

    #[test]
    fn a_lane_forgets_sessions_that_wait_for_nothing() {
        let mut lane = Lane::new(0);
        lane.put(1, Id128(7), 'a');
        lane.put(2, Id128(7), 'b');
        assert_eq!((lane.waiting(), lane.waiting_of(Id128(7))), (2, 2));
        assert_eq!(lane.remove(1), Some('a'));
        assert_eq!(lane.remove(1), None);
        assert_eq!(
            (lane.first(), lane.waiting_of(Id128(7))),
            (Some((2, &'b')), 1)
        );
        assert_eq!(lane.remove(2), Some('b'));
        assert!(lane.sessions.is_empty());
    }

    #[test]
    fn what_was_handed_over_and_not_run_costs_nothing() {
        let mut lane = Lane::<()>::new(5);
        lane.hand_over(100, 1);
        assert_eq!((lane.stands_at(), lane.is_active()), ((105, 1), true));
        lane.settle(100, Ran::Nothing);
        assert_eq!((lane.stands_at(), lane.is_active()), ((5, 1), false));
    }
}
