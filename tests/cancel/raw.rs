//! A client that speaks nn.v1 by hand: it sees each answer, and sends what an honest one never would.

use std::collections::HashMap;
use std::time::Duration;

use nn_proto::v1::{self, infer_request::Body, infer_response};
use nn_tests::{Daemon, RawSession};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A session with its stream.
pub(crate) struct Raw {
    session: RawSession,
    graph: u64,
    requests: mpsc::Sender<v1::InferRequest>,
    answers: tonic::Streaming<v1::InferResponse>,
}

// === impl Raw ===

impl Raw {
    /// A session on that connection, and a graph in it.
    pub(crate) async fn open(daemon: &Daemon, channel: &Channel, model: &str) -> Self {
        let mut session = RawSession::open(daemon, channel.clone()).await;
        let resolve = v1::ResolveGraphRequest {
            session_id: Some(session.id),
            reference: model.to_owned(),
        };
        let graph = session.rpc.resolve_graph(resolve).await;
        let (requests, stream) = mpsc::channel(2048);
        let answers = session.rpc.infer(ReceiverStream::new(stream)).await;
        Self {
            session,
            graph: graph.unwrap().into_inner().graph_id,
            requests,
            answers: answers.unwrap().into_inner(),
        }
    }

    async fn say(&self, request_id: u64, body: Body) {
        let request = v1::InferRequest {
            session_id: Some(self.session.id),
            request_id,
            body: Some(body),
        };
        self.requests.send(request).await.unwrap();
    }

    /// Asks for a compute without inputs.
    pub(crate) async fn compute(&self, id: u64, timeout_us: u64) {
        let compute = v1::Compute {
            graph_id: self.graph,
            inputs: Vec::new(),
            timeout_us,
            trace: String::new(),
        };
        self.say(id, Body::Compute(compute)).await;
    }

    pub(crate) async fn cancel(&self, id: u64) {
        self.say(id, Body::Cancel(v1::Cancel {})).await;
    }

    /// The next answer: whose, and how it failed; `None` when the stream has ended.
    pub(crate) async fn answer(&mut self) -> Option<(u64, v1::Error)> {
        let message = tokio::time::timeout(PATIENCE, self.answers.message()).await;
        let message = message.expect("an answer in time").ok()??;
        match message.body {
            Some(infer_response::Body::Error(error)) => Some((message.request_id, error)),
            other => panic!("expected an error, got {other:?}"),
        }
    }

    /// How often each id was answered, until so many answers have come and nothing follows for a while.
    pub(crate) async fn tally(&mut self, expected: usize) -> HashMap<u64, usize> {
        let mut tally = HashMap::new();
        for _ in 0..expected {
            let (id, _) = self.answer().await.expect("a stream that lives");
            *tally.entry(id).or_default() += 1;
        }
        let more = tokio::time::timeout(Duration::from_millis(200), self.answers.message()).await;
        assert!(more.is_err(), "one answer too many: {more:?}");
        tally
    }
}
