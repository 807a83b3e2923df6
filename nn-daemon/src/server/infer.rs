//! The Inference service: convert, call, convert.

use std::sync::Arc;
use std::time::Duration;

use nn_proto::v1::{self, infer_request, infer_response, inference_server};
use nn_proto::{PROTOCOL_VERSION, id_from_wire, tensor_from_wire};
use nn_tensor::{Fault, ModelRef, SlotRef, TENSORS_MAX, Tenant};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::peer;
use super::status::status;
use crate::context::Context;
use crate::infer;
use crate::limits::RELEASE_SLOTS_MAX;
use crate::peer::Peer;
use crate::session::Session;
use crate::worker::micros;

/// Answers waiting to go out on one stream: every compute in flight, and as many events.
const ANSWERS_MAX: usize = 512;

/// Inference for this daemon's clients.
#[derive(Debug)]
pub(crate) struct Service {
    context: Arc<Context>,
}

impl Service {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }

    fn session(&self, peer: Peer, id: Option<v1::Id128>) -> Result<Arc<Session>, Fault> {
        self.context.sessions.get(peer, id_from_wire(id)?)
    }
}

fn invalid(error: &nn_tensor::NameError) -> Fault {
    Fault::invalid_argument(format!("a malformed {}", error.what))
        .expected(error.expected)
        .got(error.got.clone())
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
            let fault = Fault::invalid_argument("the daemon does not speak this version of nn.v1")
                .expected(PROTOCOL_VERSION.to_string())
                .got(request.protocol_version.to_string())
                .hint("use a client and a daemon of the same release");
            return Err(status(fault));
        }
        if self.context.is_draining() {
            return Err(status(
                Fault::busy("the daemon is ending").hint("connect again in a moment"),
            ));
        }
        let tenant = match request.tenant.as_str() {
            "" => Tenant::default(),
            name => name.parse().map_err(|error| status(invalid(&error)))?,
        };
        let (session, token) = self.context.sessions.open(peer, tenant).map_err(status)?;
        let limits = &self.context.config.limits;
        Ok(Response::new(v1::OpenSessionResponse {
            session_id: Some(session.id.into()),
            fd_token: Some(token.into()),
            limits: Some(v1::SessionLimits {
                in_flight_max: limits.in_flight_per_session_max,
                timeout_max_us: micros(limits.compute_max()),
                arena_bytes_max: limits.arena_bytes_per_tenant_max,
                segment_bytes: limits.segment_bytes,
                tensor_bytes_max: limits.tensor_bytes_max,
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
            .map_err(|error| status(invalid(&error)))?;
        let model = self
            .context
            .registry
            .resolve(&reference)
            .await
            .map_err(status)?;
        let signature = model.signature().map_err(status)?;
        let limits = &self.context.config.limits;
        let fixed = signature.inputs.iter().filter_map(|spec| {
            let bytes = spec.fixed_shape()?.byte_len(spec.dtype).ok()?;
            bytes.checked_next_multiple_of(nn_shm::SLOT_ALIGN)
        });
        let bytes_min = fixed.fold(0, u64::saturating_add);
        let (graph, first) = session
            .graph_of(&model, bytes_min, limits)
            .map_err(status)?;
        Ok(Response::new(v1::ResolveGraphResponse {
            graph_id: graph.id,
            name: model.name.as_str().to_owned(),
            version: model.version.get(),
            signature: Some((&*signature).into()),
            arena_id: graph.arena.id().0,
            segment: Some(v1::Segment {
                id: first.id.0,
                bytes: first.segment.bytes(),
            }),
        }))
    }

    async fn grow_arena(
        &self,
        request: Request<v1::GrowArenaRequest>,
    ) -> Result<Response<v1::GrowArenaResponse>, Status> {
        let peer = peer(&request)?;
        let request = request.into_inner();
        let session = self.session(peer, request.session_id).map_err(status)?;
        let graph = session.graph_with_arena(request.arena_id).map_err(status)?;
        let limits = &self.context.config.limits;
        if request.bytes_min > limits.tensor_bytes_max {
            let fault = Fault::too_large("a segment beyond the largest tensor")
                .expected(format!("at most {} bytes", limits.tensor_bytes_max))
                .got(format!("{} bytes", request.bytes_min))
                .hint("limits.tensor_bytes_max");
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
    loop {
        let ended = async {
            match &session {
                Some(session) => session.closed().await,
                None => std::future::pending().await,
            }
        };
        let request = tokio::select! {
            request = requests.message() => request,
            () = ended => return,
        };
        let Ok(Some(request)) = request else { return };
        let known = match id_from_wire(request.session_id) {
            Ok(id) if session.as_ref().is_some_and(|session| session.id == id) => session.clone(),
            Ok(id) => match context.sessions.get(peer, id) {
                Ok(fresh) => {
                    fresh.set_events(events(&out));
                    Some(fresh)
                }
                Err(fault) => {
                    let _ = out.send(Err(status(fault))).await;
                    return;
                }
            },
            Err(fault) => {
                let _ = out.send(Err(status(fault))).await;
                return;
            }
        };
        if let Some(live) = &known {
            take(&context, live, request, &out);
        }
        session = known;
    }
}

/// A sender of events into a stream of answers.
fn events(out: &Out) -> mpsc::Sender<v1::InferResponse> {
    let (events, mut next) = mpsc::channel(64);
    let out = out.clone();
    tokio::spawn(async move {
        while let Some(event) = next.recv().await {
            if out.send(Ok(event)).await.is_err() {
                return;
            }
        }
    });
    events
}

fn take(context: &Arc<Context>, session: &Arc<Session>, request: v1::InferRequest, out: &Out) {
    match request.body {
        Some(infer_request::Body::Compute(compute)) => {
            let (context, session, out) = (Arc::clone(context), Arc::clone(session), out.clone());
            tokio::spawn(async move {
                let body = match compute_one(&context, &session, request.request_id, compute).await
                {
                    Ok(outputs) => infer_response::Body::Outputs(outputs),
                    Err(fault) => infer_response::Body::Error(fault.into()),
                };
                let answer = v1::InferResponse {
                    request_id: request.request_id,
                    body: Some(body),
                };
                // A client that is gone loses its answer with its session.
                let _ = out.send(Ok(answer)).await;
            });
        }
        Some(infer_request::Body::Cancel(v1::Cancel {})) => session.cancel(request.request_id),
        Some(infer_request::Body::Release(release)) => {
            let slots: Vec<SlotRef> = release
                .slots
                .into_iter()
                .take(RELEASE_SLOTS_MAX)
                .map(Into::into)
                .collect();
            session.release(&slots);
        }
        None => {}
    }
}

async fn compute_one(
    context: &Context,
    session: &Arc<Session>,
    id: u64,
    compute: v1::Compute,
) -> Result<v1::Outputs, Fault> {
    if compute.inputs.len() > TENSORS_MAX {
        return Err(Fault::too_large("too many inputs")
            .expected(format!("at most {TENSORS_MAX}"))
            .got(compute.inputs.len().to_string()));
    }
    let inputs: Result<Vec<_>, Fault> = compute.inputs.iter().map(tensor_from_wire).collect();
    let timeout = (compute.timeout_us > 0).then(|| Duration::from_micros(compute.timeout_us));
    let request = infer::Request {
        id,
        graph: compute.graph_id,
        inputs: inputs?,
        timeout,
    };
    let reply = infer::run(session, request, &context.config.limits).await?;
    Ok(v1::Outputs {
        outputs: reply.outputs.iter().map(Into::into).collect(),
        timings: Some(v1::Timings {
            queue_us: reply.queue_us,
            run_us: reply.run_us,
        }),
    })
}
