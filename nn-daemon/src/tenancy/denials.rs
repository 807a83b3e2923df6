//! What was refused because it is not the peer's: told among the events with who, for whom, what and why. Whoever tries one
//! thing after another is told of a few times, and then counted: of the events that are kept, most are others.
//!
//! Each uid, name of certificates or network has a window. The first denials in it are told as they come, the others as one number at its end. A window with
//! such others is followed by one of twice the length.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nn_tensor::Tenant;
use tokio::time::Instant;

use crate::events::{Events, Kind, Told};
use crate::peer::{Peer, Whose};

/// Denials that are told in one window.
const TOLD_MAX: u32 = 8;

/// How long the first window is, and the longest.
const WINDOW: Duration = Duration::from_secs(60);
const WINDOW_MAX: Duration = Duration::from_secs(3600);

/// Those with a window of their own; others share one.
const OWN_MAX: usize = 64;

/// All of this daemon.
#[derive(Debug)]
pub(crate) struct Denials {
    /// None where nobody is told.
    events: Option<Arc<Events>>,
    /// By whom they are of; `None` is of all that have none of their own.
    windows: Mutex<HashMap<Option<Whose>, Window>>,
}

#[derive(Debug)]
struct Window {
    since: Instant,
    length: Duration,
    told: u32,
    /// How many were not told, and the last of them.
    held_back: u64,
    last: Option<Told>,
}

impl Window {
    fn new(length: Duration) -> Self {
        Self {
            since: Instant::now(),
            length,
            told: 0,
            held_back: 0,
            last: None,
        }
    }

    fn is_over(&self) -> bool {
        self.since.elapsed() >= self.length
    }

    /// What is to be told at its end, and the window after it, if there is to be one.
    fn end(&self) -> (Option<Told>, Option<Self>) {
        let Some(last) = &self.last else {
            return (None, None);
        };
        let many = format!(
            "{} more like it, the last: {}",
            self.held_back,
            last.detail()
        );
        let next = self.length.saturating_mul(2).min(WINDOW_MAX);
        (Some(last.clone().because(many)), Some(Self::new(next)))
    }
}

// === impl Denials ===

impl Denials {
    pub(super) fn new(events: Option<Arc<Events>>) -> Self {
        Self {
            events,
            windows: Mutex::default(),
        }
    }

    /// Tells that a peer was refused something, for a tenant where it was for one.
    pub(crate) fn tell(&self, peer: Peer, tenant: Option<&Tenant>, why: impl AsRef<str>) {
        self.tell_of(peer, tenant, "", why);
    }

    /// The same, about a model.
    pub(crate) fn tell_of(
        &self,
        peer: Peer,
        tenant: Option<&Tenant>,
        model: &str,
        why: impl AsRef<str>,
    ) {
        let Some(events) = &self.events else { return };
        let told = Told::new(Kind::Denied).by(peer).of(model);
        let told = match peer.remote {
            None => told.because(why),
            Some(_) => told.because(format!("{}: {peer}", why.as_ref())),
        };
        let told = match tenant {
            Some(tenant) => told.tenant(tenant.as_str()),
            None => told,
        };
        for told in self.let_through(peer.whose(), told) {
            events.tell(told);
        }
    }

    /// Tells how many were held back in windows that are over.
    pub(crate) fn settle(&self) {
        let Some(events) = &self.events else { return };
        let mut due = Vec::new();
        self.windows().retain(|_, window| {
            if !window.is_over() {
                return true;
            }
            let (told, next) = window.end();
            due.extend(told);
            next.map(|next| *window = next).is_some()
        });
        due.into_iter().for_each(|told| events.tell(told));
    }

    /// What of a denial, and of those before it, is told now.
    fn let_through(&self, whose: Whose, told: Told) -> Vec<Told> {
        let mut windows = self.windows();
        let has_own = windows.contains_key(&Some(whose)) || windows.len() < OWN_MAX;
        let window = windows
            .entry(has_own.then_some(whose))
            .or_insert_with(|| Window::new(WINDOW));
        let mut now = Vec::new();
        if window.is_over() {
            let (last, next) = window.end();
            now.extend(last);
            *window = next.unwrap_or_else(|| Window::new(WINDOW));
        }
        if window.told < TOLD_MAX {
            window.told = window.told.saturating_add(1);
            now.push(told);
        } else {
            window.held_back = window.held_back.saturating_add(1);
            window.last = Some(told);
        }
        now
    }

    fn windows(&self) -> std::sync::MutexGuard<'_, HashMap<Option<Whose>, Window>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Remote;

    fn denials() -> (Denials, Arc<Events>, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let (events, _journal) = Events::open(dir.path());
        let events = Arc::new(events);
        (Denials::new(Some(Arc::clone(&events))), events, dir)
    }

    fn probe(denials: &Denials, uid: u32, times: u32) {
        for time in 0..times {
            denials.tell(Peer::of_uid(uid), None, format!("guess {time}"));
        }
    }

    fn told(events: &Events) -> Vec<String> {
        let (all, _) = events.after(0);
        // Nobody writes these to a disk, which is told too.
        let denied = all.iter().filter(|event| event.kind == Kind::Denied);
        denied.map(|event| event.detail.clone()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_prober_is_told_a_few_times_and_then_counted() {
        let (denials, events, _dir) = denials();
        probe(&denials, 7, 100_000);
        assert_eq!(told(&events).len(), 8);
        denials.settle();
        assert_eq!(told(&events).len(), 8, "its window is not over");
        tokio::time::advance(WINDOW).await;
        denials.settle();
        let all = told(&events);
        assert_eq!(all.len(), 9);
        assert_eq!(all[8], "99992 more like it, the last: guess 99999");
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_on_for_a_day_leaves_most_of_what_is_kept_to_others() {
        let (denials, events, _dir) = denials();
        for _ in 0..24 * 60 * 6 {
            probe(&denials, 7, 20);
            denials.settle();
            tokio::time::advance(Duration::from_secs(10)).await;
        }
        let count = told(&events).len();
        assert!((50..=300).contains(&count), "{count}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_uid_hides_nothing_of_anothers_and_many_uids_are_no_flood() {
        let (denials, events, _dir) = denials();
        probe(&denials, 7, 1000);
        probe(&denials, 8, 1);
        assert_eq!(told(&events).len(), 9);
        (100..2000).for_each(|uid| probe(&denials, uid, 1));
        assert_eq!(told(&events).len(), 9 + 62 + 8);
        assert_eq!(denials.windows().len(), OWN_MAX + 1);
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_hides_nothing_of_anothers() {
        let (denials, events, _dir) = denials();
        for (address, times) in [("10.0.0.1", 1000), ("10.0.0.2", 1)] {
            let (address, name) = (address.parse().unwrap(), None);
            let peer = Peer::over_tcp(Remote { address, name });
            (0..times).for_each(|_| denials.tell(peer, None, "a guess"));
        }
        assert_eq!(told(&events).len(), 9);
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_in_which_nothing_was_held_back_leaves_nothing() {
        let (denials, _events, _dir) = denials();
        probe(&denials, 7, 3);
        tokio::time::advance(WINDOW).await;
        denials.settle();
        assert!(denials.windows().is_empty());
    }
}
