//! One model at its endpoints: which of them a call goes to, and what becomes of it. It knows no daemon and no shared
//! memory: a message in, a message out, or a reason.
//!
//! ```text
//! breaker.rs    when an endpoint is left alone (pure)
//! dial.rs       how connections come
//! tls.rs        whom they are believed to lead to
//! link.rs       the connection to one endpoint, kept and made anew
//! call.rs       one call of gRPC
//! protobuf.rs   the encoding (pure)
//! message.rs    the messages (pure)
//! signature.rs  what an engine says of a model (pure)
//! answer.rs     an answer against that (pure)
//! failed.rs     why a call came to nothing
//! ```

pub mod answer;
pub mod breaker;
pub mod call;
pub mod dial;
pub mod failed;
pub mod link;
pub mod message;
pub mod protobuf;
pub mod signature;
pub mod tls;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use nn_tensor::{Reason, Signature};
use nn_worker_wire::{EndpointState, Remote};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use breaker::{Breaker, Pass, Verdict};
use call::{Along, Call};
use dial::Dialer;
use failed::Failed;
use link::{Common, Connection, Link};
use tls::Tls;

/// One model at its endpoints.
#[derive(Debug)]
pub struct Engine {
    common: Rc<Common>,
    endpoints: Vec<Endpoint>,
    signature: Signature,
    /// Where the choice begins, among those that have equally few calls.
    next: Cell<usize>,
    changed: Notify,
}

#[derive(Debug)]
struct Endpoint {
    link: Rc<Link>,
    breaker: RefCell<Breaker>,
    in_flight: Cell<u32>,
}

/// A call that is under way at an endpoint. Dropped without a verdict, it says nothing of the endpoint.
struct Flight<'a> {
    engine: &'a Engine,
    endpoint: &'a Endpoint,
    pass: Pass,
    verdict: Verdict,
}

// === impl Engine ===

impl Engine {
    /// Finds an endpoint that has the model, and asks what it takes and gives. Each is given its time for connecting.
    pub async fn open(remote: Remote, dialer: Dialer) -> Result<Self, Failed> {
        let along = Along::new(&remote.headers)?;
        let tls = remote.tls.as_ref().map(Tls::new).transpose()?;
        let rule = remote.breaker;
        let endpoint = |endpoint: &String| Endpoint {
            link: Rc::new(Link::new(endpoint, &remote)),
            breaker: RefCell::new(Breaker::new(rule)),
            in_flight: Cell::new(0),
        };
        let endpoints: Vec<Endpoint> = remote.endpoints.iter().map(endpoint).collect();
        let common = Rc::new(Common {
            remote,
            along,
            tls,
            dialer,
            signature: RefCell::default(),
        });
        let mut engine = Self {
            common,
            endpoints,
            signature: Signature::default(),
            next: Cell::new(0),
            changed: Notify::new(),
        };
        engine.signature = engine.ask_all().await?;
        Ok(engine)
    }

    async fn ask_all(&self) -> Result<Signature, Failed> {
        let mut last = Failed::unsent(Reason::RemoteUnreachable, "no endpoint");
        for endpoint in &self.endpoints {
            let Some(mut flight) = self.begin(endpoint) else {
                continue;
            };
            match endpoint.link.connection(&self.common).await {
                Ok(_) => flight.verdict = Verdict::Good,
                Err(failed) => {
                    flight.verdict = failed.verdict();
                    last = failed;
                    continue;
                }
            }
            if let Some(signature) = &*self.common.signature.borrow() {
                return Ok(signature.clone());
            }
        }
        Err(last)
    }

    /// What the model takes and gives.
    #[must_use]
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// What the daemon said of it.
    #[must_use]
    pub fn remote(&self) -> &Remote {
        &self.common.remote
    }

    /// The longest message, in bytes.
    #[must_use]
    pub fn message_bytes_max(&self) -> usize {
        usize::try_from(self.common.remote.message_bytes_max).unwrap_or(usize::MAX)
    }

    /// Has an endpoint compute, and then another one, as long as nothing was sent. The answer is a message, of which nothing
    /// has been checked but its length; `check` does, and what it says speaks for or against the endpoint.
    pub async fn infer<T>(
        &self,
        message: Bytes,
        deadline: Instant,
        mut check: impl FnMut(Bytes) -> Result<T, Failed>,
    ) -> Result<T, Failed> {
        let begun = Instant::now();
        let mut tried = vec![false; self.endpoints.len()];
        let mut last = None;
        while let Some((index, mut flight)) = self.pick(&tried) {
            if let Some(tried) = tried.get_mut(index) {
                *tried = true;
            }
            let sent = Cell::new(false);
            let call = self.try_one(flight.endpoint, &message, deadline, &sent);
            let answer = match timeout_at(deadline, call).await {
                Ok(answer) => answer.and_then(&mut check),
                Err(_) => Err(self.late(begun, sent.get())),
            };
            match answer {
                Ok(answer) => {
                    flight.verdict = Verdict::Good;
                    return Ok(answer);
                }
                Err(failed) => {
                    flight.verdict = failed.verdict();
                    drop(flight);
                    if failed.sent || failed.reason == Reason::RemoteDeadline {
                        return Err(failed);
                    }
                    last = Some(failed);
                }
            }
        }
        Err(last.unwrap_or_else(|| {
            let count = self.endpoints.len();
            let failed = Failed::unsent(Reason::RemoteRefused, "");
            let failed = failed.expected("an endpoint that has not just failed");
            failed.got(format!("none of {count}")).blameless()
        }))
    }

    async fn try_one(
        &self,
        endpoint: &Endpoint,
        message: &Bytes,
        deadline: Instant,
        sent: &Cell<bool>,
    ) -> Result<Bytes, Failed> {
        let call = Call {
            base: endpoint.link.base(),
            method: "ModelInfer",
            message: message.clone(),
            along: &self.common.along,
            deadline,
            bytes_max: self.message_bytes_max(),
        };
        let connection: Connection = endpoint.link.connection(&self.common).await?;
        sent.set(true);
        let answer = connection.call(&call).await;
        match answer {
            // A connection that was kept may have come to its end with nobody to notice: one more, anew.
            Err(failed) if !failed.sent && failed.reason == Reason::RemoteUnreachable => {
                let connection = endpoint.link.connection(&self.common).await?;
                connection.call(&call).await
            }
            answer => answer,
        }
    }

    /// A deadline speaks against the endpoint only where it had as long as connecting may take: else whoever asks for an
    /// answer in no time could have it left alone.
    fn late(&self, begun: Instant, sent: bool) -> Failed {
        let waited = begun.elapsed();
        let failed = if sent {
            Failed::sent(Reason::RemoteDeadline, "no answer")
        } else {
            Failed::unsent(Reason::RemoteDeadline, "no connection")
        };
        let failed = failed.got(format!("nothing within {} ms", waited.as_millis()));
        let patience = Duration::from_millis(self.common.remote.connect_ms.into());
        if waited >= patience {
            failed
        } else {
            failed.blameless()
        }
    }

    /// Of the endpoints that were not tried and that calls may go to, the one with the fewest.
    fn pick(&self, tried: &[bool]) -> Option<(usize, Flight<'_>)> {
        let now = Instant::now().into_std();
        let count = self.endpoints.len();
        let first = self.next.get();
        let order = (0..count).map(|step| first.wrapping_add(step).checked_rem(count).unwrap_or(0));
        let fit = order.filter(|&index| {
            let endpoint = self.endpoints.get(index);
            let lets = endpoint.is_some_and(|endpoint| endpoint.breaker.borrow().lets(now));
            lets && tried.get(index) == Some(&false)
        });
        let load = |&index: &usize| self.endpoints.get(index).map(|one| one.in_flight.get());
        let index = fit.min_by_key(load)?;
        self.next.set(index.wrapping_add(1));
        Some((index, self.begin(self.endpoints.get(index)?)?))
    }

    fn begin<'a>(&'a self, endpoint: &'a Endpoint) -> Option<Flight<'a>> {
        let pass = endpoint
            .breaker
            .borrow_mut()
            .begin(Instant::now().into_std())?;
        endpoint
            .in_flight
            .set(endpoint.in_flight.get().saturating_add(1));
        self.changed.notify_one();
        Some(Flight {
            engine: self,
            endpoint,
            pass,
            verdict: Verdict::Unknown,
        })
    }

    /// What there is to say of each endpoint.
    #[must_use]
    pub fn states(&self) -> Vec<EndpointState> {
        let state = |(index, endpoint): (usize, &Endpoint)| {
            let breaker = endpoint.breaker.borrow();
            EndpointState {
                endpoint: u8::try_from(index).unwrap_or(u8::MAX),
                breaker: breaker.seen(),
                in_flight: endpoint.in_flight.get(),
                failures: breaker.failures(),
                reason: breaker.reason().map_or("", Reason::id).to_owned(),
            }
        };
        self.endpoints.iter().enumerate().map(state).collect()
    }

    /// Waits until there may be something new to say.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let endpoint = self.endpoint;
        let now = Instant::now().into_std();
        let mut breaker = endpoint.breaker.borrow_mut();
        breaker.end(self.pass, self.verdict, now);
        endpoint
            .in_flight
            .set(endpoint.in_flight.get().saturating_sub(1));
        self.engine.changed.notify_one();
    }
}
