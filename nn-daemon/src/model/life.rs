//! A model's state as its task moves it and as others see it, and whether it may rest.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use nn_tensor::{Fault, Reason};
use tokio::time::Instant;

use super::Model;
use crate::events::{Kind, Told};
use crate::lifecycle::policy::Isolation;
use crate::lifecycle::state::{Event, State};
use crate::quarantine::Whose;

impl Model {
    /// Goes on to the state after an event, if there is one, and gives the state then.
    pub(crate) fn advance(&self, event: Event, fault: Option<Fault>) -> State {
        let mut change = None;
        let mut now = State::Gone;
        self.status.send_modify(|status| {
            if let Some(next) = status.state.after(event) {
                change = (next != status.state).then_some((status.state, next));
                status.state = next;
            }
            if fault.is_some() || matches!(event, Event::Wanted | Event::Lifted) {
                status.fault.clone_from(&fault);
            }
            now = status.state;
        });
        if let Some((from, to)) = change {
            let why = fault.map_or_else(String::new, |fault| format!(": {}", fault.message));
            let side = if self.is_remote() { " (kserve)" } else { "" };
            self.tell(
                Kind::State,
                &format!("{} → {}{side}{why}", from.name(), to.name()),
            );
        }
        now
    }

    /// Tells operators what has happened to it.
    pub(crate) fn tell(&self, kind: Kind, detail: &str) {
        let Some(events) = &self.events else { return };
        let told = Told::new(kind).of(self.id()).because(detail);
        let told = match &self.whose {
            Whose::Tenant(tenant) => told.tenant(tenant.as_str()),
            Whose::All | Whose::Guest(_) => told,
        };
        // Clients can have a model tried again and again that finds no room.
        if matches!(kind, Kind::State | Kind::FellBack) {
            events.tell_limited(told);
        } else {
            events.tell(told);
        }
    }

    /// Has its task load it again, if it rests.
    pub(crate) fn want(&self) {
        self.touch();
        let is_absent = self.status.borrow().state == State::Absent;
        if is_absent && self.started.load(Ordering::Acquire) {
            self.advance(Event::Wanted, None);
            self.wanted.notify_one();
        }
    }

    /// It is used now.
    pub(crate) fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// When it was used last.
    pub(crate) fn used(&self) -> Instant {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether its workers could go without anybody's waiting for it: it answers, nothing is computed, nothing waits,
    /// no operator has pinned it, and no name is about to mean it. Guests' models go by their leases, tenants' units and what is split into such by theirs.
    /// The side of a version that does not compute it may whenever it does nothing.
    pub(crate) fn may_rest(&self, isolation: Isolation) -> bool {
        let serving = self.pool.serving();
        let is_busy = serving.iter().any(|of| of.worker.in_flight() > 0);
        let is_idle = self.status.borrow().state == State::Ready
            && !is_busy
            && self.queue.len() == 0
            && !*self.unload.borrow();
        if !self.is_active() {
            return is_idle;
        }
        is_idle
            && self.whose == Whose::All
            && !self.is_split(isolation)
            && !serving.is_empty()
            && !self.is_kept()
    }

    /// An operator has pinned it, or a name is about to mean it.
    fn is_kept(&self) -> bool {
        self.pinned.load(Ordering::Relaxed) || self.claims.any()
    }

    /// Waits until the version can be resolved, or is known not to be, as [`own_usable`](Self::own_usable) does: by the side
    /// that computes it, or the one that takes over.
    pub(crate) async fn usable(self: &Arc<Self>, within: Duration) -> Result<(), Fault> {
        match self.active().own_usable(within).await {
            Err(fault) if self.falls_back(&fault) => self.own_usable(within).await,
            done => done,
        }
    }

    /// Waits until this side can be used, or is known not to be: at most `within`. One that begins to rest meanwhile
    /// is wanted again.
    pub(crate) async fn own_usable(&self, within: Duration) -> Result<(), Fault> {
        let mut statuses = self.status.subscribe();
        let settled = async {
            loop {
                let status = statuses.borrow_and_update().clone();
                match (status.state, status.fault) {
                    (State::Ready | State::Restarting, _) => return Ok(()),
                    // It was loading and no worker could be had.
                    (State::Failed | State::Absent, Some(fault)) => return Err(fault),
                    (State::Failed, None) => {
                        return Err(Fault::of(Reason::ModelFailed));
                    }
                    (State::Draining | State::Gone, _) => {
                        return Err(
                            Fault::of(Reason::ModelUnloaded).message("the model is being unloaded")
                        );
                    }
                    (State::Absent, None) => self.want(),
                    (State::Loading | State::Warming, _) => {}
                }
                // The sender lives in `self`.
                let _ = statuses.changed().await;
            }
        };
        let late = || {
            Fault::of(Reason::ModelLoading)
                .expected(format!("at most {within:?}"))
                .hint("try again later; `nnctl list` shows its state")
        };
        tokio::time::timeout(within, settled)
            .await
            .unwrap_or_else(|_| Err(late()))
    }
}
