//! The straight path of one inference: admit → resolve → validate → enqueue → await → reply.

pub(crate) mod validate;

use std::sync::{Arc, Weak};
use std::time::Duration;

use nn_patience::{Over, Ticks, timeout};
use nn_tensor::{Code, Descriptor, Fault};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::limits::{Limits, SEAL_TIMEOUT};
use crate::queue::{Control, Job, Reply, Wanted};
use crate::session::Session;
use crate::shutdown::{cut_off, leaving};
use crate::worker::{Order, Worker};

/// How often a job past its deadline is looked at.
const TICK: Duration = Duration::from_millis(20);

/// How long a killed worker's jobs may take to be answered.
const KILL_TIMEOUT: Duration = Duration::from_secs(2);

/// One compute as its client asked for it.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) id: u64,
    pub(crate) graph: u64,
    pub(crate) inputs: Vec<Descriptor>,
    /// `None` for the longest allowed.
    pub(crate) timeout: Option<Duration>,
}

/// The answer to a compute whose deadline has passed.
pub(crate) fn timed_out() -> Fault {
    Fault::new(
        Code::Timeout,
        "the deadline passed before the compute was done",
    )
    .hint("allow more time, send smaller inputs, or look at the queue with `nnctl status`")
}

/// The answer to a compute that its client wants no more, if it still listens.
fn cancelled() -> Fault {
    Fault::new(Code::Timeout, "the compute was cancelled by its client")
}

/// Runs one compute, which the session has admitted, to its end. What comes back is the only answer,
/// and when it has come nothing reads the inputs any more.
pub(crate) async fn run(
    session: &Arc<Session>,
    request: Request,
    control: &Arc<Control>,
    limits: &Limits,
) -> Result<Reply, Fault> {
    let enqueued = Instant::now();
    let graph = session.graph(request.graph)?;
    let wait_max = graph.model.compute_max(limits);
    let wait = request
        .timeout
        .map_or(wait_max, |asked| asked.min(wait_max));
    let deadline = enqueued + wait;
    let signature = graph.model.signature()?;
    let (inputs, pieces) = validate::inputs(&signature, &request.inputs, &graph.arena, limits)?;
    for piece in &pieces {
        piece.sealed(SEAL_TIMEOUT).await?;
    }
    let (reply, answer) = oneshot::channel();
    let model = Arc::clone(&graph.model);
    let span = tracing::debug_span!("compute", model = %model.id(), request = request.id, tenant = %session.tenant);
    model.queue.call(Job {
        session: Arc::clone(session),
        graph,
        inputs,
        pieces,
        deadline,
        control: Arc::clone(control),
        reply,
        enqueued,
        share: None,
        span,
    })?;
    let result = outcome(answer, control, deadline, limits).await;
    model.count(result.is_ok());
    if result.is_ok() {
        model.latencies.add(enqueued.elapsed());
    }
    result
}

/// Nobody answered.
fn lost(_: oneshot::error::RecvError) -> Result<Reply, Fault> {
    Err(Fault::runtime("the compute was dropped")
        .hint("the model was unloaded or the daemon is ending"))
}

/// Waits for the worker's answer; past the deadline, or once it is to be stopped, sees to it that there is one.
async fn outcome(
    mut answer: oneshot::Receiver<Result<Reply, Fault>>,
    control: &Control,
    deadline: Instant,
    limits: &Limits,
) -> Result<Reply, Fault> {
    let wanted = tokio::select! {
        biased;
        result = &mut answer => return result.unwrap_or_else(lost),
        () = tokio::time::sleep_until(deadline) => Wanted::Yes,
        wanted = control.stopped() => wanted,
    };
    let Some((worker, job)) = control.give_up() else {
        return Err(match wanted {
            Wanted::Yes => timed_out(),
            Wanted::Cancelled => cancelled(),
            Wanted::CutOff => leaving(),
        });
    };
    // Its client's deadline is no concern of a daemon that has reached its own.
    let end = match wanted {
        Wanted::CutOff => Instant::now(),
        Wanted::Yes | Wanted::Cancelled => deadline,
    };
    let result = stop((worker, job), answer, control, end, limits).await;
    // That it was stopped says the worker; why it was, is known here alone.
    result.map_err(|fault| match wanted {
        Wanted::CutOff => cut_off(),
        Wanted::Cancelled if fault.code == Code::Timeout => cancelled(),
        Wanted::Yes if fault.code == Code::Timeout && fault.hint.is_empty() => timed_out(),
        Wanted::Yes | Wanted::Cancelled => fault,
    })
}

/// Has a worker stop a job, and kills it if it does not within a grace past the deadline. One that its client has
/// cancelled may take until its deadline, as if it had not been: who cancels can end nobody else's jobs by that. Unless
/// the daemon cannot wait for it.
async fn stop(
    (worker, job): (Weak<Worker>, u64),
    mut answer: oneshot::Receiver<Result<Reply, Fault>>,
    control: &Control,
    mut end: Instant,
    limits: &Limits,
) -> Result<Reply, Fault> {
    let Some(worker) = worker.upgrade() else {
        return answer.await.unwrap_or_else(lost);
    };
    worker.interrupt(job);
    // A worker runs its jobs in order. One that waits behind another's run is answered when its turn
    // comes; only the one that overstays itself is worth a kill. Each in front has a deadline of its own,
    // so this ends.
    let grace = limits.compute_grace().max(TICK);
    let mut ticks = Ticks::new(TICK);
    loop {
        let counts = tokio::select! {
            biased;
            result = &mut answer => return result.unwrap_or_else(lost),
            counts = ticks.next() => counts,
        };
        if control.is_cut_off() {
            end = end.min(Instant::now());
        }
        // Behind a tick that does not count its answer may lie, come while this process was stopped.
        if counts && worker.overstays(job, end, grace) {
            break;
        }
    }
    worker.kill(Order::Overstayed);
    match timeout(KILL_TIMEOUT, answer).await {
        Ok(Ok(Ok(reply))) => Ok(reply),
        Ok(_) | Err(Over) => Err(timed_out().hint("the worker was killed and is being restarted")),
    }
}
