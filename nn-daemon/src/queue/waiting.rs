//! What waits for one model, between those who put it there and the one who hands it to workers. No job is dropped under the
//! lock: it may be the last to hold its model, and with that this.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nn_tensor::{Fault, Reason, Tenant};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::lanes::{Lanes, Refused, Who};
use super::{Job, Ran, Turn};
use crate::session::Session;

/// The lanes of a model, shared.
#[derive(Debug)]
pub(crate) struct Waiting {
    state: Mutex<State>,
    /// Something has come, or nothing will any more. One waits for it.
    news: Notify,
}

#[derive(Debug)]
struct State {
    lanes: Lanes<Job>,
    is_closed: bool,
}

fn who(session: &Session) -> Who<'_> {
    Who {
        tenant: &session.tenant,
        session: session.id,
        weight: session.tenancy.weight(&session.tenant),
    }
}

// === impl Waiting ===

impl Waiting {
    pub(super) fn new(places: u32) -> Self {
        let places = usize::try_from(places).unwrap_or(usize::MAX);
        Self {
            state: Mutex::new(State {
                lanes: Lanes::new(places),
                is_closed: false,
            }),
            news: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a job in and gives its number; `busy` where there is no place for it.
    pub(super) fn enter(&self, mut job: Job) -> Result<u64, Fault> {
        let session = Arc::clone(&job.session);
        let who = who(&session);
        let mut state = self.state();
        if let Err(refused) = state.lanes.admits(who) {
            let fault = busy(refused, &state.lanes, job.model.pool.len());
            drop(state);
            return Err(fault);
        }
        let number = state.lanes.number();
        job.number = number;
        state.lanes.put(number, who, job);
        drop(state);
        self.news.notify_one();
        Ok(number)
    }

    /// Puts a job back that has been here, and had a place: as many as workers had in hand may be too many.
    pub(super) fn enter_again(&self, job: Job) {
        let session = Arc::clone(&job.session);
        self.state().lanes.put(job.number, who(&session), job);
        self.news.notify_one();
    }

    /// Takes a job out that still waits.
    pub(super) fn leave(&self, tenant: &Tenant, number: u64) {
        let job = self.state().lanes.remove(tenant, number);
        drop(job);
    }

    pub(super) fn len(&self) -> usize {
        self.state().lanes.len()
    }

    /// Nothing comes any more.
    pub(super) fn close(&self) {
        self.state().is_closed = true;
        self.news.notify_one();
    }

    /// Returns once something waits; `false` once nothing does and nothing will.
    pub(super) async fn any(&self) -> bool {
        loop {
            {
                let state = self.state();
                if state.lanes.len() > 0 || state.is_closed {
                    return state.lanes.len() > 0;
                }
            }
            self.news.notified().await;
        }
    }

    /// Returns once something has come.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    /// What the job is thought to run whose turn it is.
    pub(super) fn estimate(&self) -> Option<Duration> {
        self.state().lanes.estimate()
    }

    /// When the job came that has waited for longest.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.state().lanes.oldest().map(|job| job.enqueued)
    }

    /// Takes the job whose turn it is, and what it is thought to run.
    pub(super) fn take(self: &Arc<Self>) -> Option<(Job, Duration)> {
        let taken = self.state().lanes.take()?;
        let mut job = taken.job;
        job.turn = Some(Turn::new(self, taken.tenant, taken.time));
        Some((job, taken.estimate))
    }

    /// A job that was taken has ended.
    pub(super) fn settle(&self, tenant: &Tenant, time: u64, ran: Ran) {
        self.state().lanes.settle(tenant, time, ran);
    }

    /// Answers all that wait, and of which this is true, without running them.
    pub(super) fn refuse(&self, fault: &Fault, is_meant: impl FnMut(&Job) -> bool) {
        let meant = self.state().lanes.drain(is_meant);
        for job in meant {
            job.refuse(fault.clone());
        }
    }
}

/// What is told to one for whom there is no place: how much waits, and how long that takes so many workers.
fn busy(refused: Refused, lanes: &Lanes<Job>, workers: u32) -> Fault {
    let places = lanes.places();
    let fault = match refused {
        Refused::Full => {
            Fault::of(Reason::QueueFull).expected(format!("at most {places} jobs waiting"))
        }
        Refused::Share { free } => Fault::of(Reason::QueueShareFull).expected(format!(
            "fewer jobs of the tenant waiting than places left, {free}"
        )),
    };
    let waiting = lanes.len();
    let all = u32::try_from(waiting).unwrap_or(u32::MAX);
    let work = lanes.run().map(|run| run.saturating_mul(all));
    match work.and_then(|work| work.checked_div(workers)) {
        Some(work) => fault.got(format!(
            "{waiting} jobs waiting, about {} ms of computing",
            work.as_millis()
        )),
        None => fault.got(format!("{waiting} jobs waiting")),
    }
}
