//! A worker's stderr: capped, escaped, tagged. It comes from a process that is assumed hostile.

use std::os::fd::OwnedFd;

use tokio::io::{AsyncReadExt, BufReader};
use tokio::net::unix::pipe;

use crate::telemetry::Limiter;

/// The longest line that is logged, in bytes; the rest of a longer one follows as the next.
const LINE_BYTES_MAX: usize = 512;

/// Logs what comes through the pipe until its other end is closed.
pub(crate) fn follow(worker: u32, pipe: OwnedFd) -> std::io::Result<()> {
    let pipe = BufReader::new(pipe::Receiver::from_owned_fd(pipe)?);
    tokio::spawn(lines(worker, pipe));
    Ok(())
}

async fn lines(worker: u32, mut pipe: BufReader<pipe::Receiver>) {
    let limiter = Limiter::new();
    let mut line = Vec::with_capacity(LINE_BYTES_MAX);
    let mut dropped = 0_u64;
    loop {
        let byte = pipe.read_u8().await;
        let ends = !matches!(byte, Ok(byte) if byte != b'\n');
        if let Ok(byte) = byte
            && byte != b'\n'
        {
            line.push(byte);
        }
        if !line.is_empty() && (ends || line.len() >= LINE_BYTES_MAX) {
            if limiter.allows() {
                let text = String::from_utf8_lossy(&line);
                tracing::info!(worker, dropped, "worker: {}", text.escape_debug());
                dropped = 0;
            } else {
                dropped = dropped.saturating_add(1);
            }
            line.clear();
        }
        if byte.is_err() {
            return;
        }
    }
}
