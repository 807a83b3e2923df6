//! The two sides of a version: the workers of this daemon, and the relays to the endpoints that its `model.toml` names. Each is
//! a model like any other (a queue, a task, workers, a state); which of them computes is the version's placement, which
//! its units share. What holds a version holds its local side: that is the version.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nn_catalogue::{Digest, Instances, KServe, Placement};
use nn_tensor::{Fault, Reason};
use tokio::time::Instant;

use super::{Artifact, Model, Origin, Source};
use crate::events::Kind;
use crate::lifecycle::Spare;
use crate::remote::Endpoints;
use crate::remote::endpoints::{Endpoint, worst};

/// Why calls are not sent: no endpoint, or none that may be believed, or that has the model; or nobody who could ask one, or no
/// relay that came up.
const UNSENT: [Reason; 11] = [
    Reason::RemoteUnreachable,
    Reason::RemoteRefused,
    Reason::RemoteTls,
    Reason::RemoteModel,
    Reason::PlacementAway,
    Reason::PlacementOff,
    Reason::PlacementSecret,
    Reason::LoadLate,
    Reason::LoadCrashed,
    Reason::WorkerNotStarted,
    Reason::WorkerAway,
];

/// How often it is told at most that a version's calls are taken over.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// Who computes a version, known to its units too.
#[derive(Debug, Default)]
pub(crate) struct Placed {
    now: AtomicU8,
    /// The place of a relay that has learnt what the model takes, where each tenant has one of its own.
    spare: Arc<Spare>,
    /// Computes that no endpoint could be asked and that a worker here took over.
    fallbacks: AtomicU64,
    /// When that was told last.
    told: Mutex<Option<Instant>>,
}

/// Which side of a version a model is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Side {
    #[default]
    Local,
    Remote,
}

// === impl Placed ===

impl Placed {
    pub(super) fn new(placement: Placement) -> Self {
        let placed = Self::default();
        placed.set(placement);
        placed
    }

    pub(super) fn now(&self) -> Placement {
        match self.now.load(Ordering::Acquire) {
            0 => Placement::Local,
            _ => Placement::KServe,
        }
    }

    fn set(&self, placement: Placement) {
        let now = match placement {
            Placement::Local => 0,
            Placement::KServe => 1,
        };
        self.now.store(now, Ordering::Release);
    }
}

// === impl Model ===

impl Model {
    /// Who computes the version from now on.
    pub(crate) fn place(&self, placement: Placement) {
        self.placed.set(placement);
    }

    /// Who computes the version.
    pub(crate) fn placement(&self) -> Placement {
        self.placed.now()
    }

    /// Whether it is the side that relays compute.
    pub(crate) fn is_remote(&self) -> bool {
        self.side == Side::Remote
    }

    /// Whether it is the side that computes.
    pub(crate) fn is_active(&self) -> bool {
        match self.placement() {
            Placement::Local => !self.is_remote(),
            Placement::KServe => self.is_remote(),
        }
    }

    /// Whether there is a file of it here.
    pub(crate) fn has_file(&self) -> bool {
        !matches!(self.artifact.origin, Origin::Elsewhere)
    }

    /// What its `model.toml` says of endpoints; an error where it names none.
    pub(crate) fn kserve(&self) -> Result<&KServe, Fault> {
        let said = self.manifest.kserve.as_ref();
        said.ok_or_else(|| Fault::of(Reason::PlacementUnsaid))
    }

    /// The side that computes now.
    pub(crate) fn active(self: &Arc<Self>) -> &Arc<Self> {
        match self.placement() {
            Placement::KServe if !self.is_remote() => self.beyond(),
            Placement::Local | Placement::KServe => self,
        }
    }

    /// The same, to look at.
    pub(crate) fn active_ref(&self) -> &Self {
        match self.placement() {
            Placement::KServe if !self.is_remote() => self.beyond(),
            Placement::Local | Placement::KServe => self,
        }
    }

    /// The side of that placement.
    pub(crate) fn side_of(self: &Arc<Self>, placement: Placement) -> &Arc<Self> {
        match placement {
            Placement::Local => self,
            Placement::KServe => self.beyond(),
        }
    }

    /// The side that relays compute, if it has ever been asked for.
    pub(crate) fn remote(&self) -> Option<&Arc<Self>> {
        self.remote.get()
    }

    /// Its endpoints as its relays tell of them, those of its units among them.
    pub(crate) fn told_endpoints(&self) -> Vec<Endpoint> {
        let units = self.units();
        let all = [self].into_iter().chain(units.iter().map(Arc::as_ref));
        let relays = all.filter_map(|version| version.remote());
        let told: Vec<Vec<Endpoint>> = relays.map(|relay| relay.endpoints.list()).collect();
        let said = self.manifest.kserve.as_ref();
        let addresses = said.map_or(&[][..], |said| &said.endpoints);
        worst(addresses, &told)
    }

    /// Both sides, as far as they are there.
    pub(crate) fn sides(self: &Arc<Self>) -> impl Iterator<Item = &Arc<Self>> {
        [self].into_iter().chain(self.remote())
    }

    fn beyond(&self) -> &Arc<Self> {
        self.remote.get_or_init(|| {
            let text = self.manifest.to_text().unwrap_or_default();
            let sha256 = Digest::of(text.as_bytes()).0;
            let format = Placement::KServe.name().to_owned();
            let artifact = Artifact::unread(Origin::Elsewhere, sha256, 0, format);
            let source = match &self.source {
                Source::Repository => Source::Repository,
                Source::Uploaded | Source::Guest(_) => Source::Uploaded,
            };
            let (name, queue_max) = (self.name.clone(), self.queue_max);
            let new = Self::new(name, self.version, source, Arc::new(artifact), queue_max);
            let said = self.manifest.kserve.as_ref();
            let addresses = said.map_or(Vec::new(), |said| said.endpoints.clone());
            Arc::new(Self {
                side: Side::Remote,
                whose: self.whose.clone(),
                manifest: Arc::clone(&self.manifest),
                access: self.access.clone(),
                pinned: Arc::clone(&self.pinned),
                claims: Arc::clone(&self.claims),
                spare: Arc::clone(&self.placed.spare),
                log: Arc::clone(&self.log),
                latencies: Arc::clone(&self.latencies),
                totals: Arc::clone(&self.totals),
                placed: Arc::clone(&self.placed),
                endpoints: Arc::new(Endpoints::new(addresses, self.id(), self.events.clone())),
                file: self.has_file().then(|| Arc::clone(&self.artifact)),
                events: self.events.clone(),
                ..new
            })
        })
    }

    /// The workers that it is to have while it is loaded. A relay has many calls under way: there is one.
    pub(crate) fn instances(&self) -> Instances {
        if self.is_remote() {
            return Instances::default();
        }
        self.manifest.instances.unwrap_or_default()
    }

    /// Whether a worker here takes a compute over that has failed so at the endpoints: nothing of it has been sent. What would
    /// be too long to be sent is no concern of theirs.
    pub(crate) fn falls_back(&self, fault: &Fault) -> bool {
        let may = self.manifest.kserve.as_ref();
        may.is_some_and(|kserve| kserve.falls_back)
            && self.has_file()
            && fault.reason.is_some_and(|reason| UNSENT.contains(&reason))
    }

    /// Counts one that it takes over, and tells of it where that was not done just now.
    pub(crate) fn took_over(&self, fault: &Fault) {
        self.placed.fallbacks.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let mut told = self
            .placed
            .told
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if told.is_some_and(|told| now.duration_since(told) < TOLD_EVERY) {
            return;
        }
        *told = Some(now);
        drop(told);
        let id = fault.reason.map_or("", |reason| reason.row().id);
        self.tell(Kind::FellBack, id);
    }

    /// How many these are.
    pub(crate) fn fallbacks(&self) -> u64 {
        self.placed.fallbacks.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use nn_catalogue::Manifest;
    use nn_tensor::Version;

    use super::*;

    fn model(text: &str) -> Arc<Model> {
        let manifest = Manifest::parse(text, |name| Err(Fault::not_found(name))).unwrap();
        let artifact = Artifact::unread(Origin::Memory, [7; 32], 100, "onnx".to_owned());
        let (name, artifact) = ("m".parse().unwrap(), Arc::new(artifact));
        let model = Model::new(name, Version::FIRST, Source::Uploaded, artifact, 4);
        let placed = Arc::new(Placed::new(manifest.placement));
        Arc::new(Model {
            manifest: Arc::new(manifest),
            placed,
            ..model
        })
    }

    const BOTH: &str =
        "placement = \"kserve\"\n[kserve]\nendpoints = [\"a:1\"]\nfallback = \"local\"";

    #[test]
    fn the_side_that_computes_is_the_one_that_the_version_is_placed_at() {
        let model = model(BOTH);
        assert!(model.active().is_remote() && !model.is_active());
        model.place(Placement::Local);
        assert!(!model.active().is_remote() && model.is_active());
        assert_eq!(model.sides().count(), 2);
        let remote = model.remote().unwrap();
        assert_eq!(remote.id(), model.id());
        assert_ne!(remote.artifact.sha256, model.artifact.sha256);
    }

    #[test]
    fn only_what_was_not_sent_is_taken_over() {
        let model = model(BOTH);
        for (reason, expected) in [
            (Reason::RemoteUnreachable, true),
            (Reason::RemoteRefused, true),
            (Reason::RemoteModel, true),
            (Reason::RemoteTls, true),
            (Reason::PlacementAway, true),
            (Reason::LoadLate, true),
            (Reason::WorkerAway, true),
            (Reason::PlacementDiffers, false),
            (Reason::WorkerCrashed, false),
            (Reason::RemoteFailed, false),
            (Reason::RemoteLost, false),
            (Reason::RemoteDeadline, false),
            (Reason::RemoteMessage, false),
            (Reason::DeadlineRunning, false),
        ] {
            assert_eq!(model.falls_back(&Fault::of(reason)), expected, "{reason:?}");
        }
    }
}
