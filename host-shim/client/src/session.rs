//! One session: a gRPC connection, the descriptor connection that is its life, the stream of computes,
//! and what the daemon granted. It ends once, for good ([`Session::end`]); then everything in flight has
//! its fault, and a new one must be opened.
//!
//! ```text
//!  live ──the daemon says that it is ending──▶ leaving ──the last answer has come──▶ ended
//!    └────────────────────the connection is lost, or the client goes─────────────────▲
//! ```
//!
//! In a session that is leaving nothing new is begun; what is in flight ends as ever.

mod compute;
mod fdsock;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod grants;
mod load;
mod open;
mod replies;
mod resolve;
mod stream;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use nn_proto::v1;
use nn_proto::v1::inference_client::InferenceClient;
use nn_tensor::Fault;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::AbortHandle;
use tonic::transport::Channel;

use crate::arena::Releases;
use crate::fault;
use crate::stats::Counters;
use crate::sync::lock;

pub use load::Format;
pub(crate) use load::describe;
pub use replies::OutTensor;
pub(crate) use resolve::Resolved;

/// Longest wait for a segment that a message has named.
const GRANT_WAIT: Duration = Duration::from_secs(1);

/// What the daemon said it will refuse.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Computes in flight.
    pub(crate) in_flight_max: usize,
    /// Longest deadline of one compute.
    pub(crate) timeout_max: Duration,
    /// Largest single tensor, in bytes.
    pub(crate) tensor_bytes_max: u64,
    /// How long a segment may be idle.
    pub(crate) idle: Duration,
}

#[derive(Debug)]
pub(crate) struct Session {
    id: v1::Id128,
    limits: Limits,
    rpc: InferenceClient<Channel>,
    counters: Arc<Counters>,
    requests: mpsc::Sender<v1::InferRequest>,
    request_ids: AtomicU64,
    permits: Arc<Semaphore>,
    in_flight: Mutex<HashMap<u64, replies::InFlight>>,
    arenas: Mutex<grants::Arenas>,
    releases: Arc<Releases>,
    /// How many ReleaseGraph have been queued.
    graphs_released: AtomicU64,
    /// Counts grants and revocations, for those who wait for one.
    granted: watch::Sender<u64>,
    resolved: Mutex<resolve::Cache>,
    /// Set once, when the daemon has said that it is ending.
    is_leaving: AtomicBool,
    /// Set once, when the session is over.
    ended: OnceLock<Fault>,
    ended_signal: watch::Sender<bool>,
    tasks: Mutex<Vec<AbortHandle>>,
}

impl Session {
    pub(crate) fn is_ended(&self) -> bool {
        self.ended.get().is_some()
    }

    /// Whether nothing new is begun here: the session has ended, or its daemon is about to.
    pub(crate) fn is_over(&self) -> bool {
        self.is_leaving.load(Ordering::Acquire) || self.is_ended()
    }

    /// The daemon is ending: begins nothing more here, and ends the session when the last answer has come.
    pub(crate) fn leave(self: &Arc<Self>) {
        if self.is_leaving.swap(true, Ordering::AcqRel) {
            return;
        }
        tracing::info!("nn-daemon is ending; the next call opens a session with the next");
        let session = Arc::clone(self);
        let all = u32::try_from(self.limits.in_flight_max).unwrap_or(u32::MAX);
        tokio::spawn(async move {
            let mut ended = session.ended_signal.subscribe();
            // Every permit is back when every answer has come.
            let answered = tokio::select! {
                permits = session.permits.acquire_many(all) => permits.is_ok(),
                _ = ended.wait_for(|ended| *ended) => false,
            };
            if answered {
                session.end(&fault::not_begun());
            }
        });
    }

    /// Ends the session: everything in flight gets `fault` now, the descriptor connection closes, and
    /// with it the daemon frees what this session had. Only the first call does anything.
    pub(crate) fn end(&self, fault: &Fault) {
        if self.ended.set(fault.clone()).is_err() {
            return;
        }
        self.releases.close();
        // Whoever starts a compute checks `ended` under this lock, so none comes in behind.
        let in_flight = std::mem::take(&mut *lock(&self.in_flight));
        for (_, job) in in_flight {
            let fault = if job.is_sent {
                fault.clone()
            } else {
                fault::not_begun()
            };
            job.finish(Err(fault));
        }
        self.ended_signal.send_replace(true);
        self.abort_tasks();
    }

    fn abort_tasks(&self) {
        for task in lock(&self.tasks).drain(..) {
            task.abort();
        }
    }

    /// The fault of whoever finds the session over.
    fn ended_fault(&self) -> Fault {
        self.ended.get().cloned().unwrap_or_else(fault::lost)
    }

    /// Runs something that waits for the daemon, for at most `limit` and no longer than the session.
    async fn bounded<T>(
        &self,
        limit: Duration,
        late: impl FnOnce() -> Fault,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let mut ended = self.ended_signal.subscribe();
        tokio::select! {
            result = tokio::time::timeout(limit, work) => result.unwrap_or_else(|_| Err(late())),
            _ = ended.wait_for(|ended| *ended) => Err(self.ended_fault()),
        }
    }
}
