//! A worker's stderr: capped, escaped, tagged. It comes from a process that is assumed hostile.

use std::os::fd::OwnedFd;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use crate::telemetry::Limiter;

/// The longest line that is logged, in bytes; the rest of a longer one follows as the next.
const LINE_BYTES_MAX: usize = 512;

/// How long a worker that floods its log is not listened to.
const FLOOD_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// Logs what comes through the pipe until its other end is closed.
pub(crate) fn follow(worker: u32, pipe: OwnedFd) -> std::io::Result<()> {
    let pipe = pipe::Receiver::from_owned_fd(pipe)?;
    tokio::spawn(lines(worker, pipe));
    Ok(())
}

async fn lines(worker: u32, mut pipe: pipe::Receiver) {
    let limiter = Limiter::new();
    let mut chunk = [0; 4096];
    let mut line = Vec::with_capacity(LINE_BYTES_MAX);
    while let Ok(len @ 1..) = pipe.read(&mut chunk).await {
        let mut dropped = 0_u32;
        for &byte in chunk.iter().take(len) {
            if byte != b'\n' {
                line.push(byte);
            }
            if line.is_empty() || (byte != b'\n' && line.len() < LINE_BYTES_MAX) {
                continue;
            }
            if limiter.allows() {
                tracing::info!(
                    worker,
                    "worker: {}",
                    String::from_utf8_lossy(&line).escape_debug()
                );
            } else {
                dropped = dropped.saturating_add(1);
            }
            line.clear();
        }
        if dropped > 0 {
            // The pipe fills up meanwhile, and the flood waits in the worker.
            tokio::time::sleep(FLOOD_PAUSE).await;
        }
    }
    if !line.is_empty() && limiter.allows() {
        tracing::info!(
            worker,
            "worker: {}",
            String::from_utf8_lossy(&line).escape_debug()
        );
    }
}
