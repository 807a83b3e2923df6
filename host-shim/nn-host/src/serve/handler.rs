//! One request: is it one that may be worked on; then its guest's answer, or why there is none.

use std::sync::{Arc, PoisonError, RwLock};

use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use http_body::Body;
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::serve::access::{self, Access, Ids};
use crate::serve::code;
use crate::serve::exchange::Phase;
use crate::serve::file::RequestLimits;
use crate::serve::instance::{Answer, Ended, Running};
use crate::serve::present::Gate;
use crate::serve::refusal::Refusal;
use crate::serve::request::{Fate, RequestBody};
use crate::serve::response::{GuestBody, ResponseBody};
use crate::serve::site::{Place, Route, Site};
use crate::telemetry::Limiter;

static SILENT: Limiter = Limiter::new(10);

/// Answers requests, by what is served at the moment.
pub(super) struct Handler {
    site: RwLock<Arc<Site>>,
    gate: Gate,
    ids: Ids,
}

// === impl Handler ===

impl Handler {
    pub(super) fn new(site: Arc<Site>) -> Self {
        Self {
            site: RwLock::new(site),
            gate: Gate::default(),
            ids: Ids::default(),
        }
    }

    /// What is served at the moment.
    pub(super) fn site(&self) -> Arc<Site> {
        Arc::clone(&self.site.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Serves something else from the next request on.
    pub(super) fn replace(&self, site: Arc<Site>) {
        let mut current = self.site.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *current, site);
        drop(current);
        // Not under the lock: it may be the last to hold programs.
        drop(old);
    }

    /// Waits until no guest is at work.
    pub(super) async fn idle(&self) {
        self.gate.empty().await;
    }

    /// Answers one request, whatever it is.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<ResponseBody> {
        let id = self.ids.of(request.headers());
        let mut access = Access::new(id, request.method(), request.uri());
        let version = request.version();
        let answered = match self.admit(&request, &mut access) {
            Ok((route, place)) => attend(&route, request, &access, place).await,
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
                let response = refusal.response(access.id(), version);
                response.map(|body| ResponseBody::ours(body, access))
            }
        };
        response.headers_mut().insert(access::HEADER, id);
        response
    }

    /// Where the request leads to, and a place for it, if it is one to work on and there is room.
    fn admit(
        &self,
        request: &Request<Incoming>,
        access: &mut Access,
    ) -> Result<(Arc<Route>, Place), Refusal> {
        if request.method() == Method::CONNECT {
            return Err(Refusal::Connect);
        }
        let host = host_of(request).ok_or(Refusal::NoHost)?;
        let site = self.site();
        let route = site.route(&host, request.uri().path());
        let route = route.ok_or(Refusal::NoRoute)?;
        access.of(&route.account.tenant);
        // What comes in pieces of unknown number is counted as it comes.
        if request.body().size_hint().lower() > route.limits.body_bytes_max {
            return Err(Refusal::TooLarge);
        }
        let place = site.admit(route, &self.gate)?;
        Ok((Arc::clone(route), place))
    }
}

async fn attend(
    route: &Route,
    request: Request<Incoming>,
    access: &Access,
    place: Place,
) -> Result<Response<GuestBody>, Refusal> {
    let limits = route.limits;
    let method = request.method().clone();
    let mut request = request.map(|body| RequestBody::new(body, limits.body_bytes_max));
    request
        .headers_mut()
        .insert(access::HEADER, access.header());
    let fate = request.body().fate();
    let first = Phase::Head(Instant::now() + limits.request_timeout);
    let mut running = route.start(request, access.id(), first, place);
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
        Some(answer) => begun(&limits, answer, &method, running, access),
        None => Err(unanswered(running, &fate, access).await),
    }
}

/// The guest has begun its answer.
fn begun(
    limits: &RequestLimits,
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
    let until = Instant::now() + limits.response_timeout;
    // The guest may be done already.
    let _ = running.phase.send(Phase::Body(until));
    let ways = (running.verdict, running.phase);
    Ok(GuestBody::of(
        response,
        method,
        ways,
        limits.request_timeout,
    ))
}

/// The host that a request is for, without a port; `None` where that is not clear. HTTP/2 has it beside the headers.
fn host_of(request: &Request<Incoming>) -> Option<String> {
    let said = request.headers().get(header::HOST);
    match request.uri().authority() {
        Some(authority) => {
            let named = HeaderValue::from_str(authority.as_str()).ok()?;
            let hosts = request.headers().get_all(header::HOST).iter();
            let mut hosts = hosts.map(HeaderValue::as_bytes);
            let alike = hosts.all(|host| host.eq_ignore_ascii_case(named.as_bytes()));
            (alike && is_host(&named)).then(|| authority.host().to_owned())
        }
        None if names_one_host(request.headers()) => {
            let authority: Authority = said?.to_str().ok()?.parse().ok()?;
            Some(authority.host().to_owned())
        }
        None => None,
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
