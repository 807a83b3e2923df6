//! What the service manager is told while requests are served: whether the daemon answers, and that this
//! process still works.

use std::time::Duration;

use nn_client::Client;
use nn_service::Notifier;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use crate::serve::accept::Beat;

/// Between two attempts to reach a daemon that is away.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Opens each tenant's session with the daemon, so that no request has to. One that is away is no reason to end: it
/// may come, and each request that needs it looks again.
pub(super) async fn session(clients: Vec<Client>, notifier: Notifier, serving: String) {
    let mut pause = PAUSE_MIN;
    let mut away = false;
    let mut clients = clients.iter().peekable();
    while let Some(client) = clients.peek() {
        let Err(error) = client.connect().await else {
            clients.next();
            continue;
        };
        if !away {
            let tenant = client.tenant();
            tracing::warn!(%error, %tenant, hint = %error.hint(), "nn-daemon is away; requests that infer fail until it answers");
        }
        away = true;
        let status = format!("{serving}; nn-daemon is away: {error}");
        notifier.status(&status);
        sleep(pause).await;
        pause = pause.saturating_mul(2).min(PAUSE_MAX);
    }
    tracing::info!("nn-daemon answers");
    notifier.status(&format!("{serving}; nn-daemon answers"));
}

/// Tells the service manager that this process works, as long as it does: that the loop which accepts
/// turns, and that the executor takes and ends a task.
pub(super) async fn watchdog(beats: mpsc::Sender<Beat>, notifier: Notifier) {
    let Some(interval) = nn_service::watchdog() else {
        return;
    };
    // Twice within the interval, and one to spare.
    let pause = interval / 3;
    loop {
        if timeout(pause, works(&beats)).await == Ok(true) {
            notifier.alive();
        } else {
            tracing::warn!("no progress: the watchdog is not told that all is well");
        }
        sleep(pause).await;
    }
}

async fn works(beats: &mpsc::Sender<Beat>) -> bool {
    let (beat, answer) = oneshot::channel();
    let turns = beats.send(beat).await.is_ok() && answer.await.is_ok();
    turns && tokio::spawn(async {}).await.is_ok()
}
