//! A daemon for tests, in this process: it speaks nn.v1 and moves real memory, and its models do what a
//! test wants of them by their names.
//!
//! - `echo`: gives each input back. `slow-grant`: the same, but the reply overtakes the output's memory.
//! - `hold`: answers only when [`Fake::answer_held`] is called.
//! - `outside`, `overlap`, `unknown`: answers with slots that cannot be.
//! - anything else is not found.

use std::net::Shutdown;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nn_proto::v1::inference_server::{Inference, InferenceServer};
use nn_proto::v1::{self, infer_request, infer_response};
use nn_shm::Segment;
use nn_tensor::{ArenaId, Fault, SegmentId, SlotRef};
use prost::Message;
use tokio::net::UnixListener;
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::{Request, Response, Status, Streaming};

use crate::world::{OUT_ARENA, TOKEN, World, serve_fds};

pub(crate) const SEGMENT_BYTES: u64 = 64 * 1024;
const MODELS: [&str; 6] = [
    "echo",
    "slow-grant",
    "hold",
    "outside",
    "overlap",
    "unknown",
];

/// One run of the fake; drop it and its clients see the connection break.
pub(crate) struct Fake {
    state: Arc<State>,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) cancels: Vec<u64>,
    pub(crate) releases: usize,
    pub(crate) released_slots: usize,
    pub(crate) resolves: Vec<String>,
    pub(crate) computes: usize,
}

pub(crate) struct State {
    pub(crate) world: Mutex<World>,
    let_go: Notify,
}

struct Service(Arc<State>);

fn failed(fault: Fault) -> Status {
    let details = v1::Error::from(fault).encode_to_vec();
    Status::with_details(tonic::Code::Unknown, "x", details.into())
}

// === impl Fake ===

impl Fake {
    /// The memory of outputs, as their writer has it.
    pub(crate) fn outputs(&self) -> Arc<nn_shm::Mapping> {
        let world = self.state.world.lock().unwrap();
        Arc::clone(&world.out.as_ref().unwrap().mapping)
    }

    pub(crate) fn start(dir: &Path) -> Self {
        let state = Arc::new(State {
            world: Mutex::default(),
            let_go: Notify::new(),
        });
        serve_fds(&dir.join("fd.sock"), Arc::clone(&state));
        let path = dir.join("nn.sock");
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(path).unwrap();
        let service = InferenceServer::new(Service(Arc::clone(&state)));
        let server = tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(UnixListenerStream::new(listener));
        let server = tokio::spawn(async move { drop(server.await) });
        Self { state, server }
    }

    pub(crate) fn seen<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.state.world.lock().unwrap().seen)
    }

    /// Waits until `ready` of what was seen.
    pub(crate) async fn until(&self, ready: impl Fn(&Seen) -> bool) {
        let waiting = async {
            while !self.seen(&ready) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), waiting)
            .await
            .unwrap();
    }

    pub(crate) fn answer_held(&self) {
        self.state.let_go.notify_waiters();
    }

    pub(crate) fn out_slots_in_use(&self) -> usize {
        let world = self.state.world.lock().unwrap();
        world.out.as_ref().map_or(0, |out| out.slots.in_use().0)
    }

    /// Says that a model has changed.
    pub(crate) async fn change(&self, name: &str) {
        let name = name.to_owned();
        let changed = v1::ModelsChanged { name };
        self.tell(infer_response::Body::ModelsChanged(changed))
            .await;
    }

    /// Says that it is ending.
    pub(crate) async fn say_leaving(&self) {
        self.tell(infer_response::Body::Leaving(v1::Leaving {}))
            .await;
    }

    /// Begins nothing more.
    pub(crate) fn refuse(&self) {
        self.state.world.lock().unwrap().refuses = true;
    }

    async fn tell(&self, body: infer_response::Body) {
        let events = self.state.world.lock().unwrap().events.clone().unwrap();
        let event = v1::InferResponse {
            request_id: 0,
            body: Some(body),
        };
        events.send(Ok(event)).await.unwrap();
    }

    pub(crate) fn stream_open(&self) -> bool {
        let world = self.state.world.lock().unwrap();
        world
            .events
            .as_ref()
            .is_some_and(|events| !events.is_closed())
    }

    /// Breaks the descriptor connection only.
    pub(crate) fn break_fd_socket(&self) {
        let world = self.state.world.lock().unwrap();
        if let Some(fd) = &world.fd {
            let _ = fd.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.server.abort();
        self.break_fd_socket();
        self.state.let_go.notify_waiters();
    }
}

// === the service ===

impl Service {
    async fn compute(&self, compute: v1::Compute) -> Result<(v1::Outputs, Option<Segment>), Fault> {
        let model = MODELS[usize::try_from(compute.graph_id).unwrap()];
        if model == "hold" {
            self.0.let_go.notified().await;
        }
        let mut outputs = Vec::new();
        let mut late = None;
        for input in compute.inputs {
            let slot = SlotRef::from(input.slot.unwrap());
            let bytes = loop {
                if let Some(bytes) = self.0.world.lock().unwrap().input(slot) {
                    break bytes;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            };
            let mut world = self.0.world.lock().unwrap();
            let (mut slot, segment) = world.output(&bytes, model != "slow-grant");
            late = late.or(segment);
            match model {
                "outside" => slot.offset = 16 * SEGMENT_BYTES,
                "overlap" => slot.offset = 0,
                "unknown" => slot.segment = 9,
                _ => {}
            }
            outputs.push(v1::Tensor {
                slot: Some(slot),
                ..input
            });
        }
        let timings = None;
        Ok((v1::Outputs { outputs, timings }, late))
    }
}

#[tonic::async_trait]
impl Inference for Service {
    async fn return_segment(
        &self,
        _: Request<v1::ReturnSegmentRequest>,
    ) -> Result<Response<v1::ReturnSegmentResponse>, Status> {
        Ok(Response::new(v1::ReturnSegmentResponse {}))
    }

    type LoadGraphStream = ReceiverStream<Result<v1::LoadGraphResponse, Status>>;

    async fn load_graph(
        &self,
        _: Request<Streaming<v1::LoadGraphRequest>>,
    ) -> Result<Response<Self::LoadGraphStream>, Status> {
        Err(Status::unimplemented("this fake loads no bytes"))
    }

    async fn open_session(
        &self,
        request: Request<v1::OpenSessionRequest>,
    ) -> Result<Response<v1::OpenSessionResponse>, Status> {
        if request.into_inner().tenant == "forbidden" {
            let refused = Fault::new(nn_tensor::Code::Security, "that tenant is not yours");
            return Err(failed(refused));
        }
        {
            let mut world = self.0.world.lock().unwrap();
            // One session at a time: what the one before had is not this one's.
            world.inputs.clear();
            world.out = None;
        }
        Ok(Response::new(v1::OpenSessionResponse {
            session_id: Some(v1::Id128 { high: 1, low: 2 }),
            fd_token: Some(TOKEN),
            limits: Some(v1::SessionLimits {
                in_flight_max: 4,
                timeout_max_us: 60_000_000,
                arena_bytes_max: 1 << 30,
                segment_bytes: SEGMENT_BYTES,
                tensor_bytes_max: 4 * SEGMENT_BYTES,
                idle_us: 0,
            }),
        }))
    }

    async fn resolve_graph(
        &self,
        request: Request<v1::ResolveGraphRequest>,
    ) -> Result<Response<v1::ResolveGraphResponse>, Status> {
        let reference = request.into_inner().reference;
        let name = reference.split(['@', ':']).next().unwrap();
        let mut world = self.0.world.lock().unwrap();
        world.seen.resolves.push(reference.clone());
        let graph = MODELS.iter().position(|model| *model == name);
        let graph = graph.ok_or_else(|| failed(Fault::not_found("no such model")))?;
        let graph = u64::try_from(graph).unwrap();
        let arena = ArenaId(graph);
        let known = world.inputs.keys().find(|(known, _)| *known == arena);
        let segment = match known {
            Some((_, id)) => v1::Segment {
                id: id.0,
                bytes: SEGMENT_BYTES,
            },
            None => world.grow(arena, SEGMENT_BYTES),
        };
        let any = |name: &str| v1::TensorSpec {
            name: name.to_owned(),
            dtype: v1::DType::U8.into(),
            dims: vec![-1],
            any_rank: false,
        };
        Ok(Response::new(v1::ResolveGraphResponse {
            graph_id: graph,
            name: name.to_owned(),
            version: 7,
            signature: Some(v1::Signature {
                inputs: vec![any("x")],
                outputs: vec![any("x")],
            }),
            arena_id: arena.0,
            segment: Some(segment),
        }))
    }

    async fn grow_arena(
        &self,
        request: Request<v1::GrowArenaRequest>,
    ) -> Result<Response<v1::GrowArenaResponse>, Status> {
        let request = request.into_inner();
        let bytes = request.bytes_min.max(SEGMENT_BYTES);
        let mut world = self.0.world.lock().unwrap();
        let segment = Some(world.grow(ArenaId(request.arena_id), bytes));
        Ok(Response::new(v1::GrowArenaResponse { segment }))
    }

    type InferStream = ReceiverStream<Result<v1::InferResponse, Status>>;

    async fn infer(
        &self,
        request: Request<Streaming<v1::InferRequest>>,
    ) -> Result<Response<Self::InferStream>, Status> {
        let (answers, stream) = mpsc::channel(64);
        let state = Arc::clone(&self.0);
        state.world.lock().unwrap().events = Some(answers.clone());
        let mut requests = request.into_inner();
        tokio::spawn(async move {
            while let Ok(Some(request)) = requests.message().await {
                state.on_request(request, &answers);
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

type Answers = mpsc::Sender<Result<v1::InferResponse, Status>>;

impl State {
    fn on_request(self: &Arc<Self>, request: v1::InferRequest, answers: &Answers) {
        let mut world = self.world.lock().unwrap();
        match request.body.unwrap() {
            infer_request::Body::Cancel(_) => world.seen.cancels.push(request.request_id),
            // No graph of this fake's came from bytes.
            infer_request::Body::ReleaseGraph(_) => {}
            infer_request::Body::Release(release) => {
                world.seen.releases += usize::from(!release.slots.is_empty());
                world.seen.released_slots += release.slots.len();
                for slot in release.slots {
                    world.out.as_mut().unwrap().slots.free(slot.into()).unwrap();
                }
            }
            infer_request::Body::Compute(compute) => {
                world.seen.computes += 1;
                if world.refuses {
                    let refusal = Fault::new(nn_tensor::Code::Leaving, "it is ending");
                    let answer = v1::InferResponse {
                        request_id: request.request_id,
                        body: Some(infer_response::Body::Error(refusal.into())),
                    };
                    answers.try_send(Ok(answer)).unwrap();
                    return;
                }
                let (state, answers) = (Arc::clone(self), answers.clone());
                tokio::spawn(async move {
                    let service = Service(Arc::clone(&state));
                    let (body, late) = match service.compute(compute).await {
                        Ok((outputs, late)) => (infer_response::Body::Outputs(outputs), late),
                        Err(fault) => (infer_response::Body::Error(fault.into()), None),
                    };
                    let request_id = request.request_id;
                    let body = Some(body);
                    let _ = answers
                        .send(Ok(v1::InferResponse { request_id, body }))
                        .await;
                    if let Some(segment) = late {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        let world = state.world.lock().unwrap();
                        world.grant(OUT_ARENA, SegmentId(0), &segment, v1::Role::Output);
                    }
                });
            }
        }
    }
}
