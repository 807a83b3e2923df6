//! Who is next at a model, and who may wait. Pure: jobs are anything, and no clock is read.
//!
//! Each tenant has a lane. A lane's time is what its jobs have run, divided by its tenant's weight, and the lane with the
//! least is served next; what workers have in hand counts by an estimate until it has been run. So each gets its part of the
//! run time, and not of the jobs, whose sizes a tenant chooses. A tenant that comes, or comes back, starts where the one with the
//! least stands: before all the others, and without credit for the time in which it did not want anything. One that has
//! had more than its part is remembered until the others have caught up, or nobody wants anything.
//!
//! Nobody may wait with as many jobs as there are places left: alone a tenant gets half of the queue, of two each a third,
//! and for one that has nothing waiting there is always a place, until there are as many tenants as places. A session that has
//! nothing waiting gets one of up to twice as many, so that a tenant's sessions do not shut each other out. ADR 30.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nn_tensor::{Id128, Tenant};

use super::Ran;
use super::lane::{Lane, Mean, nanos};

/// How far a tenant that comes may stand before one that had had its part of all that was run. It bounds how long tenants
/// without end that come anew can keep others waiting.
const LEAD: u64 = 1_000_000_000;

/// Of whom a job is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Who<'a> {
    pub(super) tenant: &'a Tenant,
    pub(super) session: Id128,
    pub(super) weight: u32,
}

/// Why a job may not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// There is no place.
    Full,
    /// Of this many places left none is for its tenant, or its session.
    Share { free: usize },
}

/// One whose turn it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken<J> {
    pub(super) job: J,
    pub(super) tenant: Tenant,
    /// What it is thought to run.
    pub(super) estimate: Duration,
    /// And how much of its lane's time that is; to be settled.
    pub(super) time: u64,
}

/// The lanes of a model.
#[derive(Debug)]
pub(super) struct Lanes<J> {
    places: usize,
    waiting: usize,
    lanes: BTreeMap<Tenant, Lane<J>>,
    /// Where the lane that has had the least stands, of those that want something. It never goes back.
    floor: u64,
    /// Where one would stand that had had its part of all that was run.
    fluid: u64,
    run: Mean,
    numbers: u64,
    turns: u64,
}

// === impl Lanes ===

impl<J> Lanes<J> {
    /// Room for so many jobs, one at least.
    pub(super) fn new(places: usize) -> Self {
        Self {
            places: places.max(1),
            waiting: 0,
            lanes: BTreeMap::new(),
            floor: 0,
            fluid: 0,
            run: Mean::default(),
            numbers: 0,
            turns: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    pub(super) fn places(&self) -> usize {
        self.places
    }

    /// How long a job of the model runs, once one has.
    pub(super) fn run(&self) -> Option<Duration> {
        self.run.known()
    }

    /// The next job's number: later ones have higher ones.
    pub(super) fn number(&mut self) -> u64 {
        self.numbers = self.numbers.saturating_add(1);
        self.numbers
    }

    /// Whether one more job may wait.
    pub(super) fn admits(&self, who: Who<'_>) -> Result<(), Refused> {
        let free = self.places.saturating_sub(self.waiting);
        if free == 0 {
            return Err(Refused::Full);
        }
        let lane = self.lanes.get(who.tenant);
        let own = lane.map_or(0, Lane::waiting);
        let has_none = lane.is_none_or(|lane| lane.waiting_of(who.session) == 0);
        let bound = if has_none {
            free.saturating_mul(2)
        } else {
            free
        };
        if own >= bound {
            return Err(Refused::Share { free });
        }
        Ok(())
    }

    /// Puts a job in its tenant's lane, at the place of its number.
    pub(super) fn put(&mut self, number: u64, who: Who<'_>, job: J) {
        let start = self.start();
        if !self.lanes.contains_key(who.tenant) {
            self.lanes.insert(who.tenant.clone(), Lane::new(start));
        }
        let Some(lane) = self.lanes.get_mut(who.tenant) else {
            return;
        };
        if !lane.is_active() {
            lane.served = lane.served.max(start);
        }
        lane.weight = who.weight.max(1);
        lane.put(number, who.session, job);
        self.waiting = self.waiting.saturating_add(1);
    }

    /// What the job is thought to run whose turn it is; `None` where nothing waits.
    pub(super) fn estimate(&self) -> Option<Duration> {
        let (_, lane) = self.turn()?;
        Some(lane.run.or(self.run))
    }

    /// Takes the job whose turn it is. What it ran, or that it did not, is to be said by [`Self::settle`].
    pub(super) fn take(&mut self) -> Option<Taken<J>> {
        let tenant = self.turn()?.0.clone();
        let run = self.run;
        self.turns = self.turns.saturating_add(1);
        let lane = self.lanes.get_mut(&tenant)?;
        let (number, _) = lane.first()?;
        let job = lane.remove(number)?;
        let estimate = lane.run.or(run);
        let time = lane.time(estimate);
        lane.hand_over(time, self.turns);
        self.waiting = self.waiting.saturating_sub(1);
        Some(Taken {
            job,
            tenant,
            estimate,
            time,
        })
    }

    /// A job that was taken has ended.
    pub(super) fn settle(&mut self, tenant: &Tenant, time: u64, ran: Ran) {
        let active = self.lanes.values().filter(|lane| lane.is_active());
        let weights = active.map(|lane| u64::from(lane.weight)).sum::<u64>();
        let Some(lane) = self.lanes.get_mut(tenant) else {
            return;
        };
        lane.settle(time, ran);
        if let Ran::InPart(ran) | Ran::Whole(ran) = ran {
            self.fluid = self.fluid.saturating_add(nanos(ran) / weights.max(1));
        }
        self.run.count(ran);
        self.forget();
    }

    /// Takes a job out that still waits.
    pub(super) fn remove(&mut self, tenant: &Tenant, number: u64) -> Option<J> {
        let job = self.lanes.get_mut(tenant)?.remove(number)?;
        self.waiting = self.waiting.saturating_sub(1);
        self.forget();
        Some(job)
    }

    /// Takes all out that wait and of which this is true.
    pub(super) fn drain(&mut self, mut is_out: impl FnMut(&J) -> bool) -> Vec<J> {
        let mut out = Vec::new();
        for lane in self.lanes.values_mut() {
            let numbers: Vec<u64> = lane.numbers(&mut is_out);
            out.extend(numbers.into_iter().filter_map(|number| lane.remove(number)));
        }
        self.waiting = self.waiting.saturating_sub(out.len());
        self.forget();
        out
    }

    /// The job that has waited for longest.
    pub(super) fn oldest(&self) -> Option<&J> {
        let firsts = self.lanes.values().filter_map(Lane::first);
        let oldest = firsts.min_by_key(|(number, _)| *number)?;
        Some(oldest.1)
    }

    /// The lane whose turn it is: of several that stand alike the one whose last is longest ago, or whose job came first.
    fn turn(&self) -> Option<(&Tenant, &Lane<J>)> {
        let waiting = self.lanes.iter().filter_map(|(tenant, lane)| {
            let (number, _) = lane.first()?;
            Some(((lane.stands_at(), number), (tenant, lane)))
        });
        let next = waiting.min_by_key(|(order, _)| *order)?;
        Some(next.1)
    }

    /// Where a tenant that comes now stands.
    fn start(&self) -> u64 {
        self.floor.max(self.fluid.saturating_sub(LEAD))
    }

    /// Forgets lanes that want nothing and have had no more than one that comes has, and of all others too many. Where
    /// nobody wants anything time begins anew.
    fn forget(&mut self) {
        let active = self.lanes.values().filter(|lane| lane.is_active());
        let Some(least) = active.map(|lane| lane.served).min() else {
            self.lanes.clear();
            (self.floor, self.fluid) = (0, 0);
            return;
        };
        self.floor = self.floor.max(least);
        self.fluid = self.fluid.max(self.floor);
        let start = self.start();
        self.lanes
            .retain(|_, lane| lane.is_active() || lane.served > start);
        let mut idle = self.idle();
        while idle.len() > self.places {
            // The one that owes least.
            let Some((_, tenant)) = idle.pop_first() else {
                return;
            };
            self.lanes.remove(&tenant);
        }
    }

    /// Lanes that want nothing and are remembered, those that have had the least first; none while they are few.
    fn idle(&self) -> BTreeSet<(u64, Tenant)> {
        if self.lanes.len() <= self.places {
            return BTreeSet::new();
        }
        let idle = self.lanes.iter().filter(|(_, lane)| !lane.is_active());
        idle.map(|(tenant, lane)| (lane.served, tenant.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests;
