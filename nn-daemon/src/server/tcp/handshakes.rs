//! Handshakes under way at the door over TCP. Whoever reaches the port may begin one and leave it lying, or have it cost all that
//! it can: each network has a few, the oldest gives way to the newest, and what they compute is not computed by the thread that
//! serves.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::task::{AbortHandle, spawn_blocking};
use tokio::time::timeout;

use crate::peer::Whose;

/// Under way at a time.
const ALL_MAX: usize = 32;

/// Of one network, of those.
const EACH_MAX: usize = 4;

/// How long one may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);

/// Those under way, and the one turn to compute that they share.
#[derive(Debug)]
pub(super) struct Handshakes {
    /// The oldest in front.
    under_way: Arc<Mutex<VecDeque<Entry>>>,
    turns: Semaphore,
}

#[derive(Debug)]
struct Entry {
    id: u64,
    whose: Whose,
    /// Ends it. `None` until its task is known.
    task: Option<AbortHandle>,
}

/// One's place among them, given up when dropped.
#[derive(Debug)]
pub(super) struct UnderWay {
    id: u64,
    all: Arc<Mutex<VecDeque<Entry>>>,
}

/// Who waits for a socket.
#[derive(Default)]
struct Woken(Notify);

// === impl Handshakes ===

impl Default for Handshakes {
    fn default() -> Self {
        Self {
            under_way: Arc::default(),
            turns: Semaphore::new(1),
        }
    }
}

impl Handshakes {
    /// A place for one more. Where there is none left for its network, or for all, the oldest of the network with the most ends.
    pub(super) fn begin(&self, whose: Whose) -> UnderWay {
        let mut all = locked(&self.under_way);
        let own = all.iter().filter(|entry| entry.whose == whose).count();
        let goes = if own >= EACH_MAX {
            Some(whose)
        } else if all.len() >= ALL_MAX {
            most(&all)
        } else {
            None
        };
        let at = goes.and_then(|goes| all.iter().position(|entry| entry.whose == goes));
        let ended = at.and_then(|at| all.remove(at));
        if let Some(task) = ended.and_then(|entry| entry.task) {
            task.abort();
        }
        let id = all.back().map_or(0, |last| last.id.saturating_add(1));
        all.push_back(Entry {
            id,
            whose,
            task: None,
        });
        UnderWay {
            id,
            all: Arc::clone(&self.under_way),
        }
    }

    /// That this task is at it, and is ended where its place is needed.
    pub(super) fn is_by(&self, id: u64, task: AbortHandle) {
        let mut all = locked(&self.under_way);
        if let Some(entry) = all.iter_mut().find(|entry| entry.id == id) {
            entry.task = Some(task);
        }
    }

    /// Has it run, beside this thread: one step of one handshake at a time.
    ///
    /// # Errors
    /// What it ends with, or `TimedOut` when it takes longer than it may.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        handshake: impl Future<Output = io::Result<T>> + Send + 'static,
    ) -> io::Result<T> {
        let stepped = self.step(Box::pin(handshake));
        let late = |_| {
            let text = format!("it takes longer than {HANDSHAKE_MAX:?}");
            io::Error::new(io::ErrorKind::TimedOut, text)
        };
        timeout(HANDSHAKE_MAX, stepped)
            .await
            .map_err(late)
            .flatten()
    }

    async fn step<T: Send + 'static>(
        &self,
        mut handshake: Pin<Box<dyn Future<Output = io::Result<T>> + Send>>,
    ) -> io::Result<T> {
        let woken = Arc::new(Woken::default());
        loop {
            let waker = Waker::from(Arc::clone(&woken));
            let turn = self.turns.acquire().await.map_err(io::Error::other)?;
            let step = spawn_blocking(move || {
                let polled = handshake.as_mut().poll(&mut Context::from_waker(&waker));
                (handshake, polled)
            });
            let (same, polled) = step.await.map_err(io::Error::other)?;
            drop(turn);
            if let Poll::Ready(result) = polled {
                return result;
            }
            handshake = same;
            woken.0.notified().await;
        }
    }
}

impl UnderWay {
    pub(super) fn id(&self) -> u64 {
        self.id
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        locked(&self.all).retain(|entry| entry.id != self.id);
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

fn locked(all: &Mutex<VecDeque<Entry>>) -> MutexGuard<'_, VecDeque<Entry>> {
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whose there are most of; of several, whose oldest is the oldest.
fn most(all: &VecDeque<Entry>) -> Option<Whose> {
    let mut counts: HashMap<Whose, usize> = HashMap::new();
    for entry in all {
        let count = counts.entry(entry.whose).or_default();
        *count = count.saturating_add(1);
    }
    let most = counts.values().max()?;
    let mut all = all.iter().map(|entry| entry.whose);
    all.find(|whose| counts.get(whose) == Some(most))
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn network(last: u8) -> Whose {
        Whose::Address(IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)))
    }

    /// One that never goes on; true of it once it has been ended.
    fn lying(handshakes: &Handshakes, whose: Whose) -> tokio::task::JoinHandle<()> {
        let under_way = handshakes.begin(whose);
        let id = under_way.id();
        let task = tokio::spawn(async move {
            let _under_way = under_way;
            std::future::pending::<()>().await;
        });
        handshakes.is_by(id, task.abort_handle());
        task
    }

    #[tokio::test]
    async fn the_oldest_of_a_network_gives_way_to_its_newest() {
        let handshakes = Handshakes::default();
        let other = lying(&handshakes, network(2));
        let mut own: Vec<_> = (0..100).map(|_| lying(&handshakes, network(1))).collect();
        let last = own.split_off(100 - EACH_MAX);
        for ended in own {
            assert!(ended.await.unwrap_err().is_cancelled());
        }
        assert!(!other.is_finished() && last.iter().all(|task| !task.is_finished()));
        assert_eq!(locked(&handshakes.under_way).len(), EACH_MAX + 1);
    }

    #[tokio::test]
    async fn when_all_places_are_taken_the_network_with_the_most_gives_one() {
        let handshakes = Handshakes::default();
        let many: Vec<_> = (0..EACH_MAX)
            .map(|_| lying(&handshakes, network(1)))
            .collect();
        let ones: Vec<_> = (2..30)
            .map(|last| lying(&handshakes, network(last)))
            .collect();
        assert_eq!(locked(&handshakes.under_way).len(), ALL_MAX);
        let new = lying(&handshakes, network(99));
        let mut many = many.into_iter();
        assert!(many.next().unwrap().await.unwrap_err().is_cancelled());
        tokio::task::yield_now().await;
        assert!(many.chain(ones).all(|task| !task.is_finished()));
        assert!(!new.is_finished());
        new.abort();
    }

    #[tokio::test]
    async fn a_place_is_given_back_by_who_has_come_to_an_end() {
        let handshakes = Handshakes::default();
        drop(
            (0..3)
                .map(|_| handshakes.begin(network(1)))
                .collect::<Vec<_>>(),
        );
        assert!(locked(&handshakes.under_way).is_empty());
        let result = handshakes.run(async {
            tokio::task::yield_now().await;
            Ok(7)
        });
        assert_eq!(result.await.unwrap(), 7);
        let result: io::Result<()> = handshakes.run(async { panic!("a defect") }).await;
        result.unwrap_err();
        handshakes.run(async { Ok(()) }).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_go_on_ends_by_itself() {
        let handshakes = Handshakes::default();
        let waiting = handshakes.run(std::future::pending::<io::Result<()>>());
        let error = waiting.await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
