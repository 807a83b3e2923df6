//! What a version's relay says of its endpoints, as far as it can be believed: it is a jailed process that has read what an
//! engine sent. Changes of a breaker are told among the events.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nn_tensor::{Fault, Reason};
use nn_worker_wire::{Breaker, EndpointState};
use tokio::time::Instant;

use crate::events::{Events, Kind, Told};

/// Of one version, or of one tenant's unit of it.
#[derive(Debug, Default)]
pub(crate) struct Endpoints {
    addresses: Vec<String>,
    /// The version, as events name it.
    model: String,
    events: Option<Arc<Events>>,
    said: Mutex<Said>,
}

#[derive(Debug, Default)]
struct Said {
    /// One for each address, while a relay lives that has said something.
    states: Vec<EndpointState>,
    /// Why no relay could be started, and until when none is tried again.
    failed: Option<(Instant, Fault)>,
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) address: String,
    /// `None` while nobody connects to it.
    pub(crate) state: Option<EndpointState>,
}

// === impl Endpoints ===

impl Endpoints {
    pub(crate) fn new(addresses: Vec<String>, model: String, events: Option<Arc<Events>>) -> Self {
        Self {
            addresses,
            model,
            events,
            said: Mutex::default(),
        }
    }

    /// A relay has said something of them; an error where that can be none of them.
    pub(crate) fn hear(&self, states: &[EndpointState]) -> Result<(), &'static str> {
        let in_order = (0_u8..).zip(states).all(|(at, state)| state.endpoint == at);
        if states.len() != self.addresses.len() || !in_order {
            return Err("it spoke of other endpoints than it was told of");
        }
        let known = |state: &EndpointState| {
            state.reason.is_empty() || Reason::of_id(&state.reason).is_some()
        };
        if !states.iter().all(known) {
            return Err("it gave a reason that there is not");
        }
        let before = std::mem::replace(&mut self.said().states, states.to_vec());
        for (at, (address, now)) in self.addresses.iter().zip(states).enumerate() {
            let was = before.get(at).map_or(Breaker::Closed, |was| was.breaker);
            // That it is tried is no news; how that ends is.
            if was != now.breaker && now.breaker != Breaker::HalfOpen {
                self.tell(address, now);
            }
        }
        Ok(())
    }

    fn tell(&self, address: &str, now: &EndpointState) {
        let why = match &*now.reason {
            "" => String::new(),
            reason => format!(" ({reason})"),
        };
        let text = format!("{address}: {}{why}", name(now.breaker));
        tracing::info!(model = %self.model, "endpoint {text}");
        if let Some(events) = &self.events {
            events.tell_limited(Told::new(Kind::Endpoint).of(&*self.model).because(text));
        }
    }

    /// No relay asks them any more.
    pub(crate) fn forget(&self) {
        self.said().states.clear();
    }

    /// No relay is tried for so long: none of the endpoints told what the model takes.
    pub(crate) fn leave_alone(&self, fault: Fault, for_ms: u32) {
        let until = Instant::now() + Duration::from_millis(for_ms.into());
        self.said().failed = Some((until, fault));
    }

    /// Why none is tried now, if none is.
    pub(crate) fn left_alone(&self) -> Option<Fault> {
        let mut said = self.said();
        said.failed.take_if(|(until, _)| *until <= Instant::now());
        said.failed.as_ref().map(|(_, fault)| fault.clone())
    }

    /// One is tried, whatever happened before.
    pub(crate) fn try_anew(&self) {
        self.said().failed = None;
    }

    /// All of them, in their order.
    pub(crate) fn list(&self) -> Vec<Endpoint> {
        let said = self.said();
        let addresses = self.addresses.iter().enumerate();
        let each = addresses.map(|(at, address)| Endpoint {
            address: address.clone(),
            state: said.states.get(at).cloned(),
        });
        each.collect()
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As people and the protocol call it.
pub(crate) const fn name(breaker: Breaker) -> &'static str {
    match breaker {
        Breaker::Closed => "closed",
        Breaker::Open => "open",
        Breaker::HalfOpen => "half-open",
        Breaker::Unfit => "unfit",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(endpoint: u8, breaker: Breaker) -> EndpointState {
        EndpointState {
            endpoint,
            breaker,
            in_flight: 0,
            failures: 0,
            reason: String::new(),
        }
    }

    fn endpoints() -> Endpoints {
        Endpoints::new(
            vec!["a:1".to_owned(), "b:2".to_owned()],
            "m@1".to_owned(),
            None,
        )
    }

    #[test]
    fn what_is_said_of_all_of_them_is_believed() {
        let endpoints = endpoints();
        let states = [state(0, Breaker::Closed), state(1, Breaker::Open)];
        endpoints.hear(&states).unwrap();
        let list = endpoints.list();
        assert_eq!(list[1].address, "b:2");
        assert_eq!(list[1].state.as_ref().unwrap().breaker, Breaker::Open);
        endpoints.forget();
        assert!(endpoints.list().iter().all(|of| of.state.is_none()));
    }

    #[test]
    fn what_can_be_none_of_them_is_not() {
        let endpoints = endpoints();
        assert!(endpoints.hear(&[state(0, Breaker::Open)]).is_err());
        let twice = [state(0, Breaker::Open), state(0, Breaker::Open)];
        assert!(endpoints.hear(&twice).is_err());
        let mut odd = [state(0, Breaker::Open), state(1, Breaker::Open)];
        odd[1].reason = "whatever\n".to_owned();
        assert!(endpoints.hear(&odd).is_err());
        assert!(endpoints.list().iter().all(|of| of.state.is_none()));
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_failure_none_is_tried_for_a_while() {
        let endpoints = endpoints();
        endpoints.leave_alone(Fault::of(Reason::RemoteUnreachable), 100);
        assert!(endpoints.left_alone().is_some());
        tokio::time::advance(Duration::from_millis(101)).await;
        assert!(endpoints.left_alone().is_none());
        endpoints.leave_alone(Fault::of(Reason::RemoteUnreachable), 100);
        endpoints.try_anew();
        assert!(endpoints.left_alone().is_none());
    }
}
