//! A client that speaks nn.v1 by hand, to say what an honest one never would.

use nn_client::status_to_fault;
use nn_proto::v1::{self, infer_request, load_graph_request, load_graph_response};
use nn_tensor::Fault;
use nn_tests::{Daemon, RawSession};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// A session.
pub(crate) struct Raw(RawSession);

/// One LoadGraph call, of which the requests are still open.
pub(crate) struct Call {
    requests: mpsc::Sender<v1::LoadGraphRequest>,
    answers: tonic::Streaming<v1::LoadGraphResponse>,
}

impl Raw {
    pub(crate) async fn open(daemon: &Daemon) -> Self {
        let channel = nn_client::channel(&daemon.socket()).await.unwrap();
        Self(RawSession::open(daemon, channel).await)
    }

    /// Gives a graph back.
    pub(crate) async fn release(&mut self, graph_id: u64) {
        let body = Some(infer_request::Body::ReleaseGraph(v1::ReleaseGraph {
            graph_id,
        }));
        let request = v1::InferRequest {
            session_id: Some(self.0.id),
            request_id: 0,
            body,
        };
        let (requests, stream) = mpsc::channel(1);
        requests.send(request).await.unwrap();
        drop(requests);
        let mut answers = self.0.rpc.infer(ReceiverStream::new(stream)).await.unwrap();
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
            session_id: Some(self.0.id),
            format: "onnx".to_owned(),
            parts: vec![part],
            graphs_released,
        };
        let body = Some(load_graph_request::Body::Header(header));
        requests.send(v1::LoadGraphRequest { body }).await.unwrap();
        let answers = self.0.rpc.load_graph(ReceiverStream::new(stream)).await;
        let answers = answers.unwrap().into_inner();
        Call { requests, answers }
    }
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
