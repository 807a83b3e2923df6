//! A worker that has a version's model loaded and serves nobody: it takes over when another dies
//! (`workers.warm_spare`), or becomes the first tenant's own (`workers.isolation = "tenant"`). Nobody's input has been
//! in it. Whoever waits for a worker comes before it: `spares.rs`.

pub(super) mod pace;

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::see_off;
use super::serve::{NotStarted, blame_end, blame_start, start};
use super::state::State;
use crate::model::Model;
use crate::telemetry::Limiter;
use crate::worker::{Loaded, Startup, Worker};
use pace::{Pace, Wants};

/// The place for one.
#[derive(Debug, Default)]
pub(crate) struct Spare {
    kept: Mutex<Option<Loaded>>,
    /// It was taken, or another came.
    changed: Notify,
    /// When its version was of use last, by the count of all uses.
    used: AtomicU64,
    /// The last one went to make room.
    gave_way: AtomicBool,
}

// === impl Spare ===

impl Spare {
    /// The one that waits, if it lives.
    pub(crate) fn worker(&self) -> Option<Arc<Worker>> {
        let kept = self.kept();
        let worker = kept.as_ref().map(|loaded| &loaded.worker);
        worker.filter(|worker| worker.is_alive()).cloned()
    }

    /// Its version has been of use: what it waits for is worth a place more than what was used before.
    pub(crate) fn use_now(&self) {
        static USES: AtomicU64 = AtomicU64::new(1);
        let now = USES.fetch_add(1, Ordering::Relaxed);
        self.used.store(now, Ordering::Relaxed);
    }

    /// Takes the one that waits, if it lives: it serves from now on.
    pub(super) fn take(&self) -> Option<Loaded> {
        let taken = self.kept().take_if(|loaded| loaded.worker.is_alive());
        if taken.is_some() {
            self.use_now();
        }
        self.changed.notify_waiters();
        taken
    }

    /// Takes the one that waits, if it lives, because its room is wanted.
    pub(super) fn give_way(&self) -> Option<Loaded> {
        let taken = self.kept().take_if(|loaded| loaded.worker.is_alive())?;
        self.gave_way.store(true, Ordering::Relaxed);
        self.changed.notify_waiters();
        Some(taken)
    }

    /// When its version was of use last.
    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Puts one in; gives back what has no place.
    fn put(&self, loaded: Loaded) -> Option<Loaded> {
        let without = put(&mut self.kept(), loaded, |loaded| loaded.worker.is_alive());
        self.changed.notify_waiters();
        without
    }

    /// Takes one that has died while it waited.
    fn take_dead(&self) -> Option<Loaded> {
        self.kept().take_if(|loaded| !loaded.worker.is_alive())
    }

    /// Returns once the one that waits is gone, taken or dead; at once if there is none.
    async fn gone(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let Some(worker) = self.worker() else { return };
            tokio::select! {
                () = worker.gone() => return,
                () = changed => {}
            }
        }
    }

    fn kept(&self) -> MutexGuard<'_, Option<Loaded>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One that lives stays, and the new one has no place; one that is dead goes.
fn put<T>(kept: &mut Option<T>, new: T, lives: impl Fn(&T) -> bool) -> Option<T> {
    match kept {
        Some(old) if lives(old) => Some(new),
        _ => kept.replace(new),
    }
}

/// Has a worker wait beside a version. Where one waits already it is ended; one that lay there dead is charged.
pub(super) fn place(model: &Model, startup: &Startup, loaded: Loaded) {
    match model.spare.put(loaded) {
        Some(other) if other.worker.is_alive() => drop(see_off(other.worker)),
        Some(dead) => blame_end(model, startup, &dead.worker),
        None => {}
    }
}

/// The spare that goes when this goes, out of its place: units share their version's.
pub(super) fn dismissed(model: &Model) -> Option<Arc<Worker>> {
    let own = (!model.is_unit()).then(|| model.spare.take())?;
    own.map(|loaded| loaded.worker)
}

/// Keeps a spare beside a version whose workers answer, if there is to be one; never returns.
pub(super) async fn keep(model: &Arc<Model>, startup: &Startup) -> Infallible {
    if model.is_unit() || model.is_guests() || model.is_remote() {
        return std::future::pending().await;
    }
    let (policy, spare) = (&startup.policy, &model.spare);
    let (sha256, whose) = (&model.artifact.sha256, &model.whose);
    policy.spares.enrol(spare, model.artifact.bytes);
    let mut pace = Pace::new(Duration::from_millis(startup.limits.restart_backoff_ms_max));
    let mut wants = Wants::Worker;
    let mut since = None;
    loop {
        spare.gone().await;
        if let Some(dead) = spare.take_dead() {
            blame_end(model, startup, &dead.worker);
        }
        if !policy.warm_spare {
            spare.changed.notified().await;
            continue;
        }
        if spare.gave_way.swap(false, Ordering::Relaxed) {
            wants = Wants::Room;
        }
        let lived = since.take().map(|since: Instant| since.elapsed());
        sleep(pace.pause(wants, lived)).await;
        is_due(model, startup).await;
        if spare.worker().is_some() {
            continue;
        }
        if !startup.spawner.has_room() {
            wants = Wants::Room;
            continue;
        }
        let begun = Instant::now();
        let started = tokio::select! {
            started = policy.spares.begin(start(model, startup, true)) => started,
            // Whoever waits for a worker comes first.
            () = policy.spares.until_hungry() => {
                wants = Wants::Room;
                continue;
            }
            () = policy.quarantine.until_refused(sha256, whose) => continue,
        };
        wants = match started {
            Ok(loaded) => {
                place(model, startup, loaded);
                since = Some(begun);
                Wants::Worker
            }
            Err(error) if error.is_for_want_of_room() => Wants::Room,
            Err(error) => {
                blame_start(model, startup, &error);
                told(model, &error);
                Wants::Worker
            }
        };
    }
}

/// Returns once a spare may be started: a worker answers, the model is not refused, and nobody wants for room. While no
/// worker answers, whoever waits for that one comes first.
async fn is_due(model: &Model, startup: &Startup) {
    let policy = &startup.policy;
    let (sha256, whose) = (&model.artifact.sha256, &model.whose);
    let mut status = model.status.subscribe();
    loop {
        // The sender lives in the model.
        let _ = status.wait_for(|status| status.state == State::Ready).await;
        policy.quarantine.until_free(sha256, whose).await;
        policy.spares.until_fed().await;
        let is_ready = status.borrow().state == State::Ready;
        if is_ready && policy.quarantine.refuses(sha256, whose).is_none() {
            return;
        }
    }
}

fn told(model: &Model, error: &NotStarted) {
    static LINES: Limiter = Limiter::new();
    if LINES.allows() {
        tracing::warn!(model = %model.id(), "no spare worker: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIVES: (&str, bool) = ("old", true);
    const DEAD: (&str, bool) = ("old", false);
    const NEW: (&str, bool) = ("new", true);

    fn after(mut kept: Option<(&str, bool)>) -> (Option<&str>, Option<&str>) {
        let without = put(&mut kept, NEW, |of| of.1);
        (kept.map(|of| of.0), without.map(|of| of.0))
    }

    #[test]
    fn what_has_no_place_is_given_back_and_never_dropped() {
        assert_eq!(after(None), (Some("new"), None));
        assert_eq!(after(Some(LIVES)), (Some("old"), Some("new")));
        assert_eq!(after(Some(DEAD)), (Some("new"), Some("old")));
    }
}
