//! Whether the daemon can do its work, as the service manager is told: its one thread runs, the spawner starts processes,
//! and a worker in its jail computes. A daemon that cannot is not kept alive by a timer: it says nothing, and the watchdog
//! starts it anew.

use std::sync::Arc;
use std::time::Duration;

use nn_service::Notifier;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::context::Context;
use crate::lifecycle::state::State;
use crate::worker::{Canary, Startup};

/// How often the status line is looked after where nobody wants a watchdog.
const STATUS_INTERVAL: Duration = Duration::from_secs(10);

/// Checks within one watchdog interval: one may fail, and the next, with a new worker, still be in time.
const CHECKS: u32 = 3;

/// Checks until the daemon ends. `startup` is what workers are started with, if there is a framework for them; without one
/// a restart would not help, and only the daemon itself is looked at.
pub(crate) async fn watch(
    context: Arc<Context>,
    startup: Option<Arc<Startup>>,
    notifier: Notifier,
    watchdog: Option<Duration>,
) {
    let period = watchdog.map_or(STATUS_INTERVAL, |whole| whole / CHECKS);
    let mut ticks = interval(period.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut canary = Canary::default();
    let mut told = String::new();
    loop {
        ticks.tick().await;
        let checked = match (watchdog, &startup) {
            (Some(_), Some(startup)) => check(&mut canary, startup, period).await,
            _ => Ok(()),
        };
        if watchdog.is_some() && checked.is_ok() {
            notifier.alive();
        }
        let status = match checked {
            Ok(()) => summary(&context),
            Err(why) => format!("no worker computes: {why}; {}", summary(&context)),
        };
        if status != told {
            notifier.status(&status);
            told = status;
        }
    }
}

async fn check(canary: &mut Canary, startup: &Startup, within: Duration) -> Result<(), String> {
    let begun = Instant::now();
    let why = match timeout(within, canary.check(startup)).await {
        Ok(Ok(())) => {
            let took_us = begun.elapsed().as_micros();
            tracing::debug!(took_us, "a worker computed");
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
        match model.status.borrow().state {
            State::Ready => ready = ready.saturating_add(1),
            State::Loading | State::Restarting => others = others.saturating_add(1),
            State::Absent | State::Draining | State::Failed | State::Gone => {}
        }
    }
    let loading = match others {
        0 => String::new(),
        others => format!(", {others} loading"),
    };
    let sessions = context.sessions.all().len();
    format!("{ready} models ready{loading}; {sessions} sessions")
}
