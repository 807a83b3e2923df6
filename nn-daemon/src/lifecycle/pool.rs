//! One model's instances, kept served: workers are started or a spare taken, their ends awaited, each cause charged to
//! whom it belongs, and the next one started after a pause; until the model has failed, or is refused.
//!
//! ```text
//!   none serves ── first ──▶ 1 ── more ──▶ 2 … wanted        wanted: from min to max, as growth.rs says
//!        ▲  (callers wait:    ▲               │
//!        │   others make room)└── more ───────┤ one has ended (a spare takes its place at once)
//!        └────────────────────────────────────┘ the last one has: Restarting
//! ```
//!
//! The first decides for the model: whether it can be loaded, and when it is Ready. What comes beside it starts in the room
//! that there is: it makes nobody rest and does not stand in line (ADR 21). That it does not come, or crashes, says nothing of the
//! model while another serves, but for what the quarantine makes of it.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use nn_tensor::Fault;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::growth::Growth;
use super::scale::Step;
use super::serve::{
    HEALTHY, NotStarted, Served, blame_end, blame_start, not_started, ready, refused, start,
};
use super::spares::start_for_callers;
use super::state::{Event, State, backoff};
use super::{is_told, leave};
use crate::events::Kind;
use crate::model::Model;
use crate::prepared;
use crate::worker::{Cause, Loaded, Startup, Worker};

/// A worker on its way.
type Coming<'a> = Pin<Box<dyn Future<Output = Came> + Send + 'a>>;

struct Came {
    /// When it was begun.
    begun: Instant,
    /// No worker has had the model before.
    is_first_load: bool,
    obtained: Result<Loaded, NotStarted>,
}

/// A worker that served.
struct Ended {
    worker: Arc<Worker>,
    begun: Instant,
}

enum Happened {
    First(Came),
    More(Came),
    Ended(Ended),
    Tick,
    /// One is to go to make room.
    GiveWay,
}

/// Who keeps them.
struct Keeper<'a> {
    model: &'a Arc<Model>,
    startup: &'a Arc<Startup>,
    /// The one that callers wait for, while none serves.
    first: Option<Coming<'a>>,
    /// One more, beside those that serve.
    more: Option<Coming<'a>>,
    ends: JoinSet<Ended>,
    growth: Growth,
    /// In a row.
    crashes: u32,
    /// The pause after the last one is over.
    rested: Instant,
    /// One has ended whose place a spare may take.
    has_lost: bool,
    /// The one that came waits for the first tenant.
    is_split: bool,
}

/// Keeps a model's instances running.
pub(super) async fn serve(model: &Arc<Model>, startup: &Arc<Startup>) -> Served {
    let quarantine = &startup.policy.quarantine;
    let (sha256, whose) = (&model.artifact.sha256, &model.whose);
    let mut keeper = Keeper::new(model, startup);
    loop {
        if quarantine.refuses(sha256, whose).is_some() {
            return refused(model, startup).await;
        }
        keeper.fill();
        let happened = tokio::select! {
            happened = keeper.next() => happened,
            // One may have stood in line for long.
            () = quarantine.until_refused(sha256, whose) => return refused(model, startup).await,
        };
        if let Some(served) = keeper.take(happened) {
            return served;
        }
    }
}

// === impl Keeper ===

impl<'a> Keeper<'a> {
    fn new(model: &'a Arc<Model>, startup: &'a Arc<Startup>) -> Self {
        Self {
            model,
            startup,
            first: None,
            more: None,
            ends: JoinSet::new(),
            growth: Growth::new(model.instances(), &startup.limits),
            crashes: 0,
            rested: Instant::now(),
            has_lost: false,
            is_split: false,
        }
    }

    /// Begins what is missing.
    fn fill(&mut self) {
        let (model, startup) = (self.model, self.startup);
        let serving = model.pool.len();
        if self.is_split {
            return;
        }
        if serving == 0 {
            if self.first.is_none() {
                self.first = Some(Box::pin(first(model, startup, self.rested)));
            }
            return;
        }
        let coming = u32::from(self.first.is_some());
        if self.more.is_none() && serving.saturating_add(coming) < self.growth.wanted() {
            let has_lost = std::mem::take(&mut self.has_lost);
            let from = self.rested.max(self.growth.not_before());
            self.more = Some(Box::pin(more(model, startup, from, has_lost)));
        }
    }

    async fn next(&mut self) -> Happened {
        tokio::select! {
            came = arrival(&mut self.first) => Happened::First(came),
            came = arrival(&mut self.more) => Happened::More(came),
            Some(Ok(ended)) = self.ends.join_next() => Happened::Ended(ended),
            () = self.growth.tick() => Happened::Tick,
            () = self.model.pool.to_give_way() => Happened::GiveWay,
        }
    }

    /// Acts on what has happened; `Some` where that was the end.
    fn take(&mut self, happened: Happened) -> Option<Served> {
        match happened {
            Happened::First(came) => {
                self.first = None;
                self.take_first(came)
            }
            Happened::More(came) => {
                self.more = None;
                self.take_more(came)
            }
            Happened::Ended(ended) => self.take_end(&ended),
            Happened::Tick => {
                self.look();
                None
            }
            Happened::GiveWay => {
                self.give_way();
                None
            }
        }
    }

    fn take_first(&mut self, came: Came) -> Option<Served> {
        if self.model.pool.len() > 0 {
            return self.take_more(came);
        }
        let is_first_load = came.is_first_load;
        let error = match came.obtained {
            Ok(loaded) => {
                self.joins(loaded, came.begun, true);
                return None;
            }
            Err(error) => error,
        };
        if let Some(fault) = error.refusal(is_first_load) {
            if is_told(self.model) {
                tracing::warn!(model = %self.model.id(), "refused: {fault}");
            }
            self.model.advance(Event::Refused, Some(fault.clone()));
            return Some(Served::Failed);
        }
        if self.model.is_remote() {
            // That may be the endpoints' doing, and over the next time. Whoever waits is told why, or a worker here takes over.
            return Some(Served::NoWorker(error.into_fault(self.model)));
        }
        let fault = match error {
            NotStarted::Admission(fault) if is_first_load => return Some(Served::NoWorker(fault)),
            NotStarted::Admission(fault) => fault,
            NotStarted::Start(error) if is_first_load && error.is_for_want_of_worker() => {
                return Some(Served::NoWorker(not_started(self.model, &error)));
            }
            error @ NotStarted::Start(_) => {
                blame_start(self.model, self.startup, &error);
                error.into_fault(self.model)
            }
        };
        self.crashed(fault, self.model.pool.free())
    }

    fn take_more(&mut self, came: Came) -> Option<Served> {
        let error = match came.obtained {
            Ok(loaded) => {
                self.joins(loaded, came.begun, false);
                return None;
            }
            Err(error) => error,
        };
        let serving = self.model.pool.len();
        self.growth.denied(serving);
        match error {
            NotStarted::Admission(fault) => {
                tracing::debug!(model = %self.model.id(), "no room for one instance more: {fault}");
                None
            }
            error @ NotStarted::Start(_) => {
                blame_start(self.model, self.startup, &error);
                let fault = error.into_fault(self.model);
                self.crashed(fault, self.model.pool.free())
            }
        }
    }

    /// It serves from now on; or waits for the first tenant that asks, where each has workers of its own.
    fn joins(&mut self, loaded: Loaded, begun: Instant, is_first: bool) {
        let worker = Arc::clone(&loaded.worker);
        let load = is_first.then(|| begun.elapsed());
        self.is_split = !ready(self.model, loaded, load, self.startup);
        self.growth.came();
        prepared::want(self.model, self.startup);
        if !self.is_split {
            self.ends.spawn(async move {
                worker.gone().await;
                Ended { worker, begun }
            });
        }
    }

    fn take_end(&mut self, ended: &Ended) -> Option<Served> {
        let (model, worker) = (self.model, &ended.worker);
        // One that was told to leave is out of the pool already.
        let id = model.pool.leave(worker)?;
        model.tell(Kind::Crashed, &worker.cause().fault().message);
        blame_end(model, self.startup, worker);
        let prepared = &self.startup.policy.prepared;
        prepared.crashed(model, &worker.cause());
        // What the daemon ended itself says nothing of the model.
        if ended.begun.elapsed() > HEALTHY || worker.cause() == Cause::Timeout {
            self.crashes = 0;
        }
        self.has_lost = true;
        self.crashed(worker.cause().fault(), id)
    }

    /// One has ended, or did not come.
    fn crashed(&mut self, fault: Fault, id: u32) -> Option<Served> {
        let (model, limits) = (self.model, &self.startup.limits);
        self.crashes = self.crashes.saturating_add(1);
        model.pool.count_restart(id);
        self.startup.ends.starts.count_restart();
        let quarantine = &self.startup.policy.quarantine;
        let is_refused = quarantine.refuses(&model.artifact.sha256, &model.whose);
        if is_refused.is_some() {
            return None;
        }
        let is_last = model.pool.len() == 0;
        if is_last && model.advance(Event::Crashed(self.crashes), Some(fault)) == State::Failed {
            return Some(Served::Failed);
        }
        let max = Duration::from_millis(limits.restart_backoff_ms_max);
        self.rested = Instant::now() + backoff(self.crashes, max);
        None
    }

    /// Looks whether there are too few, or too many.
    fn look(&mut self) {
        let is_coming = self.first.is_some() || self.more.is_some();
        let is_room_wanted = self.startup.policy.spares.is_hungry();
        let (step, idlest) = self.growth.look(self.model, is_coming, is_room_wanted);
        match (step, idlest) {
            (Step::Down, Some(worker)) => self.part_with(worker),
            (Step::Up, _) => {
                tracing::info!(model = %self.model.id(), "calls wait: one instance more, if there is room")
            }
            (Step::Down | Step::Stay, _) => {}
        }
    }

    /// Lets one beyond the least leave, when it has computed what it has.
    fn give_way(&mut self) {
        if self.model.extra_instances() > 0 {
            let workers = self.model.pool.workers().into_iter().rev();
            workers
                .min_by_key(|worker| worker.in_flight())
                .into_iter()
                .for_each(|worker| self.part_with(worker));
        }
    }

    /// Lets one leave.
    fn part_with(&mut self, worker: Arc<Worker>) {
        if self.model.pool.leave(&worker).is_none() {
            return;
        }
        let serving = self.model.pool.len();
        self.growth.left(serving);
        if serving >= self.growth.wanted() {
            self.more = None;
        }
        let (model, pid) = (self.model.id(), worker.pid);
        tracing::info!(model, worker = worker.id, pid, "one instance less");
        tokio::spawn(leave(worker, Arc::clone(self.startup)));
    }
}

/// What comes, if anything does.
async fn arrival(coming: &mut Option<Coming<'_>>) -> Came {
    match coming {
        Some(coming) => coming.await,
        None => pending().await,
    }
}

/// A worker for those who wait: the one that waits for them, or a new one, for which others make room.
async fn first(model: &Arc<Model>, startup: &Arc<Startup>, from: Instant) -> Came {
    sleep_until(from).await;
    let begun = Instant::now();
    let is_first_load = model.status.borrow().state == State::Loading;
    let obtained = match model.spare.take() {
        Some(spare) => Ok(spare),
        None => start_for_callers(model, startup, is_first_load).await,
    };
    Came {
        begun,
        is_first_load,
        obtained,
    }
}

/// One more worker: the one that waits, where another has ended, or a new one in the room that there is.
async fn more(model: &Arc<Model>, startup: &Arc<Startup>, from: Instant, has_lost: bool) -> Came {
    sleep_until(from).await;
    let spares = &startup.policy.spares;
    let mut begun = Instant::now();
    let spare = has_lost.then(|| model.spare.take()).flatten();
    let obtained = match spare {
        Some(spare) => Ok(spare),
        None => {
            spares.until_fed().await;
            begun = Instant::now();
            tokio::select! {
                started = start(model, startup, true) => started,
                // Whoever waits for a worker comes first.
                () = spares.until_hungry() => Err(NotStarted::Admission(Fault::busy(
                    "another load wants for room",
                ))),
            }
        }
    };
    Came {
        begun,
        is_first_load: false,
        obtained,
    }
}
