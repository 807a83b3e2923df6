//! One compute: a message out, its answer awaited, a cancel if nobody waits any more.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nn_proto::v1;
use nn_proto::v1::infer_request::Body;
use nn_tensor::{Fault, Reason, Trace};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;

use super::Session;
use super::replies::InFlight;
use crate::arena::InSlot;
use crate::fault;
use crate::sync::lock;

/// The daemon answers a deadline that passed; if it does not, this client does so much later.
const GRACE: Duration = Duration::from_secs(1);

/// Sends a cancel when dropped, unless the answer has come.
struct CancelOnDrop {
    session: Arc<Session>,
    request_id: u64,
    armed: bool,
}

impl Session {
    /// Runs a graph over tensors that lie in `inputs`. The slots are the job's until its answer comes,
    /// also when this future is dropped before. A fault of code `leaving` says that nothing has begun.
    pub(crate) async fn compute(
        self: &Arc<Self>,
        graph_id: u64,
        tensors: Vec<v1::Tensor>,
        inputs: Vec<InSlot>,
        (timeout, trace): (Option<Duration>, Option<&Trace>),
    ) -> Result<Vec<super::OutTensor>, Fault> {
        let timeout_max = self.limits.timeout_max;
        let limit = timeout.map_or(timeout_max, |timeout| timeout.min(timeout_max));
        let request_id = self.request_ids.fetch_add(1, Ordering::Relaxed);
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        if self.is_over() {
            return Err(fault::not_begun());
        }
        let permit = permit.map_err(|_| {
            Fault::of(Reason::InFlightFull)
                .message("too many computes are in flight")
                .expected(format!("at most {}", self.limits.in_flight_max))
                .hint("try again when one has been answered")
        })?;
        let (answer, answered) = oneshot::channel();
        let job = InFlight::new(answer, inputs, permit, self);
        let compute = v1::Compute {
            graph_id,
            inputs: tensors,
            // 0 would mean the longest allowed.
            timeout_us: u64::try_from(limit.as_micros()).unwrap_or(u64::MAX).max(1),
            trace: trace.map_or_else(String::new, Trace::to_string),
        };
        self.submit(request_id, job, Body::Compute(compute))?;

        let mut cancel = CancelOnDrop {
            session: Arc::clone(self),
            request_id,
            armed: true,
        };
        let late = || timed_out(limit);
        match tokio::time::timeout(limit.saturating_add(GRACE), answered).await {
            Ok(answer) => {
                cancel.armed = false;
                answer.unwrap_or_else(|_| Err(fault::lost()))
            }
            Err(_) => Err(late()),
        }
    }

    /// Enters the job into the table and queues its message, both or neither.
    fn submit(&self, request_id: u64, job: InFlight, body: Body) -> Result<(), Fault> {
        let message = self.message(request_id, body);
        let refused = {
            let mut in_flight = lock(&self.in_flight);
            if self.is_over() {
                return Err(fault::not_begun());
            }
            match self.requests.try_send(message) {
                Ok(()) => {
                    in_flight.insert(request_id, job);
                    return Ok(());
                }
                Err(refused) => refused,
            }
        };
        match refused {
            TrySendError::Full(_) => Err(Fault::of(Reason::Congested)),
            TrySendError::Closed(_) => Err(fault::not_begun()),
        }
    }

    /// Notes that a job's message is about to leave; false if there is no such job any more.
    pub(super) fn mark_sent(&self, request_id: u64) -> bool {
        let mut in_flight = lock(&self.in_flight);
        let job = in_flight.get_mut(&request_id);
        job.map(|job| job.is_sent = true).is_some()
    }

    fn message(&self, request_id: u64, body: Body) -> v1::InferRequest {
        v1::InferRequest {
            session_id: Some(self.id),
            request_id,
            body: Some(body),
        }
    }

    fn cancel(&self, request_id: u64) {
        self.post(request_id, Body::Cancel(v1::Cancel {}));
    }

    /// Queues a message that has no answer of its own.
    pub(super) fn post(&self, request_id: u64, body: Body) {
        let message = self.message(request_id, body);
        match self.requests.try_send(message) {
            Ok(()) | Err(TrySendError::Closed(_)) => {}
            Err(TrySendError::Full(message)) => {
                // A queue with room for all in flight is full only while the daemon does not read. The
                // task ends with the queue at the latest; there is one at most for each in flight and each graph.
                let requests = self.requests.clone();
                if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                    runtime.spawn(async move { drop(requests.send(message).await) });
                }
            }
        }
    }
}

fn timed_out(limit: Duration) -> Fault {
    Fault::of(Reason::DeadlineUnanswered)
        .expected(format!("an answer within {} ms", limit.as_millis()))
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if self.armed {
            self.session.cancel(self.request_id);
        }
    }
}
