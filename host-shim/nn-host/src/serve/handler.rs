//! One request: is it one that may be worked on; then its guest's answer, or why there is none.

use std::sync::Arc;

use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use http_body::Body;
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::serve::access::{self, Access, Ids};
use crate::serve::code;
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
        let request = access.id();
        let response = answer.map_err(|code| {
            if SILENT.pass().is_some() {
                let code = code::shown(code);
                tracing::warn!(%request, "the guest answers by an error: {code}");
            }
            Refusal::GuestSilent
        })?;
        // These announce an answer, or another protocol; they are none.
        if response.status().is_informational() {
            if SILENT.pass().is_some() {
                let status = response.status().as_u16();
                tracing::warn!(%request, status, "the guest answers by a status that is no answer");
            }
            return Err(Refusal::GuestSilent);
        }
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

/// RFC 9112, 3.2: a request without it, with several, or with something else in its place is a bad one.
fn names_one_host(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    hosts.next().is_some_and(is_host) && hosts.next().is_none()
}

/// A host and perhaps a port; nobody's name.
fn is_host(value: &HeaderValue) -> bool {
    let authority = value
        .to_str()
        .ok()
        .and_then(|text| text.parse::<Authority>().ok());
    authority.is_some_and(|authority| {
        let host = authority.host();
        let port = authority.as_str().strip_prefix(host);
        let port = port.map(|port| port.strip_prefix(':').unwrap_or(port));
        let sober = |port: &str| port.is_empty() || port.parse::<u16>().is_ok();
        !host.is_empty() && port.is_some_and(sober)
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn named(host: &'static str) -> bool {
        is_host(&HeaderValue::from_static(host))
    }

    #[test]
    fn hosts_with_and_without_a_port_are_hosts() {
        let hosts = [
            "a",
            "a.example:8080",
            "127.0.0.1:80",
            "[::1]",
            "[::1]:80",
            "a:",
        ];
        assert_eq!(hosts.map(named), [true; 6]);
    }

    #[test]
    fn what_is_no_authority_is_no_host() {
        let others = ["", ":80", "a/b", "a b", "me@a", "a:b", "a:65536", "a,b:c"];
        assert_eq!(others.map(named), [false; 8]);
    }
}
