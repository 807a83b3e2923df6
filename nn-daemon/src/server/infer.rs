//! The Inference service: convert, call, convert.

use std::sync::Arc;
use std::time::Duration;

use nn_proto::v1::{self, infer_request, infer_response, inference_server};
use nn_proto::{PROTOCOL_VERSION, id_from_wire, tensor_from_wire};
use nn_tensor::{
    ArenaId, Fault, ModelRef, NameError, Reason, SegmentId, SlotRef, TENSORS_MAX, Tenant, Trace,
};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::hold::Hold;
use super::patience::{MESSAGE_MAX, unbound};
use super::resolved::resolved;
use super::status::status;
use super::{load, peer};
use crate::context::Context;
use crate::infer;
use crate::peer::Peer;
use crate::queue::Control;
use crate::session::Session;
use crate::shutdown::{leaving, unless_leaving};
use crate::worker::micros;

/// Answers waiting to go out on one stream: every compute in flight, and as many events.
const ANSWERS_MAX: usize = 512;

/// Answers waiting to go out on one LoadGraph stream: it has two.
const LOAD_ANSWERS_MAX: usize = 2;

/// Inference for this daemon's clients.
#[derive(Debug)]
pub(crate) struct Service {
    context: Arc<Context>,
}

impl Service {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }

    /// The session of a request, while there is a use in it.
    fn session(&self, peer: Peer, id: Option<v1::Id128>) -> Result<Arc<Session>, Fault> {
        if self.context.is_draining() {
            return Err(leaving());
        }
        self.context.sessions.get(peer, id_from_wire(id)?)
    }
}

#[tonic::async_trait]
impl inference_server::Inference for Service {
    async fn open_session(
        &self,
        request: Request<v1::OpenSessionRequest>,
    ) -> Result<Response<v1::OpenSessionResponse>, Status> {
        let peer = peer(&request)?;
        let request = request.into_inner();
        if request.protocol_version != PROTOCOL_VERSION {
            let fault = Fault::of(Reason::ProtocolVersion)
                .expected(PROTOCOL_VERSION.to_string())
                .got(request.protocol_version.to_string());
            return Err(status(fault));
        }
        if self.context.is_draining() {
            return Err(status(leaving()));
        }
        let tenant = match request.tenant.as_str() {
            "" => Tenant::default(),
            name => name
                .parse()
                .map_err(|error: NameError| status(error.into()))?,
        };
        let opened = self.context.sessions.open(peer, tenant);
        let (session, token) = opened.map_err(status)?;
        let limits = &self.context.config.limits;
        Ok(Response::new(v1::OpenSessionResponse {
            session_id: Some(session.id.into()),
            fd_token: Some(token.into()),
            limits: Some(v1::SessionLimits {
                in_flight_max: limits.in_flight_per_session_max,
                timeout_max_us: micros(limits.compute_max()),
                arena_bytes_max: session.meter.bounds().arena_bytes,
                segment_bytes: limits.segment_bytes,
                tensor_bytes_max: limits.tensor_bytes_max,
                idle_us: micros(limits.idle()),
            }),
        }))
    }

    async fn resolve_graph(
        &self,
        request: Request<v1::ResolveGraphRequest>,
    ) -> Result<Response<v1::ResolveGraphResponse>, Status> {
        let peer = peer(&request)?;
        let request = request.into_inner();
        let session = self.session(peer, request.session_id).map_err(status)?;
        let reference: ModelRef = request
            .reference
            .parse()
            .map_err(|error: NameError| status(error.into()))?;
        tracing::debug!(tenant = %session.tenant, model = %reference, "asked for a graph");
        let limits = &self.context.config.limits;
        let registry = &self.context.registry;
        let graph = unless_leaving(&self.context, async {
            let model = registry.resolve_for(&reference, session.who()).await?;
            resolved(&model, |bytes_min| {
                session.hold_named(&model, bytes_min, limits)
            })
        });
        let graph = graph.await.map_err(status)?;
        let hold = Hold::of(&self.context, &session, graph.graph_id);
        let mut answer = Response::new(graph);
        answer.extensions_mut().insert(hold);
        Ok(answer)
    }

    async fn grow_arena(
        &self,
        request: Request<v1::GrowArenaRequest>,
    ) -> Result<Response<v1::GrowArenaResponse>, Status> {
        let peer = peer(&request)?;
        let request = request.into_inner();
        let session = self.session(peer, request.session_id).map_err(status)?;
        let graph = session
            .graph_with_arena(ArenaId(request.arena_id))
            .map_err(status)?;
        let limits = &self.context.config.limits;
        if request.bytes_min > limits.tensor_bytes_max {
            let fault = Fault::of(Reason::TensorTooLarge)
                .message("a segment beyond the largest tensor")
                .expected(format!("at most {} bytes", limits.tensor_bytes_max))
                .got(format!("{} bytes", request.bytes_min));
            return Err(status(fault));
        }
        let piece = graph
            .arena
            .grow(request.bytes_min.max(limits.segment_bytes))
            .map_err(status)?;
        session.grant(&piece, v1::Role::Input).map_err(status)?;
        let segment = v1::Segment {
            id: piece.id.0,
            bytes: piece.segment.bytes(),
        };
        Ok(Response::new(v1::GrowArenaResponse {
            segment: Some(segment),
        }))
    }

    async fn return_segment(
        &self,
        request: Request<v1::ReturnSegmentRequest>,
    ) -> Result<Response<v1::ReturnSegmentResponse>, Status> {
        let peer = peer(&request)?;
        let request = request.into_inner();
        let id = id_from_wire(request.session_id).map_err(status)?;
        let session = self.context.sessions.get(peer, id).map_err(status)?;
        let graph = session
            .graph_with_arena(ArenaId(request.arena_id))
            .map_err(status)?;
        let piece = graph
            .arena
            .give_back(SegmentId(request.segment))
            .map_err(status)?;
        for worker in self.context.workers() {
            worker.unmap(piece.arena, piece.id);
        }
        Ok(Response::new(v1::ReturnSegmentResponse {}))
    }

    type LoadGraphStream = load::Answers;

    async fn load_graph(
        &self,
        request: Request<Streaming<v1::LoadGraphRequest>>,
    ) -> Result<Response<Self::LoadGraphStream>, Status> {
        let peer = peer(&request)?;
        let (out, answers) = mpsc::channel(LOAD_ANSWERS_MAX);
        let context = Arc::clone(&self.context);
        tokio::spawn(load::serve(context, peer, request.into_inner(), out));
        Ok(Response::new(load::answers(answers)))
    }

    type InferStream = ReceiverStream<Result<v1::InferResponse, Status>>;

    async fn infer(
        &self,
        request: Request<Streaming<v1::InferRequest>>,
    ) -> Result<Response<Self::InferStream>, Status> {
        let peer = peer(&request)?;
        let (out, answers) = mpsc::channel(ANSWERS_MAX);
        tokio::spawn(stream(
            Arc::clone(&self.context),
            peer,
            request.into_inner(),
            out,
        ));
        Ok(Response::new(ReceiverStream::new(answers)))
    }
}

type Out = mpsc::Sender<Result<v1::InferResponse, Status>>;

/// Reads one Infer stream to its end. It starts computes and never waits for one.
async fn stream(
    context: Arc<Context>,
    peer: Peer,
    mut requests: Streaming<v1::InferRequest>,
    out: Out,
) {
    let mut session: Option<Arc<Session>> = None;
    let bound_by = Instant::now() + MESSAGE_MAX;
    let end = loop {
        let ended = async {
            match &session {
                Some(session) => session.closed().await,
                None => sleep_until(bound_by).await,
            }
        };
        let request = tokio::select! {
            request = requests.message() => request,
            () = ended => break session.as_ref().map(drop).ok_or_else(|| status(unbound())),
        };
        let request = match request {
            Ok(Some(request)) => request,
            Ok(None) => break Ok(()),
            // Bytes that are no message: what comes after them cannot be trusted to be one.
            Err(status) => break Err(status),
        };
        match known(&context, peer, session.as_ref(), request.session_id, &out) {
            Ok(live) => {
                let taken = take(&context, &live, request, &out);
                session = Some(live);
                if let Err(fault) = taken {
                    break Err(status(fault));
                }
            }
            Err(fault) => break Err(status(fault)),
        }
    };
    // What is in flight still answers; the events' sender must not keep the answers' stream open.
    if let Some(session) = session {
        session.end_events(&out);
    }
    if let Err(status) = end {
        let _ = out.send(Err(status)).await;
    }
}

/// The session a message is of: the one before's, or another, which the stream is then bound to.
fn known(
    context: &Context,
    peer: Peer,
    before: Option<&Arc<Session>>,
    id: Option<v1::Id128>,
    out: &Out,
) -> Result<Arc<Session>, Fault> {
    let id = id_from_wire(id)?;
    if let Some(session) = before.filter(|session| session.id == id) {
        return Ok(Arc::clone(session));
    }
    let session = context.sessions.get(peer, id)?;
    session.set_events(out.clone());
    // It came too late to be told with the others.
    if context.is_draining() {
        session.say_leaving();
    }
    Ok(session)
}

/// Acts on one message. What breaks the protocol is an error, and the end of the stream.
fn take(
    context: &Arc<Context>,
    session: &Arc<Session>,
    request: v1::InferRequest,
    out: &Out,
) -> Result<(), Fault> {
    match request.body {
        Some(infer_request::Body::Compute(compute)) => {
            return admit(context, session, request.request_id, compute, out);
        }
        Some(infer_request::Body::Cancel(v1::Cancel {})) => session.cancel(request.request_id),
        Some(infer_request::Body::Release(release)) => {
            // As many as there are: the length of a message bounds them, and a worker is told in several.
            let slots: Vec<SlotRef> = release.slots.into_iter().map(Into::into).collect();
            session.release(&slots);
        }
        Some(infer_request::Body::ReleaseGraph(release)) => {
            session.give_back(release.graph_id, &context.config.limits);
            session.count_release();
        }
        None => {}
    }
    Ok(())
}

fn answer(id: u64, result: Result<v1::Outputs, Fault>) -> v1::InferResponse {
    let body = match result {
        Ok(outputs) => infer_response::Body::Outputs(outputs),
        Err(fault) => infer_response::Body::Error(fault.into()),
    };
    v1::InferResponse {
        request_id: id,
        body: Some(body),
    }
}

/// Takes a compute up, or refuses it at once. Each that is taken up holds its place until its answer
/// is on its way, so that a client that reads no answers gets no further places either. An id that is in
/// flight already is an error: whatever was answered to it would be taken for the other's answer.
fn admit(
    context: &Arc<Context>,
    session: &Arc<Session>,
    id: u64,
    compute: v1::Compute,
    out: &Out,
) -> Result<(), Fault> {
    session.is_new(id)?;
    let admitted = if context.is_draining() {
        Err(leaving())
    } else {
        session.begin(id, &context.config.limits)
    };
    let control = match admitted {
        Ok(control) => control,
        Err(fault) => {
            if out.try_send(Ok(answer(id, Err(fault)))).is_err() {
                tracing::debug!(tenant = %session.tenant, "a client reads no answers: its session ends");
                session.close();
            }
            return Ok(());
        }
    };
    let (context, session, out) = (Arc::clone(context), Arc::clone(session), out.clone());
    tokio::spawn(async move {
        let result = compute_one(&context, &session, id, &control, compute).await;
        let slots = result.as_ref().map(slots_of).unwrap_or_default();
        if out.send(Ok(answer(id, result))).await.is_err() {
            session.release(&slots);
        }
        session.end(id);
    });
    Ok(())
}

/// Where the outputs lie: they go back if nobody takes them.
fn slots_of(outputs: &v1::Outputs) -> Vec<SlotRef> {
    outputs
        .outputs
        .iter()
        .filter_map(|output| output.slot.map(Into::into))
        .collect()
}

async fn compute_one(
    context: &Context,
    session: &Arc<Session>,
    id: u64,
    control: &Arc<Control>,
    compute: v1::Compute,
) -> Result<v1::Outputs, Fault> {
    let request = request(id, &compute).inspect_err(|fault| session.refused(fault))?;
    let reply = infer::run(session, request, control, &context.config.limits).await?;
    Ok(v1::Outputs {
        outputs: reply.outputs.iter().map(Into::into).collect(),
        timings: Some(v1::Timings {
            queue_us: reply.queue_us,
            run_us: reply.run_us,
        }),
    })
}

/// A compute as it was sent, converted.
fn request(id: u64, compute: &v1::Compute) -> Result<infer::Request, Fault> {
    if compute.inputs.len() > TENSORS_MAX {
        return Err(Fault::of(Reason::InputsTooMany)
            .expected(format!("at most {TENSORS_MAX}"))
            .got(compute.inputs.len().to_string()));
    }
    let inputs: Result<Vec<_>, Fault> = compute.inputs.iter().map(tensor_from_wire).collect();
    let timeout = (compute.timeout_us > 0).then(|| Duration::from_micros(compute.timeout_us));
    let trace = match compute.trace.as_str() {
        "" => None,
        trace => Some(trace.parse::<Trace>()?),
    };
    Ok(infer::Request {
        id,
        graph: compute.graph_id,
        inputs: inputs?,
        timeout,
        trace,
    })
}
