//! What has happened, for operators: changes of models, crashes, denials; each with when, who and why. The last ones are
//! in memory, told as they come to whoever follows, and kept within bounds on disk (`events/journal.rs`).
//!
//! Whoever tells an event never waits. What a client can cause in any number is limited where it is told.

mod journal;
mod recent;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::timeout;

use crate::peer::Peer;
use crate::telemetry::Limiter;
use recent::Recent;

/// Events in memory.
const RECENT_MAX: usize = 1024;

/// Events that a follower may be behind; one that is further loses the oldest, and is told how many.
const BEHIND_MAX: usize = 1024;

/// Events on their way to the disk.
const UNWRITTEN_MAX: usize = 1024;

/// The longest text of an event, in characters.
const DETAIL_MAX: usize = 512;

/// How long the end of the daemon waits for the disk.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// What kind of thing has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// The daemon has begun.
    Started,
    /// The daemon ends.
    Ending,
    /// A version's bytes are in the state directory.
    Stored,
    /// A version has another state: `loading → ready`.
    State,
    /// A name means another version.
    Promoted,
    /// A name means again what it meant before.
    RolledBack,
    /// An alias has come, moved or gone.
    Alias,
    /// A name's current version stays loaded.
    Pinned,
    /// It may rest again.
    Unpinned,
    /// A version has been taken out of service.
    Unloaded,
    /// A worker has ended that was not asked to.
    Crashed,
    /// Of a version was made what loads faster; or that was dropped.
    Prepared,
    /// Bytes are refused from now on.
    Quarantined,
    /// They are tried again.
    Lifted,
    /// Somebody was refused what is not theirs.
    Denied,
    /// A version that is there is not served, or does not become current.
    LeftOut,
    /// A version is computed elsewhere from now on, or here again.
    Placed,
    /// A worker here has taken a compute over that no endpoint could be asked.
    FellBack,
    /// An endpoint is asked no more, or again.
    Endpoint,
    /// So many events came faster than the disk took them.
    Lost,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Event {
    /// Counts up, over restarts too.
    pub(crate) number: u64,
    /// By the wall clock, in microseconds since 1970.
    pub(crate) unix_us: u64,
    pub(crate) kind: Kind,
    /// `foo@3`, `foo`, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) model: String,
    /// For whom, where it is about one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) tenant: String,
    /// Who has caused it; `None` for the daemon itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) uid: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pid: Option<u32>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) detail: String,
}

/// An event, before it has a number.
#[derive(Clone, Debug)]
pub(crate) struct Told(Event);

/// The events of this daemon.
#[derive(Debug)]
pub(crate) struct Events {
    state: Mutex<State>,
    news: broadcast::Sender<Arc<Event>>,
    to_disk: mpsc::Sender<journal::Entry>,
}

#[derive(Debug)]
struct State {
    next: u64,
    recent: Recent,
    /// Events that the disk did not take in time.
    lost: u64,
}

/// What keeps the events of a daemon on disk, until there is a task for it.
#[derive(Debug)]
pub(crate) struct Journal(journal::Journal, mpsc::Receiver<journal::Entry>);

impl Journal {
    /// Writes until nobody can tell anything any more.
    pub(crate) async fn run(self) {
        self.0.run(self.1).await;
    }
}

// === impl Kind ===

impl Kind {
    /// As people, the file and the wire call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Ending => "ending",
            Self::Stored => "stored",
            Self::State => "state",
            Self::Promoted => "promoted",
            Self::RolledBack => "rolled-back",
            Self::Alias => "alias",
            Self::Pinned => "pinned",
            Self::Unpinned => "unpinned",
            Self::Unloaded => "unloaded",
            Self::Crashed => "crashed",
            Self::Prepared => "prepared",
            Self::Quarantined => "quarantined",
            Self::Lifted => "lifted",
            Self::Denied => "denied",
            Self::LeftOut => "left-out",
            Self::Placed => "placed",
            Self::FellBack => "fell-back",
            Self::Endpoint => "endpoint",
            Self::Lost => "lost",
        }
    }
}

// === impl Told ===

impl Told {
    pub(crate) fn new(kind: Kind) -> Self {
        Self(Event {
            number: 0,
            unix_us: 0,
            kind,
            model: String::new(),
            tenant: String::new(),
            uid: None,
            pid: None,
            detail: String::new(),
        })
    }

    /// About a model.
    pub(crate) fn of(mut self, model: impl Into<String>) -> Self {
        self.0.model = model.into();
        self
    }

    pub(crate) fn tenant(mut self, tenant: &str) -> Self {
        tenant.clone_into(&mut self.0.tenant);
        self
    }

    /// Caused by a client.
    pub(crate) fn by(mut self, peer: Peer) -> Self {
        if peer.remote.is_none() {
            (self.0.uid, self.0.pid) = (Some(peer.uid), Some(peer.pid));
        }
        self
    }

    /// What was last said by `because`.
    pub(crate) fn detail(&self) -> &str {
        &self.0.detail
    }

    /// Why, or what exactly. Without control characters, and cut to a length.
    pub(crate) fn because(mut self, detail: impl AsRef<str>) -> Self {
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let detail = detail.as_ref().chars().map(plain);
        self.0.detail = detail.take(DETAIL_MAX).collect();
        self
    }
}

// === impl Events ===

impl Events {
    /// Those of a state directory: what was told last is known, and numbers go on.
    pub(crate) fn open(state_dir: &Path) -> (Self, Journal) {
        let (journal, known) = journal::Journal::open(state_dir);
        let (to_disk, entries) = mpsc::channel(UNWRITTEN_MAX);
        let next = known.last().map_or(1, |last| last.number.saturating_add(1));
        let events = Self {
            state: Mutex::new(State {
                next,
                recent: Recent::new(&known),
                lost: 0,
            }),
            news: broadcast::Sender::new(BEHIND_MAX),
            to_disk,
        };
        (events, Journal(journal, entries))
    }

    /// Tells one.
    pub(crate) fn tell(&self, told: Told) {
        let mut state = self.state();
        if state.lost > 0 && self.to_disk.capacity() > 1 {
            let lost = std::mem::take(&mut state.lost);
            let told = Told::new(Kind::Lost).because(format!("{lost} events are not on disk"));
            self.add(&mut state, told);
        }
        self.add(&mut state, told);
    }

    /// Tells one that a client can cause in any number, unless there were many in the last second.
    pub(crate) fn tell_limited(&self, told: Told) {
        static EVENTS: Limiter = Limiter::new();
        if EVENTS.allows() {
            self.tell(told);
        }
    }

    fn add(&self, state: &mut State, Told(mut event): Told) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        event.number = state.next;
        event.unix_us = now.map_or(0, crate::worker::micros);
        state.next = state.next.saturating_add(1);
        state.recent.push(&event);
        let event = Arc::new(event);
        if self
            .to_disk
            .try_send(journal::Entry::Event(Arc::clone(&event)))
            .is_err()
        {
            state.lost = state.lost.saturating_add(1);
        }
        // Nobody may follow at the moment.
        let _ = self.news.send(event);
    }

    /// What was told after that number and is still in memory, and what comes from now on: none between is missing.
    pub(crate) fn after(&self, number: u64) -> (Vec<Arc<Event>>, broadcast::Receiver<Arc<Event>>) {
        let mut state = self.state();
        (state.recent.after(number), self.news.subscribe())
    }

    /// Returns once everything that was told is on disk, within bounds.
    pub(crate) async fn flush(&self) {
        let (done, written) = oneshot::channel();
        let flushed = async {
            if self.to_disk.send(journal::Entry::Flush(done)).await.is_ok() {
                let _ = written.await;
            }
        };
        let _ = timeout(FLUSH_TIMEOUT, flushed).await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
