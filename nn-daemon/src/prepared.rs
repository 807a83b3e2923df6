//! What was made of models so that they load faster: made in the background by a worker of its own (`worker/prepare.rs`), kept in the state
//! directory (`nn_catalogue::PreparedStore`), and given to workers in place of the model's bytes. ADR 24.
//!
//! ```text
//! a model's first worker serves ── prepare_after_ms ──▶ one at a time: a worker makes it ──▶ kept, by what it was made of and for
//! a worker is started ── one is kept ──▶ it is given that ── it refuses it, or crashes ──▶ dropped; the model's own bytes
//! ```
//!
//! It is a cache: whatever is wrong with one costs a log line and the time of a load.

mod make;

use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nn_catalogue::{Digest, PreparedKey, PreparedStore};
use nn_shm::Blob;

use crate::events::Kind;
use crate::framework::Framework;
use crate::limits::Limits;
use crate::model::{Model, Source};
use crate::registry::{ArtifactError, digest_of, seal};
use crate::worker::Cause;

pub(crate) use make::want;

/// Rises with whatever else changes what is made: options of a framework, above all.
const MAKE: &str = "1";

/// How much of /proc/cpuinfo is read: the first processor is in it.
const CPUINFO_BYTES: u64 = 16 * 1024;

/// The most that are remembered as not to be made again.
const GIVEN_UP_MAX: usize = 4096;

/// One, in sealed memory, which every worker of the model maps.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) key: PreparedKey,
    pub(crate) blob: Blob,
}

/// All of this daemon.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// `None` where nothing is kept.
    store: Option<Arc<PreparedStore>>,
    /// What kernels are chosen by.
    machine: String,
    /// Those that are waited for, or being made.
    under_way: Mutex<HashSet<PreparedKey>>,
    /// Those that could not be made, or were of no use: not tried again by this daemon.
    given_up: Mutex<HashSet<PreparedKey>>,
    /// Held by the one that is being made.
    line: tokio::sync::Mutex<()>,
}

// === impl Prepared ===

impl Prepared {
    /// Opens what there is. A directory that cannot be used, or a bound of nothing, leaves none.
    pub(crate) fn open(state_dir: &Path, limits: &Limits) -> Self {
        let max = limits.prepared_bytes_max;
        let store = PreparedStore::open(state_dir, max);
        let warn = |error: &nn_catalogue::StoreError| {
            tracing::warn!("nothing is prepared: {error}: {}", error.source);
        };
        let store = store.inspect_err(warn).ok().filter(|_| max > 0);
        Self {
            store: store.map(Arc::new),
            machine: machine(),
            under_way: Mutex::default(),
            given_up: Mutex::default(),
            line: tokio::sync::Mutex::default(),
        }
    }

    /// Under what a model's is kept: its bytes, and whatever else what is made of it depends on.
    pub(crate) fn key(
        &self,
        model: &Model,
        framework: Framework,
        runtime: &str,
        threads: u32,
    ) -> PreparedKey {
        let (name, precision) = (framework.name(), model.manifest.precision.name());
        let machine = &self.machine;
        let made_for = format!("{MAKE}\n{name}\n{runtime}\n{precision}\n{threads}\n{machine}");
        PreparedKey {
            model: Digest(model.artifact.sha256),
            made_for: Digest::of(made_for.as_bytes()),
        }
    }

    /// The one for this: held already, or read from where it is kept and held from now on. One that is damaged goes.
    pub(crate) async fn find(&self, model: &Model, key: PreparedKey) -> Option<Arc<Ready>> {
        let store = self.store.clone()?;
        if self.given_up().contains(&key) {
            return None;
        }
        let held = model.artifact.ready().filter(|ready| ready.key == key);
        if held.is_some() {
            return held;
        }
        let read = tokio::task::spawn_blocking(move || {
            let read = read(&store, &key);
            if read.is_err() {
                let _ = store.remove(&key);
            }
            read
        });
        match read.await.ok()? {
            Ok(blob) => {
                let ready = Arc::new(Ready { key, blob: blob? });
                model.artifact.hold_ready(Some(Arc::clone(&ready)));
                Some(ready)
            }
            Err(error) => {
                tracing::warn!(model = %model.id(), "what was prepared cannot be read: {error}");
                None
            }
        }
    }

    /// How many there are, and their bytes together.
    pub(crate) fn kept(&self) -> (usize, u64) {
        let store = self.store.as_ref();
        store.map_or((0, 0), |store| (store.count(), store.bytes()))
    }

    /// One was of no use to a worker: it goes, and is not made again by this daemon.
    pub(crate) async fn drop_for(&self, model: &Model, key: PreparedKey, why: &str) {
        self.give_up(key);
        model.artifact.hold_ready(None);
        tracing::warn!(model = %model.id(), "what was prepared is dropped: {why}");
        model.tell(Kind::Prepared, &format!("dropped: {why}"));
        if let Some(store) = self.store.clone() {
            let removed = tokio::task::spawn_blocking(move || store.remove(&key));
            told(removed.await);
        }
    }

    /// A worker has ended that was loaded from one, which may be why.
    pub(crate) fn crashed(self: &Arc<Self>, model: &Arc<Model>, cause: &Cause) {
        if crate::quarantine::Kind::of(cause).is_none() {
            return;
        }
        if let Some(ready) = model.artifact.ready() {
            let (prepared, model) = (Arc::clone(self), Arc::clone(model));
            let why = format!("a worker {cause} that was loaded from it");
            tokio::spawn(async move { prepared.drop_for(&model, ready.key, &why).await });
        }
    }

    /// A model has been unloaded for good.
    pub(crate) async fn forget(&self, model: &Model) {
        if let (Some(store), false) = (self.store.clone(), is_guests(model)) {
            let sha256 = Digest(model.artifact.sha256);
            let removed = tokio::task::spawn_blocking(move || store.forget(&sha256));
            told(removed.await);
        }
    }

    fn give_up(&self, key: PreparedKey) {
        let mut given_up = self.given_up();
        if given_up.len() < GIVEN_UP_MAX {
            given_up.insert(key);
        }
    }

    fn given_up(&self) -> MutexGuard<'_, HashSet<PreparedKey>> {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn under_way(&self) -> MutexGuard<'_, HashSet<PreparedKey>> {
        let under_way = self.under_way.lock();
        under_way.unwrap_or_else(PoisonError::into_inner)
    }
}

/// What guests load is never prepared: it is theirs, and gone when they are.
fn is_guests(model: &Model) -> bool {
    matches!(model.source, Source::Guest(_))
}

/// What cannot be removed stays until it is in the way.
fn told(removed: Result<Result<(), nn_catalogue::StoreError>, tokio::task::JoinError>) {
    if let Ok(Err(error)) = removed {
        tracing::warn!(
            "what was prepared could not be removed: {error}: {}",
            error.source
        );
    }
}

/// Copies one to sealed memory. Believed is its digest.
fn read(store: &PreparedStore, key: &PreparedKey) -> Result<Option<Blob>, ArtifactError> {
    let Some((file, expected, bytes)) = store.find(key)? else {
        return Ok(None);
    };
    let blob = seal(&[(file, bytes)])?;
    let got = Digest(digest_of(&blob)?);
    if got == expected {
        return Ok(Some(blob));
    }
    let (expected, got) = (expected.to_string(), got.to_string());
    Err(ArtifactError::Digest { expected, got })
}

/// The first processor's model and features, by which frameworks choose kernels and layouts.
fn machine() -> String {
    let mut text = String::new();
    let read = fs::File::open("/proc/cpuinfo")
        .and_then(|file| file.take(CPUINFO_BYTES).read_to_string(&mut text));
    if let Err(error) = read {
        tracing::warn!("/proc/cpuinfo cannot be read: {error}");
    }
    features(&text)
}

fn features(cpuinfo: &str) -> String {
    const TELLING: [&str; 8] = [
        "vendor_id",
        "cpu family",
        "model",
        "model name",
        "stepping",
        "flags",
        "Features",
        "CPU part",
    ];
    let first = cpuinfo.lines().take_while(|line| !line.trim().is_empty());
    let telling = first.filter(|line| {
        let name = line.split(':').next().unwrap_or_default().trim();
        TELLING.contains(&name)
    });
    telling.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_what_its_first_processor_can_do_and_not_how_fast_it_runs() {
        let cpuinfo = "processor\t: 0\nmodel name\t: X\ncpu MHz\t\t: 2445.4\nflags\t\t: avx2 fma\n\nprocessor\t: 1\nmodel name\t: Y\n";
        assert_eq!(features(cpuinfo), "model name\t: X\nflags\t\t: avx2 fma");
    }

    #[test]
    fn a_bound_of_nothing_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let limits = Limits {
            prepared_bytes_max: 0,
            ..Limits::default()
        };
        assert!(Prepared::open(dir.path(), &limits).store.is_none());
        assert!(
            Prepared::open(dir.path(), &Limits::default())
                .store
                .is_some()
        );
    }
}
