//! One version of one model, or one tenant's unit of it: its bytes, its state, its queue. What moves it is `lifecycle.rs`.

mod units;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nn_shm::Blob;
use nn_tensor::{Code, Fault, ModelName, Signature, Version};
use nn_vet::Vetted;
use tokio::sync::{mpsc, watch};

use crate::guests::Place;
use crate::lifecycle::Spare;
use crate::lifecycle::state::State;
use crate::quarantine::Whose;
use crate::queue::{Job, Queue};
use crate::worker::Worker;
use units::Units;

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
    /// What our own reading of them found.
    pub(crate) vetted: Vetted,
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
    pub(crate) artifact: Arc<Artifact>,
    /// Whose calls it computes.
    pub(crate) whose: Whose,
    pub(crate) queue: Queue,
    pub(crate) status: watch::Sender<Status>,
    pub(crate) worker: watch::Sender<Option<Arc<Worker>>>,
    /// The worker that waits, if there is one: a version's and its units'.
    pub(crate) spare: Arc<Spare>,
    units: Units,
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
        artifact: Arc<Artifact>,
        queue_max: u32,
    ) -> Self {
        let (queue, jobs) = Queue::new(queue_max);
        let said = artifact.vetted.signature.clone();
        let whose = match &source {
            Source::Uploaded | Source::Repository => Whose::All,
            Source::Guest(place) => Whose::Guest(place.owner().clone()),
        };
        Self {
            name,
            version,
            source,
            artifact,
            whose,
            queue,
            status: watch::channel(Status::default()).0,
            worker: watch::channel(None).0,
            spare: Arc::default(),
            units: Units::default(),
            unload: watch::channel(false).0,
            jobs: Mutex::new(Some(jobs)),
            started: AtomicBool::new(false),
            signature: Mutex::new(said.map(Arc::new)),
            ok: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    /// `foo@1`.
    pub(crate) fn id(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }

    /// What it takes and gives: as its bytes say, and as its worker knows better; an error where they do not say it and
    /// no worker has yet.
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
        self.own_gone().await;
        for unit in self.units() {
            unit.own_gone().await;
        }
    }

    async fn own_gone(&self) {
        if self.started.load(Ordering::Acquire) {
            let mut status = self.status.subscribe();
            // The sender lives in `self`.
            let _ = status.wait_for(|status| status.state == State::Gone).await;
        }
    }

    /// Counts a compute.
    pub(crate) fn count(&self, ok: bool) {
        if ok { &self.ok } else { &self.failed }.fetch_add(1, Ordering::Relaxed);
        self.spare.use_now();
    }

    /// Computes that gave outputs, and that did not; its units' among them.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let own = |model: &Self| {
            let (ok, failed) = (&model.ok, &model.failed);
            (ok.load(Ordering::Relaxed), failed.load(Ordering::Relaxed))
        };
        self.units().iter().fold(own(self), |sum, unit| {
            let (ok, failed) = own(unit);
            (sum.0.saturating_add(ok), sum.1.saturating_add(failed))
        })
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
