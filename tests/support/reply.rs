//! HTTP/1.1 as a test speaks it, by hand: what a client library would put right is what tests are about.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

/// An answer, as far as it came.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status; 0 where the connection was closed without any.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body, without the chunks' framing.
    pub body: String,
    /// Whether all of it came.
    pub whole: bool,
}

/// A connection.
#[derive(Debug)]
pub struct Begun {
    stream: TcpStream,
    seen: Vec<u8>,
}

// === impl Begun ===

impl Begun {
    /// Speaks over a connection that is there.
    pub(crate) fn over(stream: TcpStream) -> Self {
        Self {
            stream,
            seen: Vec::new(),
        }
    }

    /// Sends bytes. That the other side has closed already shows in the answer.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Reads until this has come: the guest is at work.
    ///
    /// # Panics
    /// When the answer ends without it.
    #[must_use]
    pub fn until(mut self, text: &str) -> Self {
        let mut piece = [0; 4096];
        while !String::from_utf8_lossy(&self.seen).contains(text) {
            let length = self.stream.read(&mut piece).unwrap_or(0);
            assert!(length > 0, "no {text:?} in {:?}", Reply::parse(&self.seen));
            self.seen.extend(piece.iter().take(length));
        }
        self
    }

    /// Sends nothing more, and reads nothing.
    pub fn leave(self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Reads until the answer is whole by what its head says; some servers leave it to the client to close the connection.
    #[must_use]
    pub fn whole(mut self) -> Reply {
        let mut piece = vec![0; 1 << 16];
        loop {
            let length = self.stream.read(&mut piece).unwrap_or(0);
            self.seen.extend(piece.iter().take(length));
            let reply = Reply::parse(&self.seen);
            if reply.whole || length == 0 {
                return reply;
            }
        }
    }

    /// Reads until the other side closes the connection.
    #[must_use]
    pub fn finish(mut self) -> Reply {
        // A reset ends an answer as well.
        let _ = self.stream.read_to_end(&mut self.seen);
        Reply::parse(&self.seen)
    }
}

// === impl Reply ===

impl Reply {
    /// A header's value; empty where there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let mut headers = self.headers.iter();
        headers
            .find_map(|(own, value)| (own == name).then_some(value.as_str()))
            .unwrap_or_default()
    }

    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, rest) = text.split_once("\r\n\r\n").unwrap_or_default();
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let status = status.and_then(|word| word.parse().ok()).unwrap_or(0);
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_lowercase(), value.trim().to_owned()))
        };
        let mut reply = Self {
            status,
            headers: lines.filter_map(header).collect(),
            body: String::new(),
            whole: false,
        };
        if reply.header("transfer-encoding") == "chunked" {
            (reply.body, reply.whole) = unchunked(rest);
        } else {
            let length = reply.header("content-length").parse().unwrap_or(0);
            reply.whole = status != 0 && rest.len() == length;
            rest.clone_into(&mut reply.body);
        }
        reply
    }
}

/// The bytes of all chunks, and whether the last one came.
fn unchunked(mut rest: &str) -> (String, bool) {
    let mut body = String::new();
    while let Some((length, more)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap_or(usize::MAX);
        if length == 0 {
            return (body, true);
        }
        let Some(piece) = more.get(..length) else {
            body.push_str(more);
            break;
        };
        body.push_str(piece);
        rest = more.get(length + 2..).unwrap_or_default();
    }
    (body, false)
}
