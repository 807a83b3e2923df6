//! What a pool has to do, looked at every now and then, and what `scale.rs` makes of it.

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use nn_catalogue::Instances;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::scale::{Busy, Rules, Seen, Step};
use super::spare::pace::{Pace, Wants};
use crate::limits::Limits;
use crate::model::Model;
use crate::worker::Worker;

/// How often, at least and at most.
const LOOK_MIN: Duration = Duration::from_millis(10);
const LOOK_MAX: Duration = Duration::from_millis(250);

/// Of one pool.
#[derive(Debug)]
pub(super) struct Growth {
    rules: Rules,
    /// How many there are to be.
    wanted: u32,
    busy: Busy,
    /// What is known of each, by its worker.
    marks: HashMap<u32, Mark>,
    looks: Interval,
    looked: Instant,
    /// Attempts to find room.
    pace: Pace,
    not_before: Instant,
}

/// When a worker was last seen to have something to do, and how many jobs it had had by then.
#[derive(Clone, Copy, Debug)]
struct Mark {
    jobs: u64,
    at: Instant,
}

// === impl Growth ===

impl Growth {
    pub(super) fn new(range: Instances, limits: &Limits) -> Self {
        let rules = Rules::new(range, limits);
        let every = rules.busy.min(rules.idle) / 4;
        let mut looks = interval(every.clamp(LOOK_MIN, LOOK_MAX));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let now = Instant::now();
        Self {
            rules,
            wanted: range.min,
            busy: Busy::default(),
            marks: HashMap::new(),
            looks,
            looked: now,
            pace: Self::pace(limits),
            not_before: now,
        }
    }

    /// How many there are to be.
    pub(super) fn wanted(&self) -> u32 {
        self.wanted
    }

    /// When one more may be tried.
    pub(super) fn not_before(&self) -> Instant {
        self.not_before
    }

    /// Returns when it is time to look; never where nothing is to be decided.
    pub(super) async fn tick(&mut self) {
        if self.rules.is_elastic() {
            self.looks.tick().await;
        } else {
            pending().await
        }
    }

    /// One has come.
    pub(super) fn came(&mut self) {
        self.pace.forget();
    }

    /// One more could not be had while so many serve: the least are tried again after a pause, and others where they are
    /// missed then.
    pub(super) fn denied(&mut self, serving: u32) {
        self.wanted = serving.max(self.rules.range.min);
        self.not_before = Instant::now() + self.pace.pause(Wants::Room, None);
    }

    /// One has left; so many serve.
    pub(super) fn left(&mut self, serving: u32) {
        self.wanted = serving.max(self.rules.range.min);
    }

    /// What is to be done about a pool, and the one that could go.
    pub(super) fn look(
        &mut self,
        model: &Model,
        is_coming: bool,
        is_room_wanted: bool,
    ) -> (Step, Option<Arc<Worker>>) {
        let now = Instant::now();
        // What was not looked at, while this process was stopped, counts for nothing.
        let since = now.duration_since(self.looked).min(LOOK_MAX);
        self.looked = now;
        let serving = model.pool.serving();
        let mut marks = HashMap::with_capacity(serving.len());
        // Calls that wait: before workers, or in their hands behind the one that they compute.
        let mut waiting = model.queue.len();
        let mut idle: Option<(Duration, Arc<Worker>)> = None;
        for of in serving.iter() {
            let worker = &of.worker;
            let (jobs, in_flight) = (worker.jobs_given(), worker.in_flight());
            waiting = waiting.saturating_add(in_flight.saturating_sub(1));
            let mark = self.marks.get(&worker.id).copied();
            let mark = mark.filter(|mark| in_flight == 0 && mark.jobs == jobs);
            let mark = mark.unwrap_or(Mark { jobs, at: now });
            marks.insert(worker.id, mark);
            // Of several that have nothing to do the one with the highest number: it is the last to be given something.
            if in_flight == 0 {
                idle = Some((now.duration_since(mark.at), Arc::clone(worker)));
            }
        }
        self.marks = marks;
        let are_busy = !serving.is_empty() && waiting >= serving.len();
        self.busy.add(are_busy, since);
        let step = self.rules.step(Seen {
            serving: model.pool.len(),
            is_coming,
            is_room_wanted,
            busy: self.busy.time(),
            idle: idle.as_ref().map_or(Duration::ZERO, |(idle, _)| *idle),
        });
        if step == Step::Up {
            self.wanted = model.pool.len().saturating_add(1);
            self.busy.forget();
        }
        (step, idle.map(|(_, worker)| worker))
    }

    fn pace(limits: &Limits) -> Pace {
        Pace::new(Duration::from_millis(limits.restart_backoff_ms_max))
    }
}
