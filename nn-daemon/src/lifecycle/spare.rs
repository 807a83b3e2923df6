//! A worker that has a version's model loaded and serves nobody: it takes over when another dies
//! (`workers.warm_spare`), or becomes the first tenant's own (`workers.isolation = "tenant"`). Nobody's input has been
//! in it.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::serve::{HEALTHY, NotStarted, blame_end, blame_start, start};
use super::state::{State, backoff};
use crate::model::Model;
use crate::telemetry::Limiter;
use crate::worker::{Loaded, Startup, Worker};

/// The place for one.
#[derive(Debug, Default)]
pub(crate) struct Spare {
    kept: Mutex<Option<Loaded>>,
    /// It was taken, or another came.
    changed: Notify,
}

// === impl Spare ===

impl Spare {
    /// The one that waits, if it lives.
    pub(crate) fn worker(&self) -> Option<Arc<Worker>> {
        let kept = self.kept();
        let worker = kept.as_ref().map(|loaded| &loaded.worker);
        worker.filter(|worker| worker.is_alive()).cloned()
    }

    pub(super) fn put(&self, loaded: Loaded) {
        *self.kept() = Some(loaded);
        self.changed.notify_waiters();
    }

    /// Takes the one that waits, if it lives.
    pub(super) fn take(&self) -> Option<Loaded> {
        let taken = self.kept().take();
        self.changed.notify_waiters();
        taken.filter(|loaded| loaded.worker.is_alive())
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

/// Keeps a spare beside a version whose workers answer, if there is to be one; never returns.
pub(super) async fn keep(model: &Arc<Model>, startup: &Startup) -> Infallible {
    if model.is_unit() || model.is_guests() {
        return std::future::pending().await;
    }
    let max = Duration::from_millis(startup.limits.restart_backoff_ms_max);
    let mut status = model.status.subscribe();
    let mut in_a_row = 0_u32;
    let mut since = Instant::now();
    loop {
        model.spare.gone().await;
        if let Some(dead) = model.spare.take_dead() {
            blame_end(model, startup, &dead.worker);
        }
        if !startup.policy.warm_spare {
            model.spare.changed.notified().await;
            continue;
        }
        if since.elapsed() > HEALTHY {
            in_a_row = 0;
        }
        sleep(backoff(in_a_row, max)).await;
        // Not while there is none that answers: whoever waits for that one comes first.
        // The sender lives in the model.
        let _ = status.wait_for(|status| status.state == State::Ready).await;
        if model.spare.worker().is_some() {
            continue;
        }
        in_a_row = in_a_row.saturating_add(1);
        since = Instant::now();
        match start(model, startup, true).await {
            Ok(loaded) => model.spare.put(loaded),
            Err(error) => {
                blame_start(model, startup, &error);
                told(model, &error);
            }
        }
    }
}

fn told(model: &Model, error: &NotStarted) {
    static LINES: Limiter = Limiter::new();
    if LINES.allows() {
        tracing::warn!(model = %model.id(), "no spare worker: {error}");
    }
}
