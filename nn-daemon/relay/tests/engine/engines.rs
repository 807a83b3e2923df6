//! Engines: HTTP/2 by `h2`, the protocol's own messages, and whatever each is told to do with a call. The model adds 1.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use h2::server::{SendResponse, handshake};
use h2::{Reason, RecvStream};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response};
use nn_proto::kserve::inference as oip;
use oip::model_infer_response::InferOutputTensor;
use oip::model_metadata_response::TensorMetadata;
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, spawn_local};

/// What an engine does with a call.
pub(crate) enum Act {
    /// Adds 1.
    Right,
    /// The same, with the elements as a list.
    RightListed,
    /// Gives this.
    Answer(oip::ModelInferResponse),
    /// Gives these bytes as its body.
    Body(Bytes),
    /// Takes it, and says nothing.
    Hang,
    /// Promises a message, and sends a byte now and then.
    Drip,
    /// Resets the stream.
    Reset(Reason),
    /// The same, behind the head of an answer.
    ResetLater(Reason),
    /// Ends the connection.
    Close,
    /// Says that it is going away, and ends the connection.
    GoAway,
    /// A status, with words.
    Status(&'static str, &'static str),
    /// HTTP, and no gRPC.
    Http(u16),
}

type Script = dyn Fn(usize, oip::ModelInferRequest) -> Act;

/// One engine.
#[derive(Clone)]
pub(crate) struct Engine {
    pub(crate) address: String,
    shared: Rc<Shared>,
    listening: AbortHandle,
}

pub(crate) struct Shared {
    script: Box<Script>,
    metadata: RefCell<oip::ModelMetadataResponse>,
    ready: Cell<bool>,
    silent: Cell<bool>,
    infers: Cell<usize>,
    connections: Cell<usize>,
    /// Streams that were taken back by who opened them.
    resets: Cell<usize>,
    heads: RefCell<Vec<Rc<Parts>>>,
    last_version: RefCell<String>,
    open: RefCell<Vec<AbortHandle>>,
}

fn metadata(output: &str) -> oip::ModelMetadataResponse {
    let tensor = |name: &str| TensorMetadata {
        name: name.to_owned(),
        datatype: "FP32".to_owned(),
        shape: vec![-1, 2],
    };
    oip::ModelMetadataResponse {
        name: "add".to_owned(),
        inputs: vec![tensor("x")],
        outputs: vec![tensor(output)],
        ..Default::default()
    }
}

/// What is right.
pub(crate) fn right(request: &oip::ModelInferRequest) -> oip::ModelInferResponse {
    let floats = request.raw_input_contents[0].chunks_exact(4);
    let sums = floats.map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()) + 1.0);
    let raw: Vec<u8> = sums.flat_map(f32::to_le_bytes).collect();
    oip::ModelInferResponse {
        model_name: request.model_name.clone(),
        outputs: vec![InferOutputTensor {
            name: "y".to_owned(),
            datatype: "FP32".to_owned(),
            shape: request.inputs[0].shape.clone(),
            ..Default::default()
        }],
        raw_output_contents: vec![raw.into()],
        ..Default::default()
    }
}

fn framed(message: &[u8]) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.len()).unwrap());
    bytes.put_slice(message);
    bytes.freeze()
}

// === impl Engine ===

impl Engine {
    /// On a port of its own.
    pub(crate) async fn start(
        script: impl Fn(usize, oip::ModelInferRequest) -> Act + 'static,
    ) -> Self {
        Self::start_at("127.0.0.1:0", script).await
    }

    /// At this address.
    pub(crate) async fn start_at(
        address: &str,
        script: impl Fn(usize, oip::ModelInferRequest) -> Act + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Shared::new(script);
        let serving = Rc::clone(&shared);
        let listening = spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                serving.spawn(stream);
            }
        });
        Self {
            address,
            shared,
            listening: listening.abort_handle(),
        }
    }

    /// It is gone, with all of its connections.
    pub(crate) fn stop(&self) {
        self.listening.abort();
        for connection in self.shared.open.borrow_mut().drain(..) {
            connection.abort();
        }
    }

    pub(crate) fn infers(&self) -> usize {
        self.shared.infers.get()
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.get()
    }

    pub(crate) fn resets(&self) -> usize {
        self.shared.resets.get()
    }

    pub(crate) fn heads(&self) -> Vec<Rc<Parts>> {
        self.shared.heads.borrow().clone()
    }

    pub(crate) fn last_version(&self) -> String {
        self.shared.last_version.borrow().clone()
    }

    pub(crate) fn set_ready(&self, ready: bool) {
        self.shared.ready.set(ready);
    }

    /// It takes what comes, and answers nothing from now on.
    pub(crate) fn fall_silent(&self) {
        self.shared.silent.set(true);
    }

    /// Its model gives something else from now on.
    pub(crate) fn set_output(&self, name: &str) {
        *self.shared.metadata.borrow_mut() = metadata(name);
    }
}

// === impl Shared ===

impl Shared {
    pub(crate) fn new(script: impl Fn(usize, oip::ModelInferRequest) -> Act + 'static) -> Rc<Self> {
        Rc::new(Self {
            script: Box::new(script),
            metadata: RefCell::new(metadata("y")),
            ready: Cell::new(true),
            silent: Cell::default(),
            infers: Cell::default(),
            connections: Cell::default(),
            resets: Cell::default(),
            heads: RefCell::default(),
            last_version: RefCell::default(),
            open: RefCell::default(),
        })
    }

    pub(crate) fn infers(&self) -> usize {
        self.infers.get()
    }

    /// Serves a connection.
    pub(crate) fn spawn<S>(self: &Rc<Self>, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        self.connections.set(self.connections.get() + 1);
        let shared = Rc::clone(self);
        let task = spawn_local(async move { shared.serve(stream).await });
        self.open.borrow_mut().push(task.abort_handle());
    }

    async fn serve<S>(self: Rc<Self>, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Ok(mut connection) = handshake(stream).await else {
            return;
        };
        let end: Rc<Cell<Option<Act>>> = Rc::default();
        let ended = Rc::new(tokio::sync::Notify::new());
        loop {
            let accepted = tokio::select! {
                accepted = connection.accept() => accepted,
                () = ended.notified() => {
                    if let Some(Act::GoAway) = end.take() {
                        connection.abrupt_shutdown(Reason::NO_ERROR);
                        while connection.accept().await.is_some() {}
                    }
                    return;
                }
            };
            let Some(Ok((request, respond))) = accepted else {
                return;
            };
            let shared = Rc::clone(&self);
            let (end, ended) = (Rc::clone(&end), Rc::clone(&ended));
            spawn_local(async move {
                let (head, body) = request.into_parts();
                if let Some(act) = shared.one(head, body, respond).await {
                    end.set(Some(act));
                    ended.notify_one();
                }
            });
        }
    }

    /// One call; gives what is to be done with the connection.
    async fn one(
        self: Rc<Self>,
        head: Parts,
        body: RecvStream,
        respond: SendResponse<Bytes>,
    ) -> Option<Act> {
        let head = Rc::new(head);
        self.heads.borrow_mut().push(Rc::clone(&head));
        let message = read(body).await?;
        if self.silent.get() {
            return std::future::pending().await;
        }
        let path = head.uri.path().to_owned();
        if path.ends_with("/ModelReady") {
            let ready = oip::ModelReadyResponse {
                ready: self.ready.get(),
            };
            answer(respond, framed(&ready.encode_to_vec()), ("0", ""));
            return None;
        }
        if path.ends_with("/ModelMetadata") {
            let metadata = self.metadata.borrow().encode_to_vec();
            answer(respond, framed(&metadata), ("0", ""));
            return None;
        }
        let request = oip::ModelInferRequest::decode(message).unwrap();
        self.last_version.replace(request.model_version.clone());
        let count = self.infers.get();
        self.infers.set(count + 1);
        let act = (self.script)(count, request.clone());
        self.act(act, &request, respond).await
    }

    async fn act(
        &self,
        act: Act,
        request: &oip::ModelInferRequest,
        mut respond: SendResponse<Bytes>,
    ) -> Option<Act> {
        let give = |respond, message: oip::ModelInferResponse| {
            answer(respond, framed(&message.encode_to_vec()), ("0", ""));
        };
        match act {
            Act::Right => give(respond, right(request)),
            Act::RightListed => {
                let mut message = right(request);
                let raw = message.raw_output_contents.remove(0);
                let floats = raw.chunks_exact(4);
                let floats = floats.map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
                message.outputs[0].contents = Some(oip::InferTensorContents {
                    fp32_contents: floats.collect(),
                    ..Default::default()
                });
                give(respond, message);
            }
            Act::Answer(message) => give(respond, message),
            Act::Body(body) => answer(respond, body, ("0", "")),
            Act::Status(status, words) => answer(respond, Bytes::new(), (status, words)),
            Act::Http(status) => {
                let answer = Response::builder().status(status).body(()).unwrap();
                respond.send_response(answer, true).unwrap();
            }
            Act::Hang => {
                let why = std::future::poll_fn(|context| respond.poll_reset(context)).await;
                assert_eq!(why.ok(), Some(Reason::CANCEL));
                self.resets.set(self.resets.get() + 1);
            }
            Act::Drip => {
                let mut stream = respond.send_response(head(), false).unwrap();
                stream
                    .send_data(Bytes::from_static(&[0, 0, 1, 0, 0]), false)
                    .unwrap();
                loop {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    if stream.send_data(Bytes::from_static(&[7]), false).is_err() {
                        self.resets.set(self.resets.get() + 1);
                        return None;
                    }
                }
            }
            Act::Reset(reason) => respond.send_reset(reason),
            Act::ResetLater(reason) => {
                let mut stream = respond.send_response(head(), false).unwrap();
                // It is to be on its way first.
                tokio::time::sleep(Duration::from_millis(50)).await;
                stream.send_reset(reason);
            }
            act @ (Act::Close | Act::GoAway) => return Some(act),
        }
        None
    }
}

async fn read(mut body: RecvStream) -> Option<Bytes> {
    let mut all = BytesMut::new();
    while let Some(piece) = body.data().await {
        let piece = piece.ok()?;
        body.flow_control().release_capacity(piece.len()).ok()?;
        all.extend_from_slice(&piece);
    }
    (all.len() >= 5).then(|| all.freeze().slice(5..))
}

fn head() -> Response<()> {
    let kind = HeaderValue::from_static("application/grpc");
    Response::builder()
        .header("content-type", kind)
        .body(())
        .unwrap()
}

/// Whoever asked may have gone.
fn answer(mut respond: SendResponse<Bytes>, body: Bytes, (status, words): (&str, &str)) {
    let Ok(mut stream) = respond.send_response(head(), false) else {
        return;
    };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_str(status).unwrap());
    trailers.insert("grpc-message", HeaderValue::from_str(words).unwrap());
    if !body.is_empty() && stream.send_data(body, false).is_err() {
        return;
    }
    let _ = stream.send_trailers(trailers);
}
