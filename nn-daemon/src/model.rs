//! One version of one model: its bytes, its state, its queue. What moves it is `lifecycle.rs`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nn_shm::Blob;
use nn_tensor::{Code, Fault, ModelName, Signature, Version};
use tokio::sync::{mpsc, watch};

use crate::guests::Place;
use crate::lifecycle::state::State;
use crate::queue::{Job, Queue};
use crate::worker::Worker;

/// Where a model's bytes came from.
#[derive(Debug)]
pub(crate) enum Source {
    /// An operator sent them; they are in the state directory.
    Uploaded,
    /// A model repository holds them.
    Repository,
    /// A guest sent them; they are in memory, in this place.
    Guest(Place),
}

/// A model's bytes, sealed, and what is known of them.
#[derive(Debug)]
pub(crate) struct Artifact {
    pub(crate) blob: Blob,
    pub(crate) sha256: [u8; 32],
    /// `onnx`.
    pub(crate) format: String,
}

/// What people are told of a model.
#[derive(Clone, Debug, Default)]
pub(crate) struct Status {
    pub(crate) state: State,
    /// Why it failed.
    pub(crate) fault: Option<Fault>,
    /// How long the last load took.
    pub(crate) load: Duration,
    pub(crate) restarts: u32,
    pub(crate) runtime: String,
}

/// One version of a model.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) name: ModelName,
    pub(crate) version: Version,
    pub(crate) source: Source,
    pub(crate) artifact: Artifact,
    pub(crate) queue: Queue,
    pub(crate) status: watch::Sender<Status>,
    pub(crate) worker: watch::Sender<Option<Arc<Worker>>>,
    /// True once it is to be unloaded.
    pub(crate) unload: watch::Sender<bool>,
    /// The queue's other end, until the lifecycle takes it.
    pub(crate) jobs: Mutex<Option<mpsc::Receiver<Job>>>,
    pub(crate) started: AtomicBool,
    signature: Mutex<Option<Arc<Signature>>>,
    ok: AtomicU64,
    failed: AtomicU64,
}

impl Model {
    pub(crate) fn new(
        name: ModelName,
        version: Version,
        source: Source,
        artifact: Artifact,
        queue_max: u32,
    ) -> Self {
        let (queue, jobs) = Queue::new(queue_max);
        Self {
            name,
            version,
            source,
            artifact,
            queue,
            status: watch::channel(Status::default()).0,
            worker: watch::channel(None).0,
            unload: watch::channel(false).0,
            jobs: Mutex::new(Some(jobs)),
            started: AtomicBool::new(false),
            signature: Mutex::new(None),
            ok: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    /// `foo@1`.
    pub(crate) fn id(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }

    /// What it takes and gives; an error before its first load.
    pub(crate) fn signature(&self) -> Result<Arc<Signature>, Fault> {
        let signature = self
            .signature
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        signature
            .clone()
            .ok_or_else(|| Fault::busy("the model has not been loaded yet"))
    }

    pub(crate) fn set_signature(&self, signature: Signature) {
        let mut known = self
            .signature
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *known = Some(Arc::new(signature));
    }

    /// Returns once nothing is left of a model that is being unloaded; at once for one that was never
    /// started.
    pub(crate) async fn gone(&self) {
        if self.started.load(Ordering::Acquire) {
            let mut status = self.status.subscribe();
            // The sender lives in `self`.
            let _ = status.wait_for(|status| status.state == State::Gone).await;
        }
    }

    /// Counts a compute.
    pub(crate) fn count(&self, ok: bool) {
        if ok { &self.ok } else { &self.failed }.fetch_add(1, Ordering::Relaxed);
    }

    /// Computes that gave outputs, and that did not.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (
            self.ok.load(Ordering::Relaxed),
            self.failed.load(Ordering::Relaxed),
        )
    }

    /// Waits until the model can be resolved, or is known not to be: at most `within`.
    pub(crate) async fn usable(&self, within: Duration) -> Result<(), Fault> {
        let mut status = self.status.subscribe();
        let settled = status.wait_for(|status| match status.state {
            State::Ready | State::Restarting | State::Failed | State::Draining | State::Gone => {
                true
            }
            // It was loading and no worker could be had.
            State::Absent => status.fault.is_some(),
            State::Loading => false,
        });
        let status = match tokio::time::timeout(within, settled).await {
            Ok(Ok(status)) => status.clone(),
            Ok(Err(_)) => return Err(Fault::runtime("the model went away while it was loading")),
            Err(_) => {
                return Err(Fault::busy("the model is still loading")
                    .expected(format!("at most {within:?}"))
                    .hint("try again later; `nnctl list` shows its state"));
            }
        };
        match status.state {
            State::Failed | State::Absent => Err(status
                .fault
                .unwrap_or_else(|| Fault::new(Code::Unknown, "the model could not be loaded"))),
            State::Draining | State::Gone => Err(Fault::not_found("the model is being unloaded")),
            State::Ready | State::Restarting | State::Loading => Ok(()),
        }
    }
}
