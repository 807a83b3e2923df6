//! What guests that answer HTTP share: reading a request's body with a bound, and an answer of one piece. It knows no
//! routes and no models.

use thiserror::Error;
use wasip2::http::types::{
    Fields, IncomingBody, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use wasip2::io::streams::StreamError;

pub use wasip2::http::types;

/// The most that is read or written by one call.
const PIECE_BYTES_MAX: usize = 16 << 10;

/// An answer, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The type of the content.
    pub kind: &'static str,
    /// A name and a value each, besides the content's type.
    pub headers: Vec<(&'static str, String)>,
    /// The text.
    pub text: String,
}

/// Why a request's body cannot be had.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BodyError {
    /// The connection ended, or the host refused to pass more on.
    #[error("the request's body ended early")]
    Broken,
    /// More than the guest wants.
    #[error("the request's body is larger than {max} bytes")]
    TooLarge {
        /// The most it takes.
        max: usize,
    },
}

/// The body of a request, of at most `max` bytes.
///
/// # Errors
/// When it is larger, or ends early.
pub fn body(request: &IncomingRequest, max: usize) -> Result<Vec<u8>, BodyError> {
    let body = request.consume().map_err(|()| BodyError::Broken)?;
    let stream = body.stream().map_err(|()| BodyError::Broken)?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(PIECE_BYTES_MAX as u64) {
            Ok(piece) if bytes.len() + piece.len() > max => {
                return Err(BodyError::TooLarge { max });
            }
            Ok(piece) => bytes.extend_from_slice(&piece),
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(_)) => return Err(BodyError::Broken),
        }
    }
    drop(stream);
    drop(IncomingBody::finish(body));
    Ok(bytes)
}

/// The method's name.
#[must_use]
pub fn method(request: &IncomingRequest) -> String {
    match request.method() {
        Method::Get => "GET".to_owned(),
        Method::Head => "HEAD".to_owned(),
        Method::Post => "POST".to_owned(),
        Method::Put => "PUT".to_owned(),
        Method::Delete => "DELETE".to_owned(),
        Method::Connect => "CONNECT".to_owned(),
        Method::Options => "OPTIONS".to_owned(),
        Method::Trace => "TRACE".to_owned(),
        Method::Patch => "PATCH".to_owned(),
        Method::Other(name) => name,
    }
}

/// The value of a header; the first, where there are several. Empty where there is none, or one that is no text.
#[must_use]
pub fn header(request: &IncomingRequest, name: &str) -> String {
    let value = request.headers().get(name).into_iter().next();
    value
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or_default()
}

/// The path and the query of a request's target.
#[must_use]
pub fn target(request: &IncomingRequest) -> (String, String) {
    let target = request.path_with_query().unwrap_or_default();
    match target.split_once('?') {
        Some((path, query)) => (path.to_owned(), query.to_owned()),
        None => (target, String::new()),
    }
}

/// The value of `name` in a query. Percent signs stay: what is looked for has no need of them.
#[must_use]
pub fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))
}

/// Sends an answer. Whoever asked may be gone meanwhile; nobody is left to be told.
pub fn send(out: ResponseOutparam, answer: &Answer) {
    let headers = Fields::new();
    let kind = ("content-type", answer.kind.to_owned());
    let length = ("content-length", answer.text.len().to_string());
    for (name, value) in [kind, length].iter().chain(&answer.headers) {
        let _ = headers.set(name, &[value.as_bytes().to_vec()]);
    }
    let response = OutgoingResponse::new(headers);
    let _ = response.set_status_code(answer.status);
    let body = response.body();
    ResponseOutparam::set(out, Ok(response));
    if let Ok(body) = body {
        let _ = write(body, answer.text.as_bytes());
    }
}

fn write(body: OutgoingBody, bytes: &[u8]) -> Result<(), StreamError> {
    let Ok(stream) = body.write() else {
        return Err(StreamError::Closed);
    };
    // The interface's own bound on one such call is 4096 bytes.
    for piece in bytes.chunks(4096) {
        stream.blocking_write_and_flush(piece)?;
    }
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
    Ok(())
}

// === impl Answer ===

impl Answer {
    /// A status and a text; the text's last line is ended.
    #[must_use]
    pub fn new(status: u16, text: impl Into<String>) -> Self {
        let mut text = text.into();
        if !text.ends_with('\n') {
            text.push('\n');
        }
        Self {
            status,
            kind: "text/plain; charset=utf-8",
            headers: Vec::new(),
            text,
        }
    }

    /// The same with another type of content.
    #[must_use]
    pub fn of_kind(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }

    /// The same with one more header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_is_found_among_others() {
        assert_eq!(parameter("a=1&model=foo@3&b", "model"), Some("foo@3"));
        assert_eq!(parameter("model=", "model"), Some(""));
        assert_eq!(parameter("models=foo&model", "model"), None);
    }

    #[test]
    fn answer_ends_its_last_line_once() {
        assert_eq!(Answer::new(200, "a").text, "a\n");
        assert_eq!(Answer::new(200, "a\n").text, "a\n");
    }
}
