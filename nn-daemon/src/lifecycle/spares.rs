//! All spares, and those who want for room. A load that somebody waits for and that finds no room for its worker stands
//! in line, and whichever is first has spares end until there is some: those that are being started, and of those that
//! wait the one whose version was of use least recently, then the next; after the spares, instances beyond the least of
//! their version go (`extras.rs`), and then versions rest (`residents.rs`). It waits for those that are busy, at most as long as a load may take; where nothing can go it is
//! refused at once. While there is such a load no spare is started.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use nn_tensor::{Code, Fault};
use tokio::sync::{Mutex as Line, watch};
use tokio::time::{Instant, sleep, timeout_at};

use super::admission::{Freed, Ticket};
use super::serve::{NotStarted, admit, start_admitted};
use super::spare::Spare;
use super::{extras, residents, see_off};
use crate::limits::Limits;
use crate::model::Model;
use crate::telemetry::Limiter;
use crate::worker::{Loaded, Startup, Worker};

/// How long what a spare had may take to be free once it has gone: its process, its place, its memory.
const FREED_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the first in line tries before it is the next one's turn, which may want for less.
const TURN: Duration = Duration::from_secs(2);

/// How often what is waited for is looked at.
pub(super) const TICK: Duration = Duration::from_millis(5);

/// Of this daemon.
#[derive(Debug, Default)]
pub(crate) struct Spares {
    places: Mutex<Vec<Enrolled>>,
    /// Spares that are being started.
    beginning: AtomicUsize,
    /// Loads that want for room.
    hungry: watch::Sender<usize>,
    /// They stand in it, and the first has others make room.
    line: Line<()>,
}

/// The place of one version's, and how large its model is.
#[derive(Clone, Debug)]
struct Enrolled {
    spare: Weak<Spare>,
    model_bytes: u64,
}

/// A spare that waits.
struct Waits {
    spare: Arc<Spare>,
    worker: Arc<Worker>,
    model_bytes: u64,
}

/// Counts one more while it lives.
struct Counted<'a>(&'a AtomicUsize);

/// A load wants for room while it lives.
struct Hunger<'a>(&'a Spares);

// === impl Spares ===

impl Spares {
    /// Makes a version's place known, once.
    pub(super) fn enrol(&self, spare: &Arc<Spare>, model_bytes: u64) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.retain(|known| known.spare.strong_count() > 0);
        let of = Arc::downgrade(spare);
        if !places.iter().any(|known| known.spare.ptr_eq(&of)) {
            places.push(Enrolled {
                spare: of,
                model_bytes,
            });
        }
    }

    /// Starts one, which counts as being started meanwhile.
    pub(crate) async fn begin<T>(&self, start: impl Future<Output = T>) -> T {
        self.beginning.fetch_add(1, Ordering::Relaxed);
        let _begins = Counted(&self.beginning);
        start.await
    }

    /// Returns once a load wants for room.
    pub(crate) async fn until_hungry(&self) {
        self.until(|loads| loads > 0).await;
    }

    /// Returns once none does.
    pub(crate) async fn until_fed(&self) {
        self.until(|loads| loads == 0).await;
    }

    async fn until(&self, holds: impl Fn(usize) -> bool) {
        let mut hungry = self.hungry.subscribe();
        // The sender lives in `self`.
        let _ = hungry.wait_for(|loads| holds(*loads)).await;
    }

    /// Whether a load wants for room.
    pub(super) fn is_hungry(&self) -> bool {
        *self.hungry.borrow() > 0
    }

    fn hunger(&self) -> Hunger<'_> {
        self.hungry
            .send_modify(|loads| *loads = loads.saturating_add(1));
        Hunger(self)
    }

    /// Those that wait, the least recently useful first.
    fn waiting(&self) -> Vec<Waits> {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = |of: &Enrolled| {
            let spare = of.spare.upgrade()?;
            let worker = spare.worker()?;
            let model_bytes = of.model_bytes;
            Some(Waits {
                spare,
                worker,
                model_bytes,
            })
        };
        let mut waiting: Vec<Waits> = places.iter().filter_map(waits).collect();
        waiting.sort_by_key(|waits| waits.spare.used());
        waiting
    }

    /// Has the one go that is worth the least; gives it.
    pub(super) fn give_way(&self) -> Option<Arc<Worker>> {
        let loaded = self
            .waiting()
            .iter()
            .find_map(|waits| waits.spare.give_way());
        loaded.map(|loaded| loaded.worker)
    }

    /// What those that wait have.
    pub(super) fn held(&self, limits: &Limits) -> Freed {
        Freed::sum(self.waiting().iter().map(|waits| waits.held(limits)))
    }
}

// === impl Waits ===

impl Waits {
    fn held(&self, limits: &Limits) -> Freed {
        Freed {
            workers: 1,
            budgets: limits.worker_budget(self.model_bytes),
            own: self.worker.own_bytes(),
            common: 0,
            resident: self.worker.resident_bytes(),
        }
    }
}

/// A new worker with a model that somebody waits for. Where there is no room, others make some.
pub(super) async fn start_for_callers(
    model: &Model,
    startup: &Startup,
    first: bool,
) -> Result<Loaded, NotStarted> {
    let deadline = Instant::now() + model.load_max(&startup.limits);
    loop {
        let ticket = room(model, startup, deadline).await;
        let ticket = ticket.map_err(NotStarted::Admission)?;
        let started = start_admitted(model, startup, first, ticket).await;
        // The place of a spare that was called off is free only once its process has gone.
        if is_hungry(&started) && Instant::now() < deadline {
            sleep(TICK).await;
            continue;
        }
        if started.is_ok() {
            // Who waited for it has not used it yet: nobody else's room until then.
            model.touch();
        }
        return started;
    }
}

/// Room for a model's worker: at once where there is some and nobody waits for that, or else when it is its turn.
async fn room(model: &Model, startup: &Startup, deadline: Instant) -> Result<Ticket, Fault> {
    let spares = &startup.policy.spares;
    if !spares.is_hungry() {
        let admitted = admit(model, startup);
        if !is_full(&admitted) {
            return admitted;
        }
    }
    // From here on none is started, and those that are being started end.
    let _hunger = spares.hunger();
    loop {
        // Who is late by now asks once more.
        let _turn = timeout_at(deadline, spares.line.lock()).await;
        let end = Instant::now() + TURN;
        loop {
            let admitted = admit(model, startup);
            if !is_full(&admitted) || Instant::now() >= deadline {
                return admitted;
            }
            if make_room(model, startup).await
                || extras::make_room(model, startup).await
                || residents::make_room(model, startup).await
            {
                continue;
            }
            if !residents::room_may_come(model, startup) {
                return admitted;
            }
            if Instant::now() >= end {
                break;
            }
            sleep(TICK).await;
        }
    }
}

fn is_full(admitted: &Result<Ticket, Fault>) -> bool {
    matches!(admitted, Err(fault) if fault.code == Code::Busy)
}

fn is_hungry<T>(started: &Result<T, NotStarted>) -> bool {
    let fault = started.as_ref().err();
    fault.is_some_and(NotStarted::is_for_want_of_room)
}

/// Ends the spare that is worth the least; `false` where there is none, or all of them and all versions that may rest
/// would not do.
async fn make_room(model: &Model, startup: &Startup) -> bool {
    static LINES: Limiter = Limiter::new();
    let admission = &startup.policy.admission;
    let waiting = startup.policy.spares.waiting();
    let of = |waits: &Waits| waits.held(&startup.limits);
    let held = waiting.iter().map(of).chain([residents::idle(startup)]);
    if !admission.would_admit(model.need(), Freed::sum(held)) {
        return false;
    }
    let Some(loaded) = waiting.iter().find_map(|waits| waits.spare.give_way()) else {
        return false;
    };
    let (worker, used) = (loaded.worker, admission.used());
    // A guest can cause as many as it has models to send.
    if LINES.allows() {
        let (spare, pid, model) = (worker.id, worker.pid, model.id());
        tracing::info!(spare, pid, model, "a spare makes room");
    }
    // Whoever gives up waiting here leaves nobody behind.
    let _ = see_off(worker).await;
    until(|| admission.used() < used).await;
    true
}

/// Waits for what is free soon.
pub(super) async fn until(freed: impl Fn() -> bool) {
    let end = Instant::now() + FREED_TIMEOUT;
    while !freed() && Instant::now() < end {
        sleep(TICK).await;
    }
}

// === impl Counted, Hunger ===

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Hunger<'_> {
    fn drop(&mut self) {
        self.0
            .hungry
            .send_modify(|loads| *loads = loads.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn no_spare_begins_while_a_load_wants_for_room() {
        let spares = Spares::default();
        spares.until_fed().await;
        let (one, other) = (spares.hunger(), spares.hunger());
        spares.until_hungry().await;
        drop(one);
        let soon = Duration::from_millis(10);
        assert!(timeout(soon, spares.until_fed()).await.is_err());
        drop(other);
        spares.until_fed().await;
    }

    #[tokio::test]
    async fn one_that_is_called_off_no_longer_begins() {
        let spares = Spares::default();
        {
            let begins = spares.begin(std::future::pending::<()>());
            let soon = Duration::from_millis(10);
            assert!(timeout(soon, begins).await.is_err());
        }
        assert_eq!(spares.beginning.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_is_of_use_is_worth_more_than_what_was_before() {
        let (one, other) = (Spare::default(), Spare::default());
        one.use_now();
        other.use_now();
        assert!(one.used() < other.used());
        one.use_now();
        assert!(other.used() < one.used());
    }

    #[test]
    fn a_version_that_is_gone_has_no_place_here() {
        let spares = Spares::default();
        let (one, other) = (Arc::new(Spare::default()), Arc::new(Spare::default()));
        spares.enrol(&one, 1);
        spares.enrol(&one, 1);
        drop(one);
        spares.enrol(&other, 1);
        let places = spares.places.lock().unwrap();
        assert_eq!(places.len(), 1);
    }
}
