//! A worker's stderr: capped, escaped, tagged; into the daemon's log, and into the tail of the worker's model. It comes
//! from a process that is assumed hostile.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use super::tail::{Tail, plain};
use crate::telemetry::Limiter;

/// The longest line that is logged, in bytes; the rest of a longer one follows as the next.
const LINE_BYTES_MAX: usize = 512;

/// How long a worker that floods its log is not listened to.
const FLOOD_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// Where the lines of one worker go.
struct Log {
    worker: u32,
    /// Of its model; `None` for a worker without one.
    tail: Option<Arc<Tail>>,
    limiter: Limiter,
}

/// Logs what comes through the pipe until its other end is closed.
pub(crate) fn follow(worker: u32, pipe: OwnedFd, tail: Option<Arc<Tail>>) -> std::io::Result<()> {
    let pipe = pipe::Receiver::from_owned_fd(pipe)?;
    let log = Log {
        worker,
        tail,
        limiter: Limiter::new(),
    };
    tokio::spawn(log.lines(pipe));
    Ok(())
}

impl Log {
    async fn lines(self, mut pipe: pipe::Receiver) {
        let mut chunk = [0; 4096];
        let mut line = Vec::with_capacity(LINE_BYTES_MAX);
        while let Ok(len @ 1..) = pipe.read(&mut chunk).await {
            let mut is_flood = false;
            for &byte in chunk.iter().take(len) {
                if byte != b'\n' {
                    line.push(byte);
                }
                if line.is_empty() || (byte != b'\n' && line.len() < LINE_BYTES_MAX) {
                    continue;
                }
                is_flood |= !self.tell(&line);
                line.clear();
            }
            if is_flood {
                // The pipe fills up meanwhile, and the flood waits in the worker.
                tokio::time::sleep(FLOOD_PAUSE).await;
            }
        }
        if !line.is_empty() {
            self.tell(&line);
        }
    }

    /// Keeps a line, and logs it unless there were too many; says whether it did.
    fn tell(&self, line: &[u8]) -> bool {
        let (worker, text) = (self.worker, plain(line));
        if let Some(tail) = &self.tail {
            tail.add(worker, &text);
        }
        let allowed = self.limiter.allows();
        if allowed {
            tracing::info!(worker, "worker: {text}");
        }
        allowed
    }
}
