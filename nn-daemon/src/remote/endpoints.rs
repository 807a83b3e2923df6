//! What a version's relay says of its endpoints, as far as it can be believed: it is a jailed process that has read what an
//! engine sent. Changes of a breaker are told among the events.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nn_tensor::{Fault, Reason};
use nn_worker_wire::{Breaker, EndpointState};
use tokio::time::Instant;

use crate::events::{Events, Kind, Told};
use crate::telemetry::Limiter;

/// How often a relay may speak of its endpoints: twice as often as one does that has much to say. What waited while the daemon
/// did not read comes at once, and is no flood.
const SAID_EVERY: Duration = Duration::from_millis(50);
const SAID_AHEAD: Duration = Duration::from_secs(30);

/// Of all relays.
static LINES: Limiter = Limiter::new();

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
    /// By the numbers of the relays that live and have said something: one for each address. Beside one there may be another that
    /// is on its way out.
    states: BTreeMap<u32, Vec<EndpointState>>,
    /// When the next word of each would be due, were all as far apart as they may be.
    paces: BTreeMap<u32, Instant>,
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
    pub(crate) fn hear(&self, relay: u32, states: &[EndpointState]) -> Result<(), &'static str> {
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
        let now = Instant::now();
        let mut said = self.said();
        let due = said.paces.entry(relay).or_insert(now);
        *due = (*due).max(now) + SAID_EVERY;
        if *due > now + SAID_AHEAD {
            return Err("it spoke of its endpoints too often");
        }
        let before = said.states.insert(relay, states.to_vec());
        drop(said);
        let before = before.unwrap_or_default();
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
        if LINES.allows() {
            tracing::info!(model = %self.model, "endpoint {text}");
        }
        if let Some(events) = &self.events {
            events.tell_limited(Told::new(Kind::Endpoint).of(&*self.model).because(text));
        }
    }

    /// A relay asks them no more.
    pub(crate) fn forget(&self, relay: u32) {
        let mut said = self.said();
        said.states.remove(&relay);
        said.paces.remove(&relay);
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

    /// All of them, in their order: as the relay that came last says, and what those before it still have under way.
    pub(crate) fn list(&self) -> Vec<Endpoint> {
        let said = self.said();
        let addresses = self.addresses.iter().enumerate();
        let each = addresses.map(|(at, address)| {
            let mut all = said.states.values().filter_map(|states| states.get(at));
            let in_flight = sum(all.clone());
            let state = all.next_back().cloned();
            Endpoint {
                address: address.clone(),
                state: state.map(|last| EndpointState { in_flight, ..last }),
            }
        });
        each.collect()
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of what several relays say, each tenant's own: the worst of each endpoint, and all that is under way there.
pub(crate) fn worst(addresses: &[String], told: &[Vec<Endpoint>]) -> Vec<Endpoint> {
    let each = addresses.iter().enumerate().map(|(at, address)| {
        let all = told.iter().filter_map(|list| list.get(at)?.state.as_ref());
        let in_flight = sum(all.clone());
        let worst = all.max_by_key(|of| (of.breaker != Breaker::Closed, of.failures));
        Endpoint {
            address: address.clone(),
            state: worst.map(|worst| EndpointState {
                in_flight,
                ..worst.clone()
            }),
        }
    });
    each.collect()
}

fn sum<'a>(states: impl Iterator<Item = &'a EndpointState>) -> u32 {
    states.fold(0, |sum: u32, of| sum.saturating_add(of.in_flight))
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
        endpoints.hear(7, &states).unwrap();
        let list = endpoints.list();
        assert_eq!(list[1].address, "b:2");
        assert_eq!(list[1].state.as_ref().unwrap().breaker, Breaker::Open);
        endpoints.forget(7);
        assert!(endpoints.list().iter().all(|of| of.state.is_none()));
    }

    #[test]
    fn a_relay_that_goes_takes_nothing_of_what_the_next_one_has_said() {
        let endpoints = endpoints();
        let at = |number, breaker, in_flight| EndpointState {
            in_flight,
            ..state(number, breaker)
        };
        let both = |breaker, in_flight| [at(0, breaker, in_flight), at(1, breaker, 0)];
        endpoints.hear(7, &both(Breaker::Closed, 3)).unwrap();
        endpoints.hear(8, &both(Breaker::Closed, 2)).unwrap();
        // It still has calls, and its connections are gone.
        endpoints.hear(7, &both(Breaker::Open, 1)).unwrap();
        let first = endpoints.list().remove(0).state.unwrap();
        assert_eq!((first.breaker, first.in_flight), (Breaker::Closed, 3));
        endpoints.forget(7);
        let first = endpoints.list().remove(0).state.unwrap();
        assert_eq!((first.breaker, first.in_flight), (Breaker::Closed, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_relay_that_speaks_all_the_time_is_not_listened_to() {
        let endpoints = endpoints();
        let states = |breaker| [state(0, breaker), state(1, Breaker::Closed)];
        // As often as one does, for long; and what has waited for a minute, at once.
        for _ in 0..10_000 {
            endpoints.hear(7, &states(Breaker::Closed)).unwrap();
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        for _ in 0..600 {
            endpoints.hear(7, &states(Breaker::Open)).unwrap();
        }
        assert!(endpoints.hear(7, &states(Breaker::Open)).is_err());
        endpoints.hear(8, &states(Breaker::Closed)).unwrap();
        endpoints.forget(7);
        endpoints.hear(7, &states(Breaker::Closed)).unwrap();
    }

    #[test]
    fn of_several_relays_the_worst_is_told() {
        let (one, other, silent) = (endpoints(), endpoints(), endpoints());
        let states = |breaker| [state(0, Breaker::Closed), state(1, breaker)];
        one.hear(7, &states(Breaker::Closed)).unwrap();
        other.hear(8, &states(Breaker::Unfit)).unwrap();
        let told = [one.list(), other.list(), silent.list()];
        let merged = worst(&one.addresses, &told);
        let breakers: Vec<_> = merged
            .iter()
            .map(|of| of.state.as_ref().unwrap().breaker)
            .collect();
        assert_eq!(breakers, [Breaker::Closed, Breaker::Unfit]);
        assert!(worst(&one.addresses, &[])[0].state.is_none());
    }

    #[test]
    fn what_can_be_none_of_them_is_not() {
        let endpoints = endpoints();
        assert!(endpoints.hear(7, &[state(0, Breaker::Open)]).is_err());
        let twice = [state(0, Breaker::Open), state(0, Breaker::Open)];
        assert!(endpoints.hear(7, &twice).is_err());
        let mut odd = [state(0, Breaker::Open), state(1, Breaker::Open)];
        odd[1].reason = "whatever\n".to_owned();
        assert!(endpoints.hear(7, &odd).is_err());
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
