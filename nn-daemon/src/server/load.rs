//! LoadGraph: a model from its bytes, for one tenant. The way of it: header → the model is here, or room for
//! it is reserved and its bytes come → it is loaded → the session holds a graph of it. Whatever ends this
//! way early leaves nothing behind.

use std::sync::Arc;

use nn_proto::v1::{self, load_graph_request, load_graph_response};
use nn_proto::{GRAPH_CHUNK_BYTES_MAX, id_from_wire};
use nn_tensor::{Fault, Reason};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::StreamExt;
use tokio_stream::adapters::Map;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::hold::Hold;
use super::resolved::resolved;
use super::status::status;
use super::upload::{BUNDLE, PART, message, push};
use crate::context::Context;
use crate::guests::{Entry, Key, Lease, Owner};
use crate::limits::Limits;
use crate::model::Artifact;
use crate::peer::Peer;
use crate::registry::{Upload, check_format, digest};
use crate::session::Session;
use crate::shutdown::{leaving, unless_leaving};

/// An answer, and the hold that it gives, if it does.
type Told = (Result<v1::LoadGraphResponse, Status>, Option<Hold>);
pub(super) type Out = mpsc::Sender<Told>;
pub(super) type Answers =
    Map<ReceiverStream<Told>, fn(Told) -> Result<v1::LoadGraphResponse, Status>>;
type In = Streaming<v1::LoadGraphRequest>;

/// What a client says of bytes before it sends any.
#[derive(Debug)]
struct Wanted {
    format: String,
    bytes: u64,
    sha256: [u8; 32],
    /// What the client has given back before.
    graphs_released: u64,
}

/// What is told, as it is sent.
pub(super) fn answers(told: mpsc::Receiver<Told>) -> Answers {
    let send = |(answer, hold): Told| {
        if let Some(hold) = hold {
            hold.taken();
        }
        answer
    };
    ReceiverStream::new(told).map(send)
}

/// Serves one call to its end. A client that is gone ends it wherever it stands.
pub(super) async fn serve(context: Arc<Context>, peer: Peer, mut requests: In, out: Out) {
    let loaded = tokio::select! {
        loaded = load(&context, peer, &mut requests, &out) => loaded,
        () = out.closed() => return,
    };
    match loaded {
        Ok((session, graph)) => {
            // Given back with the message, wherever that is dropped.
            let hold = Hold::of(&context, &session, graph.graph_id);
            let body = load_graph_response::Body::Graph(graph);
            let _ = out.send((Ok(answer(body)), Some(hold))).await;
        }
        Err(fault) => {
            let _ = out.send((Err(status(fault)), None)).await;
        }
    }
}

fn answer(body: load_graph_response::Body) -> v1::LoadGraphResponse {
    v1::LoadGraphResponse { body: Some(body) }
}

async fn load(
    context: &Context,
    peer: Peer,
    requests: &mut In,
    out: &Out,
) -> Result<(Arc<Session>, v1::ResolveGraphResponse), Fault> {
    let Some(load_graph_request::Body::Header(header)) = next(requests).await? else {
        return Err(
            Fault::of(Reason::Protocol).message("the first message of a load must be its header")
        );
    };
    let id = id_from_wire(header.session_id)?;
    if context.is_draining() {
        return Err(leaving());
    }
    let session = context.sessions.get(peer, id)?;
    let wanted = Wanted::read(&header)?;
    let limits = &context.config.limits;
    let graph = async {
        let lease = lease(context, &session, wanted, requests, out).await?;
        lease.model().usable(limits.load_wait_max()).await?;
        resolved(lease.model(), |bytes_min| {
            session.hold(&lease, bytes_min, limits)
        })
    };
    let graph = tokio::select! {
        graph = unless_leaving(context, graph) => graph?,
        () = session.closed() => return Err(Fault::of(Reason::SessionEnded)),
    };
    Ok((session, graph))
}

/// A lease of the model, whose bytes come now if nobody has sent them before.
async fn lease(
    context: &Context,
    session: &Session,
    wanted: Wanted,
    requests: &mut In,
    out: &Out,
) -> Result<Lease, Fault> {
    let guests = &context.guests;
    guests.can_run(&wanted.format)?;
    let owner = Owner {
        uid: session.peer.uid,
        tenant: session.tenant.clone(),
    };
    let key = Key {
        owner: owner.clone(),
        sha256: wanted.sha256,
    };
    let arrival = match guests.enter(key).await? {
        Entry::Here(lease) => return Ok(lease),
        Entry::Missing(arrival) => arrival,
    };
    session.released(wanted.graphs_released).await;
    let place = guests.reserve(&owner, wanted.bytes).await?;
    let send = load_graph_response::Body::Send(v1::SendParts {});
    out.send((Ok(answer(send)), None))
        .await
        .map_err(|_| Fault::of(Reason::SessionEnded).message("the client is gone"))?;
    let within = context.config.limits.load_max();
    let artifact = timeout(within, receive(wanted, requests, &context.config.limits))
        .await
        .map_err(|_| {
            Fault::of(Reason::UploadLate).expected(format!("all of it within {within:?}"))
        })??;
    arrival.arrived(artifact, place)
}

async fn receive(wanted: Wanted, requests: &mut In, limits: &Limits) -> Result<Artifact, Fault> {
    let mut upload = Upload::in_memory(wanted.format, wanted.bytes, wanted.sha256)?;
    while !upload.is_full() {
        match next(requests).await? {
            Some(load_graph_request::Body::Chunk(chunk)) => {
                upload = push(upload, chunk, GRAPH_CHUNK_BYTES_MAX).await?;
            }
            Some(load_graph_request::Body::Header(_)) => {
                return Err(Fault::of(Reason::Protocol).message("a second header in one load"));
            }
            // Says what is missing.
            None => break,
        }
    }
    upload.finish(limits).await
}

async fn next(requests: &mut In) -> Result<Option<load_graph_request::Body>, Fault> {
    Ok(message(requests).await?.and_then(|message| message.body))
}

// === impl Wanted ===

impl Wanted {
    fn read(header: &v1::LoadGraphHeader) -> Result<Self, Fault> {
        check_format(&header.format)?;
        // What the bytes look like may be another.
        let (format, name) = match header.format.as_str() {
            "openvino-ir" => ("openvino-ir", BUNDLE),
            _ => ("onnx", PART),
        };
        let [part] = header.parts.as_slice() else {
            return Err(Fault::of(Reason::PartsWrong)
                .message("a model is sent as one part")
                .expected("1")
                .got(header.parts.len().to_string())
                .hint("both files of an IR are sent as one bundle"));
        };
        if !part.name.is_empty() && part.name != name {
            return Err(Fault::of(Reason::PartsWrong)
                .message("an unknown part of a model")
                .expected(name)
                .got(part.name.chars().take(64).collect::<String>()));
        }
        Ok(Self {
            format: format.to_owned(),
            bytes: part.bytes,
            sha256: digest(&part.sha256)?,
            graphs_released: header.graphs_released,
        })
    }
}
