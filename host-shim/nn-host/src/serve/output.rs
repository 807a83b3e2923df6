//! A guest's stdout and stderr, as lines of the log: escaped, cut, and so many a second. Nothing of it
//! reaches this process's own stdout or stderr as it is.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::telemetry::{Limiter, printable};

/// A longer line is cut in pieces.
const LINE_BYTES_MAX: usize = 1024;

/// What one request may say by one of the two streams; the rest is dropped.
const SAID_BYTES_MAX: usize = 16 << 10;

/// What is taken from a guest by one call.
const WRITE_BYTES_MAX: usize = 64 << 10;

static LINES: Limiter = Limiter::new(100);

/// One of the two streams of one request.
#[derive(Clone, Debug)]
pub(super) struct Said(Arc<Mutex<Lines>>);

#[derive(Debug)]
struct Lines {
    request: String,
    stream: &'static str,
    open: Vec<u8>,
    bytes: usize,
}

// === impl Said ===

impl Said {
    pub(super) fn new(request: &str, stream: &'static str) -> Self {
        Self(Arc::new(Mutex::new(Lines {
            request: request.to_owned(),
            stream,
            open: Vec::new(),
            bytes: 0,
        })))
    }

    fn take(&self, bytes: &[u8]) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.take(bytes);
    }
}

impl IsTerminal for Said {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Said {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Said {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

#[async_trait]
impl Pollable for Said {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Said {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

// === impl Lines ===

impl Lines {
    fn take(&mut self, bytes: &[u8]) {
        let room = SAID_BYTES_MAX.saturating_sub(self.bytes);
        let cut = bytes.len() > room;
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.bytes = self.bytes.saturating_add(taken.len());
        for &byte in taken {
            if byte == b'\n' {
                self.end();
            } else {
                self.open.push(byte);
                if self.open.len() >= LINE_BYTES_MAX {
                    self.end();
                }
            }
        }
        if cut && room > 0 {
            self.end();
            self.write("… (this request has said enough)");
        }
    }

    /// Writes the line that is open.
    fn end(&mut self) {
        let line = std::mem::take(&mut self.open);
        if !line.is_empty() {
            let line = String::from_utf8_lossy(&line);
            self.write(line.trim_end_matches('\r'));
        }
    }

    fn write(&self, line: &str) {
        let Some(dropped) = LINES.pass() else { return };
        if dropped > 0 {
            tracing::info!("{dropped} lines of guests were dropped");
        }
        let (request, stream) = (&self.request, self.stream);
        tracing::info!(%request, "guest's {stream}: {}", printable(line));
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_one_line_is_kept_in_pieces_and_then_not_at_all() {
        let said = Said::new("r", "stdout");
        (0..100).for_each(|_| said.take(&[b'x'; 1000]));
        let lines = said.0.lock().unwrap();
        assert_eq!(lines.bytes, SAID_BYTES_MAX);
        assert!(lines.open.len() < LINE_BYTES_MAX);
    }
}
