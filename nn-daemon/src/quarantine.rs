//! Models that are refused because their workers crashed too often, by the digest of their bytes: what `ledger.rs`
//! decides, kept on disk (`file.rs`), and told to whom it concerns. It starts and ends no worker: `lifecycle/` asks
//! here before it does.

mod file;
mod held;
mod ledger;

pub(crate) use held::{Digest, Held, Kind, Rules, Whose};
pub(crate) use ledger::Crash;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nn_tensor::{Fault, Reason};
use tokio::sync::watch;

use crate::limits::Limits;
use crate::registry::{StoreError, hex, not_stored};
use crate::telemetry::Limiter;
use ledger::{Ledger, Moment, Outcome};

/// The fewest digits that a digest may be known by.
pub(crate) const DIGITS_MIN: usize = 8;

/// Which models are refused, and which may come to be.
#[derive(Debug)]
pub(crate) struct Quarantine {
    rules: Rules,
    path: PathBuf,
    begun: Instant,
    ledger: Mutex<Ledger>,
    /// Held while the file is written: what was written last is what holds.
    writing: Mutex<()>,
    /// Counts changes of what is held.
    changed: watch::Sender<u64>,
}

// === impl Quarantine ===

impl Quarantine {
    /// As it was left in a state directory. A file that cannot be understood is put aside.
    pub(crate) fn open(state_dir: &Path, limits: &Limits) -> Self {
        let path = file::path(state_dir);
        let held = file::read(&path).unwrap_or_else(|damage| {
            let aside = file::aside(&path);
            // Before the daemon's jail, which has not the standard library's call for it.
            let moved = std::fs::rename(&path, &aside);
            let aside = moved.map_or_else(
                |error| format!("it cannot be moved: {error}"),
                |()| format!("it is {} now", aside.display()),
            );
            tracing::warn!(path = %path.display(), "nothing is in quarantine, for its file is damaged: {damage}; {aside}");
            Vec::new()
        });
        if !held.is_empty() {
            let models = held.len();
            tracing::warn!(
                models,
                "in quarantine since before: `nnctl quarantine list`"
            );
        }
        let rules = Rules {
            crashes: limits.quarantine_crashes,
            window: Duration::from_millis(limits.quarantine_window_ms),
        };
        Self {
            rules,
            path,
            begun: Instant::now(),
            ledger: Mutex::new(Ledger::new(rules, held)),
            writing: Mutex::new(()),
            changed: watch::channel(0).0,
        }
    }

    /// Why this model may not be run for these.
    pub(crate) fn refuses(&self, sha256: &Digest, whose: &Whose) -> Option<Fault> {
        let ledger = self.ledger();
        let held = ledger.against(sha256, whose)?;
        Some(held.fault(self.rules))
    }

    /// Returns once this model is refused to these.
    pub(crate) async fn until_refused(&self, sha256: &Digest, whose: &Whose) {
        self.until(|| self.refuses(sha256, whose).is_some()).await;
    }

    /// Returns once it is not.
    pub(crate) async fn until_free(&self, sha256: &Digest, whose: &Whose) {
        self.until(|| self.refuses(sha256, whose).is_none()).await;
    }

    async fn until(&self, holds: impl Fn() -> bool) {
        let mut changed = self.changed.subscribe();
        // The sender lives in `self`.
        let _ = changed.wait_for(|_| holds()).await;
    }

    /// Notes a crash; says whether the model is refused now.
    pub(crate) fn crashed(self: &Arc<Self>, crash: &Crash<'_>) -> bool {
        let outcome = self.ledger().crashed(crash, self.now());
        match outcome {
            Outcome::Counted => false,
            Outcome::Known => true,
            Outcome::Quarantined { evicted } => {
                say(crash, evicted.as_ref());
                self.tell();
                let saving = Arc::clone(self);
                tokio::task::spawn_blocking(move || {
                    if let Err(error) = saving.save() {
                        // It logs itself; what holds goes on to hold until the daemon ends.
                        let _ = not_stored(&error);
                    }
                });
                true
            }
        }
    }

    /// What is held, the oldest first.
    pub(crate) fn list(&self) -> Vec<Held> {
        self.ledger().held().to_vec()
    }

    /// The digests that are held and begin with these digits.
    pub(crate) fn with_prefix(&self, digits: &str) -> Vec<Digest> {
        let digits = digits.to_ascii_lowercase();
        let held = self.list().into_iter().map(|held| held.sha256);
        let mut found: Vec<Digest> = held.filter(|of| hex(of).starts_with(&digits)).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Lets models be tried again; gives what was held against them.
    pub(crate) async fn lift(self: &Arc<Self>, digests: &[Digest]) -> Result<Vec<Held>, Fault> {
        let lifted: Vec<Held> = {
            let mut ledger = self.ledger();
            digests.iter().flat_map(|of| ledger.lift(of)).collect()
        };
        self.tell();
        for held in &lifted {
            tracing::info!(
                sha256 = hex(&held.sha256),
                "let out of quarantine by the operator"
            );
        }
        let saving = Arc::clone(self);
        let saved = tokio::task::spawn_blocking(move || saving.save()).await;
        saved
            .map_err(|_| Fault::of(Reason::StateUnwritable).message("work on the state directory was interrupted"))?
            .map_err(|error| {
                let fault = not_stored(&error);
                fault.hint("it is lifted, and will be back with the next start: make room in the state directory and lift it again")
            })?;
        Ok(lifted)
    }

    fn save(&self) -> Result<(), StoreError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        file::write(&self.path, &self.list())
    }

    fn tell(&self) {
        self.changed
            .send_modify(|changes| *changes = changes.wrapping_add(1));
    }

    fn now(&self) -> Moment {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        Moment {
            at: self.begun.elapsed(),
            unix_s: wall.map_or(0, |since| since.as_secs()),
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An operator has to look at a model of theirs. What guests' come to they see in the list, however many there are.
fn say(crash: &Crash<'_>, evicted: Option<&Held>) {
    static GUESTS: Limiter = Limiter::new();
    let is_guests = crash.whose.guest_uid().is_some();
    if is_guests && !GUESTS.allows() {
        return;
    }
    let sha256 = hex(&crash.sha256);
    if is_guests {
        tracing::warn!(sha256, whose = ?crash.whose, "a guest's model is quarantined: `nnctl quarantine list`");
    } else {
        tracing::error!(sha256, whose = ?crash.whose, "a model is quarantined: `nnctl quarantine list`");
    }
    if let Some(evicted) = evicted {
        let sha256 = hex(&evicted.sha256);
        tracing::warn!(sha256, whose = ?evicted.whose, "let out of quarantine: no more can be in it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: Digest = [7; 32];

    fn crash_thrice(quarantine: &Arc<Quarantine>) -> Vec<bool> {
        let crash = Crash {
            sha256: MODEL,
            whose: &Whose::All,
            kind: Kind::Crash,
            at_load: false,
        };
        (0..3).map(|_| quarantine.crashed(&crash)).collect()
    }

    #[tokio::test]
    async fn what_is_held_outlives_the_daemon_until_it_is_lifted() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Arc::new(Quarantine::open(dir.path(), &Limits::default()));
        let first = open();
        assert_eq!(crash_thrice(&first), [false, false, true]);
        // Until its file is written.
        while Arc::strong_count(&first) > 1 {
            tokio::task::yield_now().await;
        }

        let second = open();
        let fault = second.refuses(&MODEL, &Whose::All).unwrap();
        assert!(fault.message.contains("quarantined"), "{fault}");
        assert!(fault.hint.contains("lift 070707070707"), "{fault}");
        assert_eq!(second.with_prefix("07070707"), [MODEL]);
        assert_eq!(second.lift(&[MODEL]).await.unwrap().len(), 1);

        assert_eq!(open().list(), []);
    }

    #[tokio::test]
    async fn a_damaged_file_is_put_aside_and_holds_nothing() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("quarantine.toml"), "held = 3").unwrap();
        let quarantine = Quarantine::open(dir.path(), &Limits::default());
        assert_eq!(quarantine.list(), []);
        let aside = std::fs::read(dir.path().join("quarantine.toml.damaged"));
        assert_eq!(aside.unwrap(), b"held = 3");
    }

    #[tokio::test]
    async fn whoever_waits_hears_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let quarantine = Arc::new(Quarantine::open(dir.path(), &Limits::default()));
        let refused = {
            let quarantine = Arc::clone(&quarantine);
            tokio::spawn(async move { quarantine.until_refused(&MODEL, &Whose::All).await })
        };
        crash_thrice(&quarantine);
        refused.await.unwrap();
        let freed = quarantine.until_free(&MODEL, &Whose::All);
        let lifted = quarantine.lift(&[MODEL]);
        let ((), lifted) = tokio::join!(freed, lifted);
        assert_eq!(lifted.unwrap().len(), 1);
    }
}
