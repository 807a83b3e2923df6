//! The task that listens to one worker, and settles everything when it ends.

use std::sync::Arc;
use std::time::Duration;

use nn_tensor::Fault;
use nn_worker_wire as wire;
use tokio::sync::oneshot;

use super::{Cause, Worker};

/// How long the spawner may take to say how a worker ended, once its socket has.
const EXIT_TIMEOUT: Duration = Duration::from_secs(2);

/// Listens until the worker ends, then answers every job it had.
pub(crate) async fn listen(worker: Arc<Worker>, exit: oneshot::Receiver<wire::End>) {
    let violated = frames(&worker).await;
    if violated {
        worker.kill("it broke the protocol");
    }
    let end = match tokio::time::timeout(EXIT_TIMEOUT, exit).await {
        Ok(Ok(end)) => Cause::of(end),
        Ok(Err(_)) => Cause::Unknown,
        Err(_) => {
            // It has closed its socket and lives on: it is of no use any more.
            worker.kill("it closed its socket");
            Cause::Unknown
        }
    };
    let cause = match end {
        _ if violated => Cause::Protocol,
        Cause::Killed if worker.was_stopped() => Cause::Timeout,
        end => end,
    };
    settle(&worker, cause);
}

/// Acts on frames until the socket ends; says whether that was for a violation.
async fn frames(worker: &Arc<Worker>) -> bool {
    let mut buffer = vec![0; wire::FRAME_BYTES_MAX];
    loop {
        let packet = match worker.recv(&mut buffer).await {
            Ok(packet) if packet.len == 0 => return false,
            Ok(packet) => packet,
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                tracing::warn!(worker = worker.id, "a worker sent {error}");
                return true;
            }
            Err(_) => return false,
        };
        let bytes = buffer.get(..packet.len).unwrap_or_default();
        let frame = match wire::decode(bytes) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::warn!(worker = worker.id, "a worker sent {error}");
                return true;
            }
        };
        if let Err(violation) = worker.answer(frame).await {
            tracing::warn!(
                worker = worker.id,
                "a worker broke the protocol: {}",
                violation.0
            );
            return true;
        }
    }
}

/// Answers every job by the cause, revokes the output arenas, and lets everybody know.
fn settle(worker: &Arc<Worker>, cause: Cause) {
    let (jobs, sessions) = {
        let mut state = worker.state();
        state.dead = true;
        (
            std::mem::take(&mut state.jobs),
            std::mem::take(&mut state.sessions),
        )
    };
    // Who was not asked to leave leaves nothing behind.
    let cause = if cause == Cause::Clean && !jobs.is_empty() {
        Cause::Status(0)
    } else {
        cause
    };
    if cause == Cause::Clean {
        tracing::debug!(worker = worker.id, pid = worker.pid, "a worker left");
    } else {
        let lost = jobs.len();
        tracing::warn!(
            worker = worker.id,
            pid = worker.pid,
            lost,
            "a worker {cause}"
        );
    }
    worker.ends.count(&cause);
    let fault: Fault = cause.fault();
    for (_, in_flight) in jobs {
        in_flight.job.refuse(fault.clone());
    }
    for (_, used) in sessions {
        used.session.revoke(used.out.id());
    }
    worker.window.close();
    worker.gone.send_replace(Some(cause));
}
