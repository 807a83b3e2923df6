//! One request: is it one that may be worked on; then its guest's answer, or why there is none.

use std::sync::Arc;

use http::{HeaderMap, Method, Request, Response, header};
use http_body::Body;
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::serve::access::{self, Access, Ids};
use crate::serve::config::Limits;
use crate::serve::exchange::Phase;
use crate::serve::instance::{Answer, Ended, Program, Running};
use crate::serve::refusal::Refusal;
use crate::serve::request::{Fate, RequestBody};
use crate::serve::response::{GuestBody, ResponseBody};
use crate::telemetry::Limiter;

static SILENT: Limiter = Limiter::new(10);

/// Answers requests, by one guest's program.
pub(super) struct Handler {
    program: Program,
    limits: Limits,
    places: Arc<Semaphore>,
    ids: Ids,
}

// === impl Handler ===

impl Handler {
    pub(super) fn new(program: Program, limits: Limits) -> Self {
        Self {
            program,
            limits,
            places: Arc::new(Semaphore::new(limits.requests_max)),
            ids: Ids::default(),
        }
    }

    /// Waits until no guest is at work.
    pub(super) async fn idle(&self) {
        let all = u32::try_from(self.limits.requests_max).unwrap_or(u32::MAX);
        drop(self.places.acquire_many(all).await);
    }

    /// Answers one request, whatever it is.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<ResponseBody> {
        let id = self.ids.of(request.headers());
        let mut access = Access::new(id, request.method(), request.uri());
        let answered = match self.admit(&request) {
            Ok(place) => self.attend(request, &access, place).await,
            Err(refusal) => Err(refusal),
        };
        let id = access.header();
        let mut response = match answered {
            Ok(response) => {
                access.answered(response.status());
                response.map(|body| ResponseBody::guests(body, access))
            }
            Err(refusal) => {
                access.answered(refusal.status());
                let response = refusal.response(access.id());
                response.map(|body| ResponseBody::ours(body, access))
            }
        };
        response.headers_mut().insert(access::HEADER, id);
        response
    }

    /// A place for the request, if it is one to work on and there is room.
    fn admit(&self, request: &Request<Incoming>) -> Result<OwnedSemaphorePermit, Refusal> {
        if request.method() == Method::CONNECT {
            return Err(Refusal::Connect);
        }
        if !names_one_host(request.headers()) {
            return Err(Refusal::NoHost);
        }
        // What comes in pieces of unknown number is counted as it comes.
        if request.body().size_hint().lower() > self.limits.body_bytes_max {
            return Err(Refusal::TooLarge);
        }
        let places = Arc::clone(&self.places);
        places.try_acquire_owned().map_err(|_| Refusal::Busy)
    }

    async fn attend(
        &self,
        request: Request<Incoming>,
        access: &Access,
        place: OwnedSemaphorePermit,
    ) -> Result<Response<GuestBody>, Refusal> {
        let method = request.method().clone();
        let mut request = request.map(|body| RequestBody::new(body, self.limits.body_bytes_max));
        request
            .headers_mut()
            .insert(access::HEADER, access.header());
        let fate = request.body().fate();
        let first = Phase::Head(Instant::now() + self.limits.request_timeout);
        let mut running = self.program.start(request, access.id(), first, place);
        let answer = tokio::select! {
            answer = &mut running.answer => answer.ok(),
            // Dropping what the guest runs for stops it.
            refusal = fate.refused() => return Err(refusal),
        };
        // A guest that is told so as well may be quicker to say what it makes of it.
        if let Some(refusal) = fate.refusal() {
            return Err(refusal);
        }
        match answer {
            Some(answer) => self.begun(answer, &method, running, access),
            None => Err(unanswered(running, &fate, access).await),
        }
    }

    /// The guest has begun its answer.
    fn begun(
        &self,
        answer: Answer,
        method: &Method,
        running: Running,
        access: &Access,
    ) -> Result<Response<GuestBody>, Refusal> {
        let response = answer.map_err(|code| {
            if SILENT.pass().is_some() {
                tracing::warn!(
                    request = access.id(),
                    "the guest answers by an error: {code:?}"
                );
            }
            Refusal::GuestSilent
        })?;
        let until = Instant::now() + self.limits.response_timeout;
        // The guest may be done already.
        let _ = running.phase.send(Phase::Body(until));
        let ways = (running.verdict, running.phase);
        Ok(GuestBody::of(
            response,
            method,
            ways,
            self.limits.request_timeout,
        ))
    }
}

/// RFC 9112, 3.2: a request without it, or with several, is a bad one.
fn names_one_host(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let one = hosts.next().is_some_and(|host| host.to_str().is_ok());
    one && hosts.next().is_none()
}

/// The guest has ended, or is about to, and will never answer.
async fn unanswered(running: Running, fate: &Fate, access: &Access) -> Refusal {
    // The store is gone, and nothing else is waited for between that and the task's end. A panic of ours
    // is told by the runtime.
    let ended = running.task.await;
    let ended = ended.unwrap_or_else(|error| Ended::Unfit(error.to_string()));
    if matches!(ended, Ended::Late) && fate.is_awaited() {
        return Refusal::BodyLate;
    }
    if matches!(ended, Ended::Returned) && SILENT.pass().is_some() {
        let request = access.id();
        tracing::warn!(%request, "the guest returned without an answer");
    }
    Refusal::from(&ended)
}
