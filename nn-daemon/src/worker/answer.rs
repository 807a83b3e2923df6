//! What a worker's frames mean once it serves.

use std::sync::Arc;
use std::time::Duration;

use nn_tensor::{ArenaId, Code, Descriptor, Fault, Reason, SegmentId, SlotRef};
use nn_worker_wire as wire;

use super::start::Booted;
use super::{InFlight, Worker, micros, verify};
use crate::limits::Limits;
use crate::queue::{Job, Ran, Reply};
use crate::telemetry::{Limiter, log_id};
use tokio::time::Instant;

/// A frame that a serving worker must not send; the reader ends the worker for it.
#[derive(Debug)]
pub(crate) struct Violation(pub(crate) String);

impl Worker {
    /// Acts on one frame.
    pub(crate) async fn answer(self: &Arc<Self>, frame: wire::FromWorker) -> Result<(), Violation> {
        match frame {
            wire::FromWorker::Attached { arena, segment } => self.attached(arena, segment),
            wire::FromWorker::Grow { arena, bytes_min } => self.grow(arena, bytes_min).await,
            wire::FromWorker::Trimmed { segments } => self.trimmed(&segments),
            wire::FromWorker::Alive if self.state().alive() => Ok(()),
            wire::FromWorker::Alive => {
                Err(Violation("it was not asked whether it is there".into()))
            }
            wire::FromWorker::Done {
                job,
                result,
                run_us,
            } => self.done(job, result, run_us),
            wire::FromWorker::Endpoints { states } => match &self.endpoints {
                Some(endpoints) => endpoints
                    .hear(self.id, &states)
                    .map_err(|why| Violation(why.into())),
                None => Err(Violation("it spoke of endpoints and is no relay".into())),
            },
            wire::FromWorker::Ready { .. }
            | wire::FromWorker::Loaded { .. }
            | wire::FromWorker::Prepared { .. }
            | wire::FromWorker::Canary { .. } => {
                Err(Violation("it spoke of its start again".into()))
            }
        }
    }

    /// A segment is mapped. An output segment is now sealed and goes to its session.
    fn attached(&self, arena: u64, segment: u32) -> Result<(), Violation> {
        let (arena, segment) = (ArenaId(arena), SegmentId(segment));
        let mut state = self.state();
        if !state.attaching.remove(&(arena, segment)) {
            return Err(Violation("it mapped a segment that it was not sent".into()));
        }
        let Some(used) = state.sessions.values().find(|used| used.out.id() == arena) else {
            // An input arena, or a session that has gone meanwhile.
            return Ok(());
        };
        let piece = used.out.piece(segment);
        let piece =
            piece.ok_or_else(|| Violation("it mapped a segment that is not there".into()))?;
        piece
            .seal()
            .map_err(|error| Violation(format!("its segment cannot be sealed: {error}")))?;
        Self::grant(&used.session, &piece);
        Ok(())
    }

    /// More room for outputs, within the tenant's budget.
    async fn grow(&self, arena: u64, bytes_min: u64) -> Result<(), Violation> {
        let piece = {
            let mut state = self.state();
            let of = |used: &&super::Use| used.out.id().0 == arena && used.jobs > 0;
            let out = state.sessions.values().find(of).map(|used| &used.out);
            let out = out.ok_or_else(|| {
                Violation("it wants to grow an arena without a job that needs it".into())
            })?;
            let bytes_max = self.limits.tensor_bytes_max;
            let piece = if bytes_min > bytes_max {
                Err(Fault::too_large("an output beyond limits.tensor_bytes_max"))
            } else {
                out.grow(bytes_min.max(self.limits.segment_bytes))
            };
            if let Ok(piece) = &piece {
                let (piece, bytes) = piece.sized();
                state.attached.insert(piece, bytes);
            }
            piece
        };
        match piece {
            Ok(piece) => self.attach(&piece, wire::Role::Output).await,
            Err(fault) => {
                tracing::debug!(worker = self.id, "an output arena cannot grow: {fault}");
                let too_large = fault.code == Code::TooLarge;
                self.send(&wire::ToWorker::Refuse { arena, too_large })
                    .await;
            }
        }
        Ok(())
    }

    /// Output segments are unmapped: their memory goes back to the tenant's budget, and the client may
    /// unmap them as well.
    fn trimmed(&self, segments: &[(u64, u32)]) -> Result<(), Violation> {
        let mut state = self.state();
        for &(arena, segment) in segments {
            let (arena, segment) = (ArenaId(arena), SegmentId(segment));
            let Some(used) = state.sessions.values().find(|used| used.out.id() == arena) else {
                continue;
            };
            if used.out.remove(segment).is_none() {
                return Err(Violation("it gave back a segment that it has not".into()));
            }
            used.session.revoke_segment(arena, segment);
            state.attached.remove(&(arena, segment));
        }
        Ok(())
    }

    /// Takes a job out that has ended, and its session's count back; says for how long it was the first, if it was: for so
    /// long others had to wait, by our own clock and not by what the worker says.
    fn take_out(&self, number: u64) -> Result<(InFlight, Option<Duration>), Violation> {
        let mut state = self.state();
        let was_head = state.jobs.keys().min() == Some(&number);
        let in_flight = state.jobs.remove(&number);
        let in_flight =
            in_flight.ok_or_else(|| Violation("it answered a job that it has not".into()))?;
        let since = match self.is_relay() {
            true => Some(in_flight.started),
            false => state.head_since.filter(|_| was_head),
        };
        // A job that is answered out of its turn gives the one that runs no more time.
        if was_head {
            state.head_since = (!state.jobs.is_empty()).then(Instant::now);
        }
        let session = in_flight.job.session.id;
        if let Some(used) = state.sessions.get_mut(&session) {
            used.jobs = used.jobs.saturating_sub(1);
        }
        self.detach_if_done(&mut state, session);
        Ok((in_flight, since.map(|since| since.elapsed())))
    }

    /// A job has ended: its turn, its window place, its input segments and its session's count are given back.
    fn done(
        &self,
        number: u64,
        result: Result<Vec<wire::Tensor>, wire::Failure>,
        run_us: u64,
    ) -> Result<(), Violation> {
        let (mut in_flight, ran) = self.take_out(number)?;
        if let (Some(turn), Some(ran)) = (in_flight.job.turn.take(), ran) {
            let is_whole = result.is_ok();
            turn.end(if is_whole {
                Ran::Whole(ran)
            } else {
                Ran::InPart(ran)
            });
        }
        if result.as_ref().is_err_and(|failure| failure.interrupted)
            && in_flight.interrupted.is_some()
        {
            self.ends.stops.count(&in_flight);
        }
        let (job, out, started) = (in_flight.job, in_flight.out, in_flight.started);
        let result = match result {
            Ok(outputs) => match verify::outputs(&self.signature, outputs, &out) {
                Ok(outputs) => Ok(outputs),
                Err(fault) => {
                    let why = fault.to_string();
                    job.refuse(
                        Fault::of(Reason::WorkerForbidden)
                            .message("the model's worker answered nonsense and was killed"),
                    );
                    return Err(Violation(why));
                }
            },
            Err(failure) => {
                self.ends.count_failure(&failure);
                let fault = explain(failure, self.id);
                Err(in_time(fault, &job, run_us, &self.limits))
            }
        };
        let queue_us = micros(started.saturating_duration_since(job.enqueued));
        tracing::trace!(parent: &job.span, worker = self.id, job = number, queue_us, run_us, "done");
        let slots: Vec<SlotRef> = result.iter().flatten().map(Descriptor::slot).collect();
        // Each has been found where it lies (`verify.rs`).
        let pieces = slots.iter().filter_map(|&slot| out.locate(slot).ok());
        let pieces = pieces.collect();
        let session = job.session.id;
        if let Some(used) = self.state().sessions.get_mut(&session) {
            used.delivered.extend(&slots);
        }
        let unlike = |outputs: &Vec<Descriptor>| verify::unlike(job.told.as_ref()?, outputs);
        let unlike = result.as_ref().ok().and_then(unlike);
        let is_unlike = unlike.is_some();
        let reply = unlike.map_or(result, Err).map(|outputs| Reply {
            outputs,
            pieces,
            queue_us,
            run_us,
        });
        if job.reply.send(reply).is_err() || is_unlike {
            self.release(session, &slots);
        }
        Ok(())
    }
}

/// Where the time of a job went that had not enough of it, and how much memory there was for one that needed more.
fn in_time(fault: Fault, job: &Job, run_us: u64, limits: &Limits) -> Fault {
    match fault.reason {
        Some(Reason::DeadlineQueued) => job.times().waited(),
        Some(Reason::DeadlineRunning) => job.times().ran(Duration::from_micros(run_us)),
        Some(Reason::RunMemory) => within_budget(fault, limits),
        _ => fault,
    }
}

fn within_budget(fault: Fault, limits: &Limits) -> Fault {
    let max = limits.worker_memory_bytes;
    fault.expected(format!("at most {max} bytes besides four times the model"))
}

/// As [`explain`] does, of a model that was not loaded.
pub(crate) fn explain_load(failure: wire::Failure, worker: &Booted, limits: &Limits) -> Fault {
    let fault = explain(failure, worker.id);
    match fault.reason {
        Some(Reason::RunMemory) => {
            let row = Reason::LoadMemory.row();
            let fault = Fault {
                hint: String::new(),
                ..fault
            };
            within_budget(fault.because(Reason::LoadMemory).message(row.what), limits)
        }
        Some(Reason::OperatorUnsupported) if fault.expected.is_empty() => {
            let runtime: String = worker.runtime.chars().take(64).collect();
            fault.expected(format!("operators that {} has", runtime.escape_debug()))
        }
        _ => fault,
    }
}

/// The client's part of a failure, with an id that finds the framework's own words in the log.
pub(crate) fn explain(failure: wire::Failure, worker: u32) -> Fault {
    static LINES: Limiter = Limiter::new();
    // What a framework says of an end that it was told to make is no news.
    let is_news = !failure.interrupted;
    let (fault, detail) = failure.split();
    if detail.is_empty() || !is_news {
        return fault;
    }
    let log_id = log_id();
    if LINES.allows() {
        tracing::info!(log_id, worker, code = %fault.code, detail = %detail.escape_debug(), "{}", fault.message.escape_debug());
    }
    fault.log_id(log_id)
}
