//! Models that guests have loaded from bytes. Each belongs to one tenant of one peer uid and is known by the
//! digest of its bytes: the same bytes again are the same model, with the same worker. Nobody finds them by
//! name, nobody else gets them, and nothing of them is on a disk.
//!
//! ```text
//!            enter: Send            arrived              last lease dropped
//!  (nothing) ───────────▶ Arriving ────────▶ Here ─────────────────────────▶ (nothing)
//!      ▲                     │                                 the model is unloaded and with it
//!      └─── Arrival dropped ─┘                                 its worker, its memory, its place
//! ```
//!
//! Whoever asks for bytes that are arriving waits for them: they come once.

mod places;

pub(crate) use places::Place;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use nn_tensor::{Fault, ModelName, Reason, Tenant, Version};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::framework::Framework;
use crate::lifecycle::ensure_started;
use crate::lifecycle::state::State;
use crate::limits::Limits;
use crate::model::{Artifact, Model, Source};
use crate::quarantine::Whose;
use crate::registry::hex;
use crate::tenancy::Tenancy;
use crate::worker::{Startup, Worker};
use places::Places;

/// All of them.
#[derive(Debug)]
pub(crate) struct Guests {
    limits: Limits,
    /// What workers are started with; an error while there is no framework to start them with.
    startup: Result<Arc<Startup>, Fault>,
    places: Arc<Places>,
    slots: Mutex<HashMap<Key, Slot>>,
}

/// Whose a guest's model is: one tenant's of one peer uid. Who is either, but not both, is somebody else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) tenant: Tenant,
}

/// Whose bytes. What format they have follows from them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) owner: Owner,
    pub(crate) sha256: [u8; 32],
}

#[derive(Debug)]
enum Slot {
    /// Somebody is sending them; the channel closes when that is over, well or not.
    Arriving(watch::Receiver<()>),
    Here(Weak<Kept>),
}

/// A model for as long as somebody has a lease.
#[derive(Debug)]
struct Kept {
    guests: Weak<Guests>,
    key: Key,
    model: Arc<Model>,
}

/// A share in a model: with the last one the model goes.
#[derive(Clone, Debug)]
pub(crate) struct Lease(Arc<Kept>);

/// What there is of some bytes.
#[derive(Debug)]
pub(crate) enum Entry {
    /// A model, loaded or loading.
    Here(Lease),
    /// Nothing: send them.
    Missing(Arrival),
}

/// The duty to bring bytes that others may be waiting for; dropped, the next of them has it.
#[derive(Debug)]
pub(crate) struct Arrival {
    guests: Arc<Guests>,
    key: Key,
    /// Closes when this is dropped.
    _over: watch::Sender<()>,
}

// === impl Guests ===

impl Guests {
    pub(crate) fn new(
        limits: Limits,
        tenancy: Tenancy,
        startup: Result<Arc<Startup>, Fault>,
    ) -> Self {
        Self {
            places: Arc::new(Places::new(tenancy)),
            limits,
            startup,
            slots: Mutex::default(),
        }
    }

    /// Fails where nothing here runs models of a format, so that their bytes need not be sent.
    pub(crate) fn can_run(&self, format: &str) -> Result<(), Fault> {
        let startup = self.startup.as_ref().map_err(Clone::clone)?;
        startup.frameworks.has(Framework::of("", format)?)
    }

    /// The model of these bytes, or the duty to bring them. Waits for bytes that are arriving.
    pub(crate) async fn enter(self: &Arc<Self>, key: Key) -> Result<Entry, Fault> {
        // Without a framework there is no use in taking the bytes.
        let startup = self.startup.as_ref().map_err(Clone::clone)?;
        let whose = Whose::Guest(key.owner.clone());
        if let Some(fault) = startup.policy.quarantine.refuses(&key.sha256, &whose) {
            return Err(fault);
        }
        let within = self.limits.load_max();
        let deadline = Instant::now() + within;
        loop {
            let mut over = match self.look(&key) {
                Ok(entry) => return Ok(entry),
                Err(over) => over,
            };
            // It never carries a value: what comes is its end.
            if timeout_at(deadline, over.changed()).await.is_err() {
                return Err(Fault::of(Reason::UploadBusy).expected(format!("at most {within:?}")));
            }
        }
    }

    fn look(self: &Arc<Self>, key: &Key) -> Result<Entry, watch::Receiver<()>> {
        // Declared first, dropped last: the end of a last lease takes the lock.
        let known: Option<Arc<Kept>>;
        let mut slots = self.slots();
        known = match slots.get(key) {
            Some(Slot::Arriving(over)) => return Err(over.clone()),
            Some(Slot::Here(kept)) => kept.upgrade(),
            None => None,
        };
        // One that has failed is not kept for those who come later.
        if let Some(kept) = known.as_ref().filter(|kept| kept.is_good()) {
            return Ok(Entry::Here(Lease(Arc::clone(kept))));
        }
        let (sender, over) = watch::channel(());
        slots.insert(key.clone(), Slot::Arriving(over));
        Ok(Entry::Missing(Arrival {
            guests: Arc::clone(self),
            key: key.clone(),
            _over: sender,
        }))
    }

    /// Room for one more model of so many bytes; `busy` when its owner's tenant has no more.
    pub(crate) async fn reserve(&self, owner: &Owner, bytes: u64) -> Result<Place, Fault> {
        let max = self.limits.guest_model_bytes_max;
        if bytes > max {
            return Err(Fault::of(Reason::ModelTooLarge)
                .expected(format!("at most {max} bytes"))
                .got(format!("{bytes} bytes"))
                .hint("have the operator load it (`nnctl load`), or raise limits.guest_model_bytes_max"));
        }
        self.places.reserve(owner, bytes).await
    }

    /// How many models the guests of a tenant have loaded, and of how many bytes.
    pub(crate) fn used_by(&self, tenant: &Tenant) -> (u64, u64) {
        self.places.used_by(tenant)
    }

    /// Every model with a lease, or those of one uid.
    pub(crate) fn list(&self, uid: Option<u32>) -> Vec<Arc<Model>> {
        let mut kept: Vec<Arc<Kept>> = self.slots().values().filter_map(Slot::kept).collect();
        // The lock is free again: the end of a last lease takes it, and these may have become the last.
        kept.retain(|kept| uid.is_none_or(|uid| kept.key.owner.uid == uid));
        kept.sort_by(|a, b| {
            let order = |kept: &Kept| (kept.model.name.clone(), kept.key.owner.tenant.clone());
            let by_uid = a.key.owner.uid.cmp(&b.key.owner.uid);
            order(a).cmp(&order(b)).then(by_uid)
        });
        kept.iter().map(|kept| Arc::clone(&kept.model)).collect()
    }

    /// Every worker that serves at the moment.
    pub(crate) fn workers(&self) -> Vec<Arc<Worker>> {
        let models = self.list(None);
        models
            .iter()
            .flat_map(|model| model.pool.workers())
            .collect()
    }

    /// Unloads every model: the daemon is ending.
    pub(crate) async fn shut_down(&self) {
        let models = self.list(None);
        for model in &models {
            model.unload.send_replace(true);
        }
        for model in models {
            model.gone().await;
        }
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<Key, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Slot ===

impl Slot {
    fn kept(&self) -> Option<Arc<Kept>> {
        match self {
            Self::Here(kept) => kept.upgrade(),
            Self::Arriving(_) => None,
        }
    }
}

// === impl Kept ===

impl Kept {
    fn is_good(&self) -> bool {
        let status = self.model.status.borrow();
        match status.state {
            State::Loading | State::Warming | State::Ready | State::Restarting => true,
            State::Absent | State::Failed | State::Draining | State::Gone => false,
        }
    }
}

/// The last lease is gone.
impl Drop for Kept {
    fn drop(&mut self) {
        if let Source::Guest(place) = &self.model.source {
            place.leave();
        }
        self.model.unload.send_replace(true);
        let Some(guests) = self.guests.upgrade() else {
            return;
        };
        let mut slots = guests.slots();
        // Not another that has come under this key since.
        let own =
            |slot: &Slot| matches!(slot, Slot::Here(kept) if std::ptr::eq(kept.as_ptr(), self));
        if slots.get(&self.key).is_some_and(own) {
            slots.remove(&self.key);
        }
    }
}

// === impl Lease ===

impl Lease {
    pub(crate) fn model(&self) -> &Arc<Model> {
        &self.0.model
    }
}

// === impl Arrival ===

impl Arrival {
    /// The bytes are here and vetted: makes a model of them and begins to load it.
    pub(crate) fn arrived(self, artifact: Artifact, place: Place) -> Result<Lease, Fault> {
        let startup = self.guests.startup.as_ref().map_err(Clone::clone)?;
        let name = name_of(&artifact.sha256)?;
        let queue_max = self.guests.limits.queue_per_model_max;
        let source = Source::Guest(place);
        let artifact = Arc::new(artifact);
        let model = Model::new(name, Version::FIRST, source, artifact, queue_max);
        let kept = Arc::new(Kept {
            guests: Arc::downgrade(&self.guests),
            key: self.key.clone(),
            model: Arc::new(model),
        });
        tracing::debug!(model = %kept.model.id(), tenant = %self.key.owner.tenant, "a guest's model has arrived");
        ensure_started(&kept.model, startup);
        let here = Slot::Here(Arc::downgrade(&kept));
        self.guests.slots().insert(self.key.clone(), here);
        Ok(Lease(kept))
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let mut slots = self.guests.slots();
        if matches!(slots.get(&self.key), Some(Slot::Arriving(_))) {
            slots.remove(&self.key);
        }
    }
}

/// A name for people: it is in no table that names are looked up in.
fn name_of(sha256: &[u8; 32]) -> Result<ModelName, Fault> {
    let hex = hex(sha256);
    Ok(format!("guest-{}", hex.get(..12).unwrap_or(&hex)).parse()?)
}
