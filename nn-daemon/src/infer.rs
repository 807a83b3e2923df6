//! The straight path of one inference: admit → resolve → validate → enqueue → await → reply.

mod times;
pub(crate) mod validate;

use std::sync::{Arc, Weak};
use std::time::Duration;

use nn_patience::{Over, Ticks, timeout};
use nn_tensor::{Code, Descriptor, Fault, Reason, Signature, Trace};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::Span;

use crate::arena::Piece;
use crate::limits::{Limits, SEAL_TIMEOUT};
use crate::model::Model;
use crate::queue::{Control, Job, Reply, Wanted};
use crate::session::{Graph, Session};
use crate::shutdown::{cut_off, leaving};
use crate::worker::{Order, Worker};

pub(crate) use times::Times;

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
    /// What the client's log knows it by.
    pub(crate) trace: Option<Trace>,
}

/// The answer to a compute that its client wants no more, if it still listens.
fn cancelled() -> Fault {
    Fault::of(Reason::Cancelled)
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
    let graph = session.graph(request.graph);
    let graph = graph.inspect_err(|fault| session.refused(fault))?;
    let model = Arc::clone(&graph.model);
    let result = computed(session, (graph, enqueued), request, control, limits).await;
    let took = enqueued.elapsed();
    if result.is_ok() {
        model.latencies.add(took);
    }
    session.computed(&model, result.as_ref(), took);
    model.totals.computed(result.as_ref(), took);
    result
}

/// One that came then for a graph that is there.
async fn computed(
    session: &Arc<Session>,
    (graph, enqueued): (Arc<Graph>, Instant),
    request: Request,
    control: &Arc<Control>,
    limits: &Limits,
) -> Result<Reply, Fault> {
    let bounds = session.meter.bounds();
    let wait_max = graph.model.compute_max(limits).min(bounds.compute_max());
    let wait = request
        .timeout
        .map_or(wait_max, |asked| asked.min(wait_max));
    let deadline = enqueued + wait;
    let signature = graph.model.signature()?;
    let tensors = request.inputs.len().saturating_add(signature.outputs.len());
    let room = session.meter.hold(tensors)?;
    let (inputs, pieces) = validate::inputs(&signature, &request.inputs, &graph.arena, limits)
        .inspect_err(|_| session.deny_foreign(&request.inputs))?;
    for piece in &pieces {
        piece.sealed(SEAL_TIMEOUT).await?;
    }
    let model = Arc::clone(&graph.model);
    let trace = request.trace.as_ref().map(Trace::as_str);
    let span = tracing::debug_span!("compute", model = %model.id(), request = request.id, tenant = %session.tenant, trace);
    let call = Call {
        session,
        graph,
        inputs,
        pieces,
        times: Times { enqueued, deadline },
        control,
        span: span.clone(),
        limits,
    };
    let side = Arc::clone(model.active());
    let mut result = call.by(&side, None).await;
    if let Err(fault) = &result
        && side.is_remote()
        && model.falls_back(fault)
        && control.anew()
    {
        model.took_over(fault);
        result = call.by(&model, Some(&signature)).await;
    }
    if let Ok(reply) = &mut result {
        reply.in_order_of(&signature);
    }
    match &result {
        Ok(reply) => tracing::debug!(parent: &span, run_us = reply.run_us, "computed"),
        Err(fault) => tracing::debug!(parent: &span, code = %fault.code, "not computed"),
    }
    model.used_now();
    if let Ok(reply) = &result {
        session.keep(&reply.outputs, room);
    }
    result
}

/// A compute whose inputs are where they are to be.
struct Call<'a> {
    session: &'a Arc<Session>,
    graph: Arc<Graph>,
    inputs: Vec<Descriptor>,
    pieces: Vec<Arc<Piece>>,
    times: Times,
    control: &'a Arc<Control>,
    span: Span,
    limits: &'a Limits,
}

impl Call<'_> {
    /// Computed by one side of the model; by the one that takes over as was told of the other.
    async fn by(&self, side: &Arc<Model>, told: Option<&Arc<Signature>>) -> Result<Reply, Fault> {
        let (reply, answer) = oneshot::channel();
        side.touch();
        let number = side.queue.call(Job {
            session: Arc::clone(self.session),
            graph: Arc::clone(&self.graph),
            model: Arc::clone(side),
            told: told.cloned(),
            inputs: self.inputs.clone(),
            pieces: self.pieces.clone(),
            deadline: self.times.deadline,
            control: Arc::clone(self.control),
            reply,
            enqueued: self.times.enqueued,
            number: 0,
            turn: None,
            span: self.span.clone(),
        })?;
        let result = outcome(answer, self.control, self.times, self.limits).await;
        if result.is_err() {
            // One that no worker ever had keeps nobody's place.
            side.queue.forget(&self.session.tenant, number);
        }
        result
    }
}

/// Nobody answered.
fn lost(_: oneshot::error::RecvError) -> Result<Reply, Fault> {
    let fault = Fault::of(Reason::ModelUnloaded).message("the compute was dropped");
    Err(fault.hint("the model was unloaded or the daemon is ending"))
}

/// Waits for the worker's answer; past the deadline, or once it is to be stopped, sees to it that there is one.
async fn outcome(
    mut answer: oneshot::Receiver<Result<Reply, Fault>>,
    control: &Control,
    times: Times,
    limits: &Limits,
) -> Result<Reply, Fault> {
    let wanted = tokio::select! {
        biased;
        result = &mut answer => return result.unwrap_or_else(lost),
        () = tokio::time::sleep_until(times.deadline) => Wanted::Yes,
        wanted = control.stopped() => wanted,
    };
    let Some((worker, job)) = control.give_up() else {
        return Err(match wanted {
            Wanted::Yes => times.waited(),
            Wanted::Cancelled => cancelled(),
            Wanted::CutOff => leaving(),
        });
    };
    // Its client's deadline is no concern of a daemon that has reached its own.
    let end = match wanted {
        Wanted::CutOff => Instant::now(),
        Wanted::Yes | Wanted::Cancelled => times.deadline,
    };
    let result = stop((worker, job), answer, control, end, limits).await;
    // That it was stopped says the worker; why it was, is known here alone.
    result.map_err(|fault| match wanted {
        Wanted::CutOff => cut_off(),
        Wanted::Cancelled if fault.code == Code::Timeout => cancelled(),
        // Nobody has said where the time went.
        Wanted::Yes if fault.code == Code::Timeout && fault.got.is_empty() => Fault {
            hint: fault.hint,
            ..times.overstayed()
        },
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
        Ok(_) | Err(Over) => {
            let hint = "its worker was killed and is being restarted; allow more time, or send smaller inputs";
            Err(Fault::of(Reason::DeadlineRunning).hint(hint))
        }
    }
}
