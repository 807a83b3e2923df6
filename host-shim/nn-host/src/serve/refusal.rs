//! The one table from what goes wrong with a request to what the client is told: a status and a sentence,
//! with the request's id. Why it went so is in the log, for the operator.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, Version, header};
use http_body_util::Full;

use crate::serve::instance::Ended;

/// How long a client waits before it tries again, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Why a request has no answer of the guest's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// As many are worked on as may be.
    Busy,
    /// As many are worked on for the tenant as it may have.
    TenantBusy,
    /// The tenant has had all requests of this second.
    TenantRate,
    /// No route leads from there.
    NoRoute,
    /// The body is larger than may be.
    TooLarge,
    /// The body did not come in time.
    BodyLate,
    /// No host is named, or more than one, or what is named is none.
    NoHost,
    /// CONNECT, which is for proxies.
    Connect,
    /// The guest did not begin its answer in time.
    GuestLate,
    /// The guest used all the processor time that it may.
    GuestExhausted,
    /// The guest trapped, or could not be started.
    GuestFailed,
    /// The guest returned, or was refused something, without any answer.
    GuestSilent,
}

// === impl Refusal ===

impl Refusal {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::TenantBusy | Self::TenantRate => StatusCode::TOO_MANY_REQUESTS,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyLate => StatusCode::REQUEST_TIMEOUT,
            Self::NoHost => StatusCode::BAD_REQUEST,
            Self::Connect => StatusCode::NOT_IMPLEMENTED,
            Self::GuestLate => StatusCode::GATEWAY_TIMEOUT,
            Self::GuestExhausted | Self::GuestFailed | Self::GuestSilent => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    /// Whether the same request may be answered in a moment.
    fn passes(self) -> bool {
        matches!(self, Self::Busy | Self::TenantBusy | Self::TenantRate)
    }

    fn text(self) -> &'static str {
        match self {
            Self::Busy => "busy: too many requests at a time; try again",
            Self::TenantBusy => "too many of this tenant's requests at a time; try again",
            Self::TenantRate => "too many of this tenant's requests a second; try again",
            Self::NoRoute => "nothing is served here",
            Self::TooLarge => "the request's body is too large",
            Self::BodyLate => "the request's body did not come in time",
            Self::NoHost => "the request must name one host",
            Self::Connect => "this is no proxy",
            Self::GuestLate => "no answer in time",
            Self::GuestExhausted => "the guest used more processor time than it may",
            Self::GuestFailed => "the guest failed",
            Self::GuestSilent => "the guest gave no answer",
        }
    }

    /// Whether the connection cannot be used again: the rest of the request is still to come, or where the request
    /// ends may look otherwise to whoever passed it on.
    fn breaks_off(self) -> bool {
        match self {
            Self::TooLarge | Self::BodyLate | Self::NoHost | Self::Connect => true,
            Self::Busy
            | Self::TenantBusy
            | Self::TenantRate
            | Self::NoRoute
            | Self::GuestLate
            | Self::GuestExhausted
            | Self::GuestFailed
            | Self::GuestSilent => false,
        }
    }

    /// The answer. HTTP/2 has no header for the connection's end, and no need of one: a request's end is its own there.
    pub(super) fn response(self, id: &str, version: Version) -> Response<Full<Bytes>> {
        let text = format!("{}; request {id}\n", self.text());
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, plain);
        if self.passes() {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        if self.breaks_off() && version < Version::HTTP_2 {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// How a guest ended that gave no answer.
impl From<&Ended> for Refusal {
    fn from(ended: &Ended) -> Self {
        match ended {
            Ended::Late => Self::GuestLate,
            Ended::Exhausted => Self::GuestExhausted,
            Ended::Returned => Self::GuestSilent,
            Ended::Trapped(_) | Ended::Unfit(_) | Ended::Gone => Self::GuestFailed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_request_and_busy_says_when_to_come_again() {
        let busy = [Refusal::Busy, Refusal::TenantBusy, Refusal::TenantRate];
        let responses = busy.map(|refusal| refusal.response("abc", Version::HTTP_11));
        let statuses = responses
            .each_ref()
            .map(|response| response.status().as_u16());
        assert_eq!(statuses, [503, 429, 429]);
        let again = |response: &Response<_>| response.headers()[header::RETRY_AFTER] == "1";
        assert!(responses.iter().all(again));
        let failed = Refusal::GuestFailed.response("abc", Version::HTTP_11);
        assert_eq!(failed.status(), 500);
        assert!(failed.headers().get(header::RETRY_AFTER).is_none());
    }

    #[test]
    fn a_connection_is_closed_by_a_header_in_http_1_only() {
        let closes = |version| {
            let response = Refusal::TooLarge.response("abc", version);
            response.headers().contains_key(header::CONNECTION)
        };
        assert!(closes(Version::HTTP_11) && !closes(Version::HTTP_2));
    }
}
