//! One line of the log for each request, written when all is over, however it ended; and the id that ties
//! a client's answer to the lines about it.

use std::fmt::Write;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use nn_tensor::Tenant;

/// Where an id comes from and goes to.
pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// A client's own id is taken over up to this length.
const ID_CHARS_MAX: usize = 64;

/// How much of a path is shown.
const PATH_CHARS_MAX: usize = 200;

/// How much of a method is shown; it may be any word that the client makes up.
const METHOD_CHARS_MAX: usize = 16;

/// Makes ids that nobody can guess.
#[derive(Debug, Default)]
pub(super) struct Ids {
    next: AtomicU64,
    keys: RandomState,
}

/// What one request came to. Dropped, it is written.
#[derive(Debug)]
pub(super) struct Access {
    id: String,
    method: String,
    path: String,
    tenant: String,
    began: Instant,
    status: Option<StatusCode>,
    bytes: u64,
    whole: bool,
}

// === impl Ids ===

impl Ids {
    /// The client's id if it has a sober one, else a new one.
    pub(super) fn of(&self, headers: &HeaderMap) -> String {
        let given = headers.get(HEADER).and_then(|value| value.to_str().ok());
        if let Some(id) = given.filter(|id| sober(id)) {
            return id.to_owned();
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        format!("{:016x}", self.keys.hash_one(number))
    }
}

fn sober(id: &str) -> bool {
    let letter = |letter: u8| letter.is_ascii_alphanumeric() || b"-_.".contains(&letter);
    (1..=ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(letter)
}

/// A path or a method as it is shown: no control characters, no spaces, not endless.
fn shown(text: &str, chars_max: usize) -> String {
    let mut shown = String::new();
    for (count, letter) in text.chars().enumerate() {
        if count >= chars_max {
            shown.push('…');
            break;
        }
        if letter.is_ascii_graphic() {
            shown.push(letter);
        } else {
            // Writing to a String cannot fail.
            let _ = write!(shown, "{}", letter.escape_unicode());
        }
    }
    shown
}

// === impl Access ===

impl Access {
    pub(super) fn new(id: String, method: &Method, uri: &Uri) -> Self {
        Self {
            id,
            method: shown(method.as_str(), METHOD_CHARS_MAX),
            path: shown(uri.path(), PATH_CHARS_MAX),
            tenant: String::new(),
            began: Instant::now(),
            status: None,
            bytes: 0,
            whole: false,
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The id as a header; it is made of letters that fit into one.
    pub(super) fn header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.id).unwrap_or(HeaderValue::from_static("unknown"))
    }

    /// Whose it is.
    pub(super) fn of(&mut self, tenant: &Tenant) {
        tenant.as_str().clone_into(&mut self.tenant);
    }

    /// The answer begins.
    pub(super) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// So many bytes of it are on their way.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }

    /// All of it is.
    pub(super) fn done(&mut self) {
        self.whole = true;
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        let ms = self.began.elapsed().as_secs_f64() * 1000.0;
        // 499, as many servers have it: nobody was left to be answered.
        let status = self.status.map_or(499, |status| status.as_u16());
        let cut = match self.whole || self.status.is_none() {
            true => "",
            false => " cut",
        };
        tracing::info!(
            request = %self.id,
            tenant = %self.tenant,
            bytes = self.bytes,
            "{} {} {status}{cut} {ms:.1} ms",
            self.method,
            self.path,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(id: &'static str) -> String {
        let headers = HeaderMap::from_iter([(HEADER, HeaderValue::from_static(id))]);
        Ids::default().of(&headers)
    }

    #[test]
    fn a_clients_own_id_is_taken_over_if_it_is_sober() {
        assert_eq!(of("abc-1.2_3"), "abc-1.2_3");
        assert_eq!(of("a b").len(), 16);
        assert_eq!(of("").len(), 16);
    }

    #[test]
    fn no_two_ids_are_alike() {
        let ids = Ids::default();
        let none = HeaderMap::new();
        assert_ne!(ids.of(&none), ids.of(&none));
    }

    #[test]
    fn a_path_cannot_write_into_the_log() {
        let path = |text: &str| shown(text, PATH_CHARS_MAX);
        assert_eq!(path("/a\u{1b}[3\u{e9} b"), "/a\\u{1b}[3\\u{e9}\\u{20}b");
        assert!(path(&"x".repeat(9000)).chars().count() <= PATH_CHARS_MAX + 1);
    }

    #[test]
    fn a_long_method_is_cut() {
        let method = Method::from_bytes(&[b'M'; 30_000]).unwrap();
        let access = Access::new("a".to_owned(), &method, &Uri::from_static("/"));
        assert_eq!(access.method, "MMMMMMMMMMMMMMMM…");
    }
}
