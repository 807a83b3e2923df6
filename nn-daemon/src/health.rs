//! Whether the daemon can do its work, as the service manager is told: its one thread runs, the spawner starts processes,
//! and a worker of each framework in use computes in its jail. A daemon that cannot is not kept alive by a timer: it says nothing, and the watchdog
//! starts it anew.

use std::sync::Arc;
use std::time::Duration;

use nn_service::Notifier;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::context::Context;
use crate::framework::Framework;
use crate::lifecycle::state::State;
use crate::worker::{Canary, Startup};

/// How old the status line may be.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// Checks within one watchdog interval: one may fail, and the next, with a new worker, still be in time.
const CHECKS: u32 = 3;

/// Checks and tells until the daemon ends. `startup` is what workers are started with, if there is a framework for them;
/// without one a restart would not help, and only the daemon itself is looked at.
pub(crate) async fn watch(
    context: Arc<Context>,
    startup: Option<Arc<Startup>>,
    notifier: Notifier,
    watchdog: Option<Duration>,
) {
    let (failure, failed) = watch::channel(None);
    let statuses = tell(&context, &notifier, failed);
    match watchdog {
        Some(whole) => {
            let period = (whole / CHECKS).max(Duration::from_millis(1));
            let checks = checks((&context, startup), &notifier, period, &failure);
            tokio::join!(statuses, checks);
        }
        None => statuses.await,
    }
}

/// Looks at workers three times within the watchdog's interval; says that all is well if it is.
async fn checks(
    (context, startup): (&Context, Option<Arc<Startup>>),
    notifier: &Notifier,
    period: Duration,
    failure: &watch::Sender<Option<String>>,
) {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut canary = Canary::default();
    loop {
        ticks.tick().await;
        let checked = match &startup {
            Some(startup) => {
                let used = context.frameworks_in_use();
                check(&mut canary, (startup, &used), period).await
            }
            None => Ok(()),
        };
        if checked.is_ok() {
            notifier.alive();
        }
        failure.send_replace(checked.err());
    }
}

/// Keeps the status line true.
async fn tell(context: &Context, notifier: &Notifier, failed: watch::Receiver<Option<String>>) {
    let mut ticks = interval(STATUS_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failed = failed;
    let mut told = String::new();
    loop {
        // The sender lives as long as this.
        tokio::select! {
            _ = ticks.tick() => {}
            _ = failed.changed() => {}
        }
        let status = match &*failed.borrow_and_update() {
            None => summary(context),
            Some(why) => format!("no worker computes: {why}; {}", summary(context)),
        };
        if status != told {
            notifier.status(&status);
            told = status;
        }
    }
}

async fn check(
    canary: &mut Canary,
    (startup, used): (&Startup, &[Framework]),
    within: Duration,
) -> Result<(), String> {
    let begun = Instant::now();
    let why = match timeout(within, canary.check(startup, used)).await {
        Ok(Ok(())) => {
            let took_us = begun.elapsed().as_micros();
            tracing::debug!(took_us, "workers computed");
            return Ok(());
        }
        Ok(Err(error)) => format!("{:#}", anyhow::Error::from(error)),
        Err(_) => format!("nothing came within {within:?}"),
    };
    tracing::warn!("the check of a worker failed: {why}");
    Err(why)
}

/// One line for people: what is served.
pub(crate) fn summary(context: &Context) -> String {
    let (mut ready, mut others) = (0_usize, 0_usize);
    for (_, _, model) in context.registry.list() {
        match model.active().status.borrow().state {
            State::Ready => ready = ready.saturating_add(1),
            State::Loading | State::Warming | State::Restarting => {
                others = others.saturating_add(1);
            }
            State::Absent | State::Draining | State::Failed | State::Gone => {}
        }
    }
    let loading = match others {
        0 => String::new(),
        others => format!(", {others} loading"),
    };
    let sessions = context.sessions.all().len();
    let ready = counted(ready, "model");
    format!("{ready} ready{loading}; {}", counted(sessions, "session"))
}

fn counted(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}
