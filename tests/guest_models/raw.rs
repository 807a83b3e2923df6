//! A client that speaks nn.v1 by hand, to say what an honest one never would.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, socket,
};
use nn_client::status_to_fault;
use nn_proto::v1::inference_client::InferenceClient;
use nn_proto::v1::{self, infer_request, load_graph_request, load_graph_response};
use nn_tensor::Fault;
use nn_tests::Daemon;
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

/// A session; it ends with its descriptor connection, when this is dropped.
pub(crate) struct Raw {
    rpc: InferenceClient<Channel>,
    session: v1::Id128,
    _fds: OwnedFd,
}

/// One LoadGraph call, of which the requests are still open.
pub(crate) struct Call {
    requests: mpsc::Sender<v1::LoadGraphRequest>,
    answers: tonic::Streaming<v1::LoadGraphResponse>,
}

impl Raw {
    pub(crate) async fn open(daemon: &Daemon) -> Self {
        let channel = nn_client::channel(&daemon.socket()).await.unwrap();
        let mut rpc = InferenceClient::new(channel);
        let request = v1::OpenSessionRequest {
            protocol_version: nn_proto::PROTOCOL_VERSION,
            tenant: String::new(),
        };
        let opened = rpc.open_session(request).await.unwrap().into_inner();
        let fds = claim(daemon, &opened);
        Self {
            rpc,
            session: opened.session_id.unwrap(),
            _fds: fds,
        }
    }

    /// Gives a graph back.
    pub(crate) async fn release(&mut self, graph_id: u64) {
        let body = Some(infer_request::Body::ReleaseGraph(v1::ReleaseGraph {
            graph_id,
        }));
        let request = v1::InferRequest {
            session_id: Some(self.session),
            request_id: 0,
            body,
        };
        let (requests, stream) = mpsc::channel(1);
        requests.send(request).await.unwrap();
        drop(requests);
        let mut answers = self.rpc.infer(ReceiverStream::new(stream)).await.unwrap();
        while let Ok(Some(_)) = answers.get_mut().message().await {}
    }

    /// Begins a load of so many bytes with that digest.
    pub(crate) async fn load(&mut self, bytes: usize, sha256: &[u8]) -> Call {
        self.load_after(bytes, sha256, 0).await
    }

    /// The same, by a client that has given so many graphs back.
    pub(crate) async fn load_after(
        &mut self,
        bytes: usize,
        sha256: &[u8],
        graphs_released: u64,
    ) -> Call {
        let (requests, stream) = mpsc::channel(8);
        let part = v1::Part {
            name: String::new(),
            bytes: u64::try_from(bytes).unwrap(),
            sha256: sha256.to_vec(),
        };
        let header = v1::LoadGraphHeader {
            session_id: Some(self.session),
            format: "onnx".to_owned(),
            parts: vec![part],
            graphs_released,
        };
        let body = Some(load_graph_request::Body::Header(header));
        requests.send(v1::LoadGraphRequest { body }).await.unwrap();
        let answers = self.rpc.load_graph(ReceiverStream::new(stream)).await;
        let answers = answers.unwrap().into_inner();
        Call { requests, answers }
    }
}

fn claim(daemon: &Daemon, opened: &v1::OpenSessionResponse) -> OwnedFd {
    let kind = SockType::SeqPacket;
    let fds = socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC, None).unwrap();
    let path = daemon.socket().with_file_name(nn_proto::FD_SOCKET);
    connect(fds.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
    let hello = v1::FdHello {
        session_id: opened.session_id,
        fd_token: opened.fd_token,
    };
    let body = Some(v1::fd_client_message::Body::Hello(hello));
    let packet = v1::FdClientMessage { body }.encode_to_vec();
    send(fds.as_raw_fd(), &packet, MsgFlags::empty()).unwrap();
    let mut buffer = [0; nn_proto::FD_PACKET_BYTES_MAX];
    assert!(recv(fds.as_raw_fd(), &mut buffer, MsgFlags::empty()).unwrap() > 0);
    fds
}

impl Call {
    pub(crate) async fn chunk(&self, bytes: &[u8]) {
        let body = Some(load_graph_request::Body::Chunk(bytes.to_vec()));
        let sent = self.requests.send(v1::LoadGraphRequest { body }).await;
        sent.unwrap();
    }

    /// The next answer; whether it asks for the bytes.
    pub(crate) async fn is_asked_to_send(&mut self) -> Result<bool, Fault> {
        let answer = self.answers.message().await;
        let answer = answer.map_err(|status| status_to_fault(&status))?;
        let body = answer.and_then(|answer| answer.body);
        Ok(matches!(body, Some(load_graph_response::Body::Send(_))))
    }

    /// Closes the sending side and gives the graph that comes; 0 for none.
    pub(crate) async fn graph(mut self) -> u64 {
        let (closed, _) = mpsc::channel(1);
        self.requests = closed;
        let answer = self.answers.message().await.unwrap();
        let Some(load_graph_response::Body::Graph(graph)) = answer.and_then(|it| it.body) else {
            return 0;
        };
        graph.graph_id
    }

    /// Closes the sending side and gives the last answer.
    pub(crate) async fn end(mut self) -> Result<bool, Fault> {
        let (closed, _) = mpsc::channel(1);
        self.requests = closed;
        self.is_asked_to_send().await
    }
}
