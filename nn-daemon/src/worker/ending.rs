//! The end of a worker: how it is ordered, and how it is learnt of. What is made of both is `exit.rs`.

use std::sync::Arc;
use std::time::Duration;

use nn_patience::timeout;
use nn_worker_wire as wire;
use tokio::sync::oneshot;

use super::exit::{Order, Report};
use super::spawn::Spawner;
use super::{Cause, Worker};

/// How long a process may live on once its socket has ended, or its end be unreported.
const EXIT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long more the spawner may take to say how a worker has ended that is known to have.
const REPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// The way to know how a worker has ended.
#[derive(Debug)]
pub(crate) struct Ending {
    spawner: Arc<Spawner>,
    worker: u32,
    exit: oneshot::Receiver<wire::End>,
}

// === impl Ending ===

impl Ending {
    pub(super) fn of(
        spawner: &Arc<Spawner>,
        worker: u32,
        exit: oneshot::Receiver<wire::End>,
    ) -> Self {
        Self {
            spawner: Arc::clone(spawner),
            worker,
            exit,
        }
    }

    /// How it ended, as far as that can be learnt; asked once, when its socket has ended. A report that is late says
    /// nothing of the worker: a process that is known to be dead is waited for longer, and only one that is known to
    /// live has closed its socket itself.
    pub(super) async fn learn(&mut self) -> Report {
        if let Ok(report) = timeout(EXIT_TIMEOUT, &mut self.exit).await {
            return report.map_or(Report::Late, Report::Ended);
        }
        if self.spawner.lives(self.worker) == Some(true) {
            return Report::Lives;
        }
        match timeout(REPORT_TIMEOUT, &mut self.exit).await {
            Ok(Ok(end)) => Report::Ended(end),
            Ok(Err(_)) | Err(_) => Report::Late,
        }
    }
}

// === impl Worker ===

impl Worker {
    /// Ends the worker by force; its jobs are then answered by the cause of its end.
    pub(crate) fn kill(&self, order: Order) {
        if !self.state().dead {
            self.order(order);
            tracing::warn!(
                worker = self.id,
                pid = self.pid,
                "killing a worker: {order}"
            );
            self.spawner.kill(self.id);
        }
    }

    /// Asks the worker to leave, and kills it if it has not within `grace`.
    pub(crate) async fn stop(&self, grace: Duration) {
        self.order(Order::Leave);
        let leave = async {
            self.send(&wire::ToWorker::Bye).await;
            self.gone().await;
        };
        if timeout(grace, leave).await.is_err() {
            self.kill(Order::Leave);
            self.gone().await;
        }
    }

    /// Notes what its end will have been for: the first order is what explains it.
    fn order(&self, order: Order) {
        let _ = self.ordered.set(order);
    }

    /// Why it is gone, from what is reported and what was ordered before.
    pub(super) fn judge(&self, report: Report) -> Cause {
        Cause::judge(self.ordered.get().copied(), report)
    }

    /// Returns once the worker has ended and its jobs are answered.
    pub(crate) async fn gone(&self) {
        // The sender lives in `self`.
        let _ = self.gone.subscribe().wait_for(Option::is_some).await;
    }

    /// How it ended; for a worker that lives, as if it had been killed.
    pub(crate) fn cause(&self) -> Cause {
        self.gone.borrow().clone().unwrap_or(Cause::Killed)
    }

    /// Whether it has not ended yet.
    pub(crate) fn is_alive(&self) -> bool {
        self.gone.borrow().is_none()
    }
}
