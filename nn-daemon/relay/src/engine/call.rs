//! One call of gRPC over a connection of HTTP/2: a message there, a message back, and the status behind it. Whether the
//! engine may have begun with it is known exactly: before the stream was opened it has not, nor where it says, before it has
//! answered anything, that it refused the stream, or that it is going away and had not come to it.

use bytes::{Bytes, BytesMut};
use h2::client::SendRequest;
use h2::{Reason as H2Reason, RecvStream};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use nn_tensor::Reason;
use tokio::time::Instant;

use super::failed::{Failed, cut};
use super::message::PREFIX_BYTES;

/// The service.
const SERVICE: &str = "inference.GRPCInferenceService";

/// As gRPC counts them: `UNAVAILABLE`, `DEADLINE_EXCEEDED`.
const UNAVAILABLE: u16 = 14;
const DEADLINE_EXCEEDED: u16 = 4;

/// The names of gRPC's statuses, by their numbers.
const STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Headers that go along with every call.
#[derive(Clone, Debug, Default)]
pub struct Along(Vec<(HeaderName, HeaderValue)>);

/// What is to be called.
#[derive(Debug)]
pub struct Call<'a> {
    /// Scheme and host, `http://engine.example:8001`: what stands before an engine may choose by it.
    pub base: &'a str,
    /// `ModelInfer`.
    pub method: &'static str,
    /// With gRPC's prefix.
    pub message: Bytes,
    /// Besides gRPC's own.
    pub along: &'a Along,
    /// Nobody waits any longer.
    pub deadline: Instant,
    /// The longest answer.
    pub bytes_max: usize,
}

// === impl Along ===

impl Along {
    /// Checks them: names and values as HTTP has them, and none that gRPC or HTTP have a meaning for.
    pub fn new(headers: &[(String, String)]) -> Result<Self, Failed> {
        let wrong = || {
            let failed = Failed::unsent(Reason::RemoteModel, "a header");
            failed.expected("kserve.auth to name a header of HTTP, and a file with its value")
        };
        let reserved = |name: &str| {
            let http = ["te", "host", "connection", "content-type", "content-length"];
            let more = [
                "transfer-encoding",
                "upgrade",
                "keep-alive",
                "proxy-connection",
            ];
            http.contains(&name) || more.contains(&name) || name.starts_with("grpc-")
        };
        let header = |(name, value): &(String, String)| {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
            let mut value = HeaderValue::from_str(value).map_err(|_| wrong())?;
            value.set_sensitive(true);
            if reserved(name.as_str()) {
                return Err(wrong());
            }
            Ok((name, value))
        };
        headers
            .iter()
            .map(header)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl Call<'_> {
    fn request(&self) -> Result<Request<()>, Failed> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        // At most eight digits, as the protocol has it.
        let left = left.as_millis().min(99_999_999);
        let request = Request::builder()
            .method(Method::POST)
            .version(Version::HTTP_2)
            .uri(format!("{}/{SERVICE}/{}", self.base, self.method))
            .header(CONTENT_TYPE, "application/grpc")
            .header("te", "trailers")
            .header("grpc-timeout", format!("{left}m"))
            .body(());
        let mut request =
            request.map_err(|error| Failed::unsent(Reason::RemoteModel, &error.to_string()))?;
        for (name, value) in &self.along.0 {
            request.headers_mut().insert(name.clone(), value.clone());
        }
        Ok(request)
    }
}

/// Calls; gives the message of the answer. Dropped before its end, it takes the stream back.
pub async fn unary(
    connection: SendRequest<Bytes>,
    call: &Call<'_>,
    mut heard: impl FnMut(),
) -> Result<Bytes, Failed> {
    let request = call.request()?;
    let mut ready = connection
        .ready()
        .await
        .map_err(|error| lost(&error, Stage::Unopened))?;
    let (answer, mut body) = ready
        .send_request(request, false)
        .map_err(|error| lost(&error, Stage::Unopened))?;
    body.send_data(call.message.clone(), true)
        .map_err(|error| lost(&error, Stage::Opened))?;
    let answer = answer.await.map_err(|error| lost(&error, Stage::Opened))?;
    heard();
    let (answer, mut body) = check(answer)?;
    let message = read(&mut body, call.bytes_max, &mut heard).await?;
    let trailers = body.trailers().await;
    let trailers = trailers.map_err(|error| lost(&error, Stage::Answered))?;
    let none = HeaderMap::new();
    status(&answer, trailers.as_ref().unwrap_or(&none))?;
    message.ok_or_else(|| {
        let failed = Failed::sent(Reason::RemoteAnswer, "a status, and no message");
        failed.expected("one message").got("none")
    })
}

/// Whether this is gRPC at all.
fn check(answer: Response<RecvStream>) -> Result<(HeaderMap, RecvStream), Failed> {
    let (parts, body) = answer.into_parts();
    let kind = parts.headers.get(CONTENT_TYPE);
    let is_grpc = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if parts.status == StatusCode::OK && is_grpc {
        return Ok((parts.headers, body));
    }
    let kind = kind.map(|kind| cut(&String::from_utf8_lossy(kind.as_bytes())));
    let detail = format!("HTTP status {}, {}", parts.status, kind.unwrap_or_default());
    let failed = Failed::sent(Reason::RemoteAnswer, &detail);
    Err(failed
        .expected("an endpoint that speaks gRPC")
        .got(format!("HTTP status {}", parts.status.as_u16())))
}

/// At most one message, of at most so many bytes.
async fn read(
    body: &mut RecvStream,
    bytes_max: usize,
    heard: &mut impl FnMut(),
) -> Result<Option<Bytes>, Failed> {
    let mut all = BytesMut::new();
    let mut whole = PREFIX_BYTES;
    while let Some(piece) = body.data().await {
        let piece = piece.map_err(|error| lost(&error, Stage::Answered))?;
        heard();
        // What has come may be followed by as much again.
        let _ = body.flow_control().release_capacity(piece.len());
        all.extend_from_slice(&piece);
        if whole == PREFIX_BYTES && all.len() >= PREFIX_BYTES {
            whole = length(&all, bytes_max)?.saturating_add(PREFIX_BYTES);
            // At once, and no more than that: so much is counted for every call.
            all.reserve(whole.saturating_sub(all.len()));
        }
        if all.len() > whole {
            let failed = Failed::sent(Reason::RemoteAnswer, "more behind the message");
            return Err(failed.expected("one message").got("more"));
        }
    }
    if all.is_empty() {
        return Ok(None);
    }
    if all.len() < whole {
        let failed = Failed::sent(Reason::RemoteAnswer, "a part of a message");
        return Err(failed
            .expected(format!("{whole} bytes"))
            .got(all.len().to_string()));
    }
    let mut message = all.freeze();
    Ok(Some(message.split_off(PREFIX_BYTES)))
}

/// How long the message is, by its prefix.
fn length(bytes: &[u8], bytes_max: usize) -> Result<usize, Failed> {
    let Some(&[compressed, a, b, c, d]) = bytes.first_chunk() else {
        return Ok(0);
    };
    let len = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    if compressed != 0 {
        let failed = Failed::sent(Reason::RemoteAnswer, "a compressed message");
        return Err(failed.expected("a message that is not compressed"));
    }
    if len > bytes_max {
        let failed = Failed::sent(Reason::RemoteAnswer, &format!("{len} bytes"));
        return Err(failed
            .expected(format!(
                "at most {bytes_max} bytes (kserve.message_bytes_max)"
            ))
            .got(len.to_string()));
    }
    Ok(len)
}

/// What the engine says of the call, which stands behind the message, or before where there is none.
fn status(headers: &HeaderMap, trailers: &HeaderMap) -> Result<(), Failed> {
    let of = |name: &str| trailers.get(name).or_else(|| headers.get(name));
    let number = of("grpc-status").and_then(|value| value.to_str().ok()?.parse::<u16>().ok());
    let Some(number) = number else {
        let failed = Failed::sent(Reason::RemoteAnswer, "no grpc-status");
        return Err(failed.expected("a status of gRPC").got("none"));
    };
    if number == 0 {
        return Ok(());
    }
    let words = of("grpc-message").map(|value| unescape(value.as_bytes()));
    let name = STATUSES.get(usize::from(number)).unwrap_or(&"unknown");
    let detail = format!("gRPC status {number}: {}", words.unwrap_or_default());
    let (reason, blames) = match number {
        UNAVAILABLE => (Reason::RemoteFailed, true),
        DEADLINE_EXCEEDED => (Reason::RemoteDeadline, false),
        _ => (Reason::RemoteFailed, false),
    };
    let failed = Failed::sent(reason, &detail).got(format!("gRPC status {name}"));
    Err(if blames { failed } else { failed.blameless() })
}

/// `%20` and its like, as gRPC writes its messages.
fn unescape(words: &[u8]) -> String {
    let digit = |byte: Option<&u8>| byte.and_then(|&byte| char::from(byte).to_digit(16));
    let mut bytes = Vec::new();
    let mut rest = words;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        let hex = (digit(behind.first()), digit(behind.get(1)));
        match hex {
            (Some(high), Some(low)) if byte == b'%' => {
                let both = high.saturating_mul(16).saturating_add(low);
                bytes.push(u8::try_from(both).unwrap_or(b'?'));
                rest = behind.get(2..).unwrap_or_default();
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// There is no stream.
    Unopened,
    /// There is one, and nothing has come on it.
    Opened,
    /// The head of an answer has come: the engine has begun, whatever it says afterwards.
    Answered,
}

/// A stream or a connection that ended.
fn lost(error: &h2::Error, stage: Stage) -> Failed {
    let refused = error.is_reset() && error.reason() == Some(H2Reason::REFUSED_STREAM);
    // Of streams that are told of a GOAWAY, the engine has not come to any.
    let unprocessed = error.is_remote() && (refused || error.is_go_away());
    let detail = error.to_string();
    let unsent = match stage {
        Stage::Unopened => true,
        Stage::Opened => unprocessed,
        Stage::Answered => false,
    };
    if unsent {
        let failed = Failed::unsent(Reason::RemoteUnreachable, &detail);
        return failed.got("a connection that takes no more calls");
    }
    Failed::sent(Reason::RemoteLost, &detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_named_and_their_words_kept_for_the_log() {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("3"));
        trailers.insert(
            "grpc-message",
            HeaderValue::from_static("bad%20sh%C3%A4pe%0A"),
        );
        let failed = status(&HeaderMap::new(), &trailers).unwrap_err();
        assert_eq!(failed.reason, Reason::RemoteFailed);
        assert_eq!(failed.got, "gRPC status INVALID_ARGUMENT");
        assert!(failed.detail.ends_with("bad shäpe "), "{failed:?}");
        assert!(!failed.blames);
    }

    #[test]
    fn an_engine_that_is_not_available_is_to_blame_and_one_without_a_status_too() {
        let mut trailers = HeaderMap::new();
        assert!(status(&trailers, &trailers).unwrap_err().blames);
        trailers.insert("grpc-status", HeaderValue::from_static("14"));
        assert!(status(&HeaderMap::new(), &trailers).unwrap_err().blames);
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        assert!(status(&HeaderMap::new(), &trailers).is_ok());
    }

    #[test]
    fn headers_that_mean_something_to_the_protocol_are_refused() {
        let along = |name: &str, value: &str| Along::new(&[(name.to_owned(), value.to_owned())]);
        assert!(along("authorization", "Bearer x").is_ok());
        for (name, value) in [
            ("te", "x"),
            ("grpc-timeout", "1S"),
            (":path", "/"),
            ("a b", "x"),
            ("a", "x\ny"),
        ] {
            assert!(along(name, value).is_err(), "{name}");
        }
    }

    #[test]
    fn what_is_escaped_wrongly_stays() {
        assert_eq!(unescape(b"%4"), "%4");
        assert_eq!(unescape(b"%zz%41"), "%zzA");
    }
}
