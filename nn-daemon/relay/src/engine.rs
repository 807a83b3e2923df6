//! One model at its endpoints: which of them a call goes to, and what becomes of it. It knows no daemon and no shared
//! memory: a message in, a message out, or a reason.
//!
//! ```text
//! breaker.rs    when an endpoint is left alone (pure)
//! dial.rs       how connections come
//! tls.rs        whom they are believed to lead to
//! link.rs       the connection to one endpoint, kept and made anew
//! ask.rs        whether an endpoint has the model
//! life.rs       what is known of a connection while it lives
//! meter.rs      what comes over it and no call hears
//! call.rs       one call of gRPC
//! protobuf.rs   the encoding (pure)
//! message.rs    the messages (pure)
//! signature.rs  what an engine says of a model (pure)
//! answer.rs     an answer against that (pure)
//! failed.rs     why a call came to nothing
//! ```

pub mod answer;
mod ask;
pub mod breaker;
pub mod call;
pub mod dial;
pub mod failed;
pub mod life;
pub mod link;
pub mod message;
pub mod meter;
pub mod protobuf;
pub mod signature;
pub mod tls;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use nn_tensor::{Reason, Signature};
use nn_worker_wire::{EndpointState, Remote};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};

use breaker::{Breaker, Pass, Verdict};
use call::{Along, Call};
use dial::Dialer;
use failed::Failed;
use link::{Common, Connection, Link};
use tls::Tls;

/// How long an endpoint has to itself before the next one is asked for the model too.
const ASK_NEXT: Duration = Duration::from_millis(250);

/// An endpoint that is being asked what the model takes and gives.
type Asked<'a> = Pin<Box<dyn Future<Output = Result<Signature, Failed>> + 'a>>;

/// The part of what a call may take at all that an endpoint is waited for, for it to be at fault.
const NEARLY: f32 = 0.8;

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

    /// What the first endpoint says that has the model. The next one is asked once the one before has failed, or has said nothing
    /// for a moment: one that never answers keeps none of the others from it.
    async fn ask_all(&self) -> Result<Signature, Failed> {
        let mut last = Failed::unsent(Reason::RemoteUnreachable, "no endpoint");
        let mut left = self.endpoints.iter();
        let mut asked: Vec<Asked<'_>> = Vec::new();
        loop {
            if let Some(endpoint) = left.next() {
                asked.push(Box::pin(self.ask(endpoint)));
            }
            if asked.is_empty() {
                return Err(last);
            }
            match timeout(ASK_NEXT, first(&mut asked)).await {
                Ok(Ok(signature)) => return Ok(signature),
                Ok(Err(failed)) => last = failed,
                Err(_) => {}
            }
        }
    }

    async fn ask(&self, endpoint: &Endpoint) -> Result<Signature, Failed> {
        let none = || Failed::unsent(Reason::RemoteUnreachable, "no endpoint");
        let mut flight = self.begin(endpoint).ok_or_else(none)?;
        let connected = endpoint.link.connection(&self.common).await;
        flight.verdict = match &connected {
            Ok(_) => Verdict::Good,
            Err(failed) => failed.verdict(),
        };
        connected?;
        self.common.signature.borrow().clone().ok_or_else(none)
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
        let mut tried = vec![false; self.endpoints.len()];
        let mut last = None;
        while let Some((index, mut flight)) = self.pick(&tried) {
            if let Some(tried) = tried.get_mut(index) {
                *tried = true;
            }
            let sent = Cell::new(false);
            if flight.pass.is_probe() {
                flight.endpoint.link.doubt();
            }
            let begun = Instant::now();
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
                    if failed.sent {
                        flight.endpoint.link.doubt();
                    }
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

    /// A deadline is its client's, who chose it, and the engine may have much to do for others: else whoever asks for answers
    /// in no time could have it left alone for all. It speaks against the endpoint only where it is the operator's, for a call
    /// or for connecting. Whether the endpoint is there at all is asked before the next call is sent.
    fn late(&self, begun: Instant, sent: bool) -> Failed {
        let remote = &self.common.remote;
        let millis = |millis: u32| Duration::from_millis(millis.into());
        let waited = begun.elapsed();
        let (failed, most) = if sent {
            // A part of what there is has gone before the call came here.
            let most = millis(remote.compute_ms).mul_f32(NEARLY);
            (Failed::sent(Reason::RemoteDeadline, "no answer"), most)
        } else {
            let failed = Failed::unsent(Reason::RemoteDeadline, "no connection");
            (failed, millis(remote.connect_ms))
        };
        let failed = failed.got(format!("nothing within {} ms", waited.as_millis()));
        if waited >= most {
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

/// What the first of these says that says something; it is taken out.
async fn first(asked: &mut Vec<Asked<'_>>) -> Result<Signature, Failed> {
    poll_fn(|context| {
        let mut done = None;
        asked.retain_mut(|one| {
            if done.is_none()
                && let Poll::Ready(said) = one.as_mut().poll(context)
            {
                done = Some(said);
                return false;
            }
            true
        });
        done.map_or(Poll::Pending, Poll::Ready)
    })
    .await
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
