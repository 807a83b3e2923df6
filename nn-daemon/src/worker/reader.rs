//! The task that listens to one worker, and settles everything when it ends.

use std::sync::Arc;

use nn_tensor::Fault;
use nn_worker_wire as wire;

use super::ending::Ending;
use super::exit::Report;
use super::{Cause, Order, Worker};
use crate::queue::Ran;

/// Listens until the worker ends, then answers every job it had.
pub(crate) async fn listen(worker: Arc<Worker>, mut ending: Ending) {
    if frames(&worker).await {
        worker.kill(Order::Violation);
    }
    let report = ending.learn().await;
    let cause = worker.judge(report);
    if !matches!(report, Report::Ended(_)) {
        // It lives on, or may: it is of no use any more.
        worker.kill(Order::Closed);
    }
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

/// Answers every job by the cause, revokes the output arenas, and lets everybody know. Of a worker that was killed for a
/// compute that would not end, those behind it go to the next one: a worker runs them in order, so they have not begun.
fn settle(worker: &Arc<Worker>, cause: Cause) {
    // Before the places of its jobs are free: nobody may get one here any more.
    worker.window.close();
    let (jobs, sessions, head_since) = {
        let mut state = worker.state();
        state.dead = true;
        (
            std::mem::take(&mut state.jobs),
            std::mem::take(&mut state.sessions),
            state.head_since.take(),
        )
    };
    let mut jobs: Vec<_> = jobs.into_iter().collect();
    jobs.sort_unstable_by_key(|(number, _)| *number);
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
    for (place, (_, mut in_flight)) in jobs.into_iter().enumerate() {
        // It was the first one's turn, however it ended.
        let since = match worker.is_relay() {
            true => Some(in_flight.started),
            false => head_since.filter(|_| place == 0),
        };
        if let Some(since) = since
            && let Some(turn) = in_flight.job.turn.take()
        {
            turn.end(Ran::InPart(since.elapsed()));
        }
        let has_begun = place == 0 || worker.is_relay() || cause != Cause::Timeout;
        if has_begun {
            in_flight.job.refuse(fault.clone());
        } else {
            in_flight.job.again();
        }
    }
    for (_, used) in sessions {
        used.session.revoke(used.out.id());
    }
    if let Some(endpoints) = &worker.endpoints {
        endpoints.forget(worker.id);
    }
    worker.gone.send_replace(Some(cause));
}
