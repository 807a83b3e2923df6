//! One version of one model, or one tenant's unit of it: its bytes, its state, its queue. What moves it is `lifecycle.rs`.

mod access;
mod artifact;
mod claim;
mod latency;
mod life;
mod need;
mod pool;
mod side;
mod signatures;
mod totals;
mod units;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use nn_catalogue::Manifest;
use nn_tensor::{Fault, ModelName, Reason, Version};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::events::Events;
use crate::framework::Framework;
use crate::guests::Place;
use crate::lifecycle::Spare;
use crate::lifecycle::state::State;
use crate::limits::Limits;
use crate::metrics::{Metrics, OfModel};
use crate::quarantine::Whose;
use crate::queue::Queue;
use crate::remote::Endpoints;
use crate::worker::Tail;
pub(crate) use access::Access;
pub(crate) use artifact::{Artifact, Origin, Unread};
pub(crate) use claim::Claim;
use claim::Claims;
use latency::Latencies;
pub(crate) use need::Need;
pub(crate) use pool::{Instance, Pool, Serving};
use side::{Placed, Side};
pub(crate) use signatures::Signatures;
use totals::Totals;
pub(crate) use totals::{Computes, Seen};
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

/// What people are told of a model.
#[derive(Clone, Debug, Default)]
pub(crate) struct Status {
    pub(crate) state: State,
    /// Why it failed.
    pub(crate) fault: Option<Fault>,
    /// How long the last load took.
    pub(crate) load: Duration,
    pub(crate) runtime: String,
}

/// One version of a model.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) name: ModelName,
    pub(crate) version: Version,
    pub(crate) source: Source,
    pub(crate) artifact: Arc<Artifact>,
    /// What its operator says of it.
    pub(crate) manifest: Arc<Manifest>,
    /// Whom it is for.
    pub(crate) access: Access,
    /// Whose calls it computes.
    pub(crate) whose: Whose,
    pub(crate) queue: Queue,
    pub(crate) status: watch::Sender<Status>,
    /// Its workers that serve.
    pub(crate) pool: Pool,
    /// The worker that waits, if there is one: a version's and its units'.
    pub(crate) spare: Arc<Spare>,
    /// What its workers have written: a version's and its units'.
    pub(crate) log: Arc<Tail>,
    /// How long its computes took: a version's and its units'.
    pub(crate) latencies: Arc<Latencies>,
    /// How often it has computed, and how long that took together: a version's and its units'.
    pub(crate) totals: Arc<Totals>,
    units: Units,
    /// Which side of a version it is.
    side: Side,
    /// Which of them computes.
    placed: Arc<Placed>,
    /// The side that relays compute, from the first time on that it is asked for.
    remote: OnceLock<Arc<Self>>,
    /// What its relay says of its endpoints; of none on the local side.
    pub(crate) endpoints: Arc<Endpoints>,
    /// Of the side that relays compute: the file of the version, if there is one here.
    pub(crate) file: Option<Arc<Artifact>>,
    queue_max: u32,
    /// True once it is to be unloaded.
    pub(crate) unload: watch::Sender<bool>,
    pub(crate) started: AtomicBool,
    /// It has become wanted while it was absent.
    pub(crate) wanted: Notify,
    /// It may rest, if it still can when this is heard.
    pub(crate) rest: Notify,
    /// It stays loaded whatever happens to memory.
    pub(crate) pinned: Arc<AtomicBool>,
    claims: Arc<Claims>,
    /// Where what happens to it is told; `None` for a guest's.
    events: Option<Arc<Events>>,
    /// When it was used last.
    used: Mutex<Instant>,
    signatures: Mutex<Option<Signatures>>,
    /// Where its computes are counted for those who watch, from the first on.
    metrics: OnceLock<Arc<OfModel>>,
}

impl Model {
    pub(crate) fn new(
        name: ModelName,
        version: Version,
        source: Source,
        artifact: Arc<Artifact>,
        queue_max: u32,
    ) -> Self {
        let whose = match &source {
            Source::Uploaded | Source::Repository => Whose::All,
            Source::Guest(place) => Whose::Guest(place.owner().clone()),
        };
        Self {
            name,
            version,
            source,
            artifact,
            manifest: Arc::default(),
            access: Access::default(),
            whose,
            queue: Queue::new(queue_max),
            status: watch::channel(Status::default()).0,
            pool: Pool::new(),
            spare: Arc::default(),
            log: Arc::default(),
            latencies: Arc::default(),
            totals: Arc::default(),
            units: Units::default(),
            side: Side::default(),
            placed: Arc::default(),
            remote: OnceLock::new(),
            endpoints: Arc::default(),
            file: None,
            queue_max,
            unload: watch::channel(false).0,
            started: AtomicBool::new(false),
            wanted: Notify::new(),
            rest: Notify::new(),
            pinned: Arc::default(),
            claims: Arc::default(),
            events: None,
            used: Mutex::new(Instant::now()),
            signatures: Mutex::default(),
            metrics: OnceLock::new(),
        }
    }

    /// The same with what its operator says of it, and where to tell what happens to it.
    pub(crate) fn described(self, manifest: Manifest, events: Arc<Events>) -> Self {
        Self {
            access: Access::new(manifest.tenants.clone()),
            placed: Arc::new(Placed::new(manifest.placement)),
            manifest: Arc::new(manifest),
            events: Some(events),
            ..self
        }
    }

    /// The longest that one of its computes may take.
    pub(crate) fn compute_max(&self, limits: &Limits) -> Duration {
        let own = self.manifest.compute_max;
        own.map_or(limits.compute_max(), |own| own.min(limits.compute_max()))
    }

    /// The longest that one of its loads may take.
    pub(crate) fn load_max(&self, limits: &Limits) -> Duration {
        let own = self.manifest.load_max;
        own.map_or(limits.load_max(), |own| own.min(limits.load_max()))
    }

    /// What runs it; fails where that does not read its format, or compute as it is to be computed.
    pub(crate) fn framework(&self) -> Result<Framework, Fault> {
        if self.is_remote() {
            return Ok(Framework::KServe);
        }
        if !self.has_file() {
            return Err(Fault::of(Reason::PlacementFile));
        }
        let framework = Framework::of(&self.manifest.backend, &self.artifact.format)?;
        framework.offers(self.manifest.precision)?;
        Ok(framework)
    }

    /// `foo@1`.
    pub(crate) fn id(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }

    /// Returns once nothing is left of a model that is being unloaded; at once for one that was never
    /// started.
    pub(crate) async fn gone(&self) {
        self.sides_gone().await;
        for unit in self.units() {
            unit.sides_gone().await;
        }
    }

    async fn sides_gone(&self) {
        self.own_gone().await;
        if let Some(remote) = self.remote() {
            remote.own_gone().await;
        }
    }

    async fn own_gone(&self) {
        if self.started.load(Ordering::Acquire) {
            let mut status = self.status.subscribe();
            // The sender lives in `self`.
            let _ = status.wait_for(|status| status.state == State::Gone).await;
        }
    }

    /// It has computed for somebody.
    pub(crate) fn used_now(&self) {
        self.spare.use_now();
        self.touch();
    }

    /// Where its computes are counted for those who watch; its units' are the same.
    pub(crate) fn metrics(&self, metrics: &Metrics) -> &OfModel {
        self.metrics.get_or_init(|| metrics.of_model(self))
    }
}
