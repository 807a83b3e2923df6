//! From a model's bytes to a graph of this session. The daemon knows bytes by their digest: what it has
//! already is not sent again. Each answer is one hold of the graph, given back when what it resolved to drops.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nn_proto::GRAPH_CHUNK_BYTES_MAX;
use nn_proto::v1;
use nn_proto::v1::load_graph_request::Body as Ask;
use nn_proto::v1::load_graph_response::Body as Answer;
use nn_tensor::{Code, Fault};
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;

use super::{Resolved, Session};
use crate::fault;

/// Longest wait for all of it: above what the daemon allows for room, upload and load together.
const LOAD_TIMEOUT: Duration = Duration::from_secs(300);

/// Chunks that wait to be sent.
const CHUNKS_AHEAD: usize = 4;

/// More bytes than this are hashed away from the executor, this many at a time.
const HASH_BYTES: usize = 1024 * 1024;

/// What a model's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// ONNX: one part, a serialized ModelProto.
    Onnx,
    /// The daemon looks at the bytes.
    Detect,
}

/// What the daemon has to be told of bytes before it sees any.
#[derive(Debug)]
pub(crate) struct Described {
    format: Format,
    parts: Vec<v1::Part>,
}

/// Hashes a model's parts; fails where they cannot be a model of that format.
pub(crate) async fn describe(format: Format, parts: &[Vec<u8>]) -> Result<Described, Fault> {
    if parts.is_empty() || (format == Format::Onnx && parts.len() != 1) {
        return Err(Fault::invalid_argument("a wrong number of parts")
            .expected("one part for a model in ONNX")
            .got(format!("{} parts", parts.len())));
    }
    let mut described = Vec::with_capacity(parts.len());
    for part in parts {
        described.push(v1::Part {
            name: String::new(),
            bytes: u64::try_from(part.len()).unwrap_or(u64::MAX),
            sha256: digest(part).await?,
        });
    }
    Ok(Described {
        format,
        parts: described,
    })
}

async fn digest(bytes: &[u8]) -> Result<Vec<u8>, Fault> {
    if bytes.len() <= HASH_BYTES {
        return Ok(Sha256::digest(bytes).to_vec());
    }
    let mut hasher = Sha256::new();
    for chunk in bytes.chunks(HASH_BYTES) {
        let chunk = chunk.to_vec();
        let hashed = tokio::task::spawn_blocking(move || {
            hasher.update(&chunk);
            hasher
        });
        hasher = hashed
            .await
            .map_err(|_| Fault::runtime("hashing the model was interrupted"))?;
    }
    Ok(hasher.finalize().to_vec())
}

// === impl Format ===

impl Format {
    fn on_the_wire(self) -> &'static str {
        match self {
            Self::Onnx => "onnx",
            Self::Detect => "",
        }
    }
}

// === impl Session ===

impl Session {
    /// Loads a model from its bytes. When this future is dropped the upload ends; what the daemon has
    /// answered by then is given back.
    pub(crate) async fn load(
        self: &Arc<Self>,
        described: &Described,
        parts: &[Vec<u8>],
    ) -> Result<Arc<Resolved>, Fault> {
        self.counters.loaded();
        let header = v1::LoadGraphHeader {
            session_id: Some(self.id),
            format: described.format.on_the_wire().to_owned(),
            parts: described.parts.clone(),
            graphs_released: self.graphs_released.load(Ordering::Relaxed),
        };
        let (upload, requests) = mpsc::channel(CHUNKS_AHEAD);
        upload
            .try_send(ask(Ask::Header(header)))
            .map_err(|_| fault::lost())?;
        let (wanted, want) = oneshot::channel();
        // A task of its own: an answer that this call does not wait for must still be given back.
        let talk = tokio::spawn(Arc::clone(self).converse(requests, wanted));
        if want.await.is_ok() {
            self.counters.uploaded();
            feed(&upload, parts).await;
        }
        drop(upload);
        let resolved = talk.await.map_err(|_| fault::lost())??;
        self.first_segment(&resolved.arena).await?;
        Ok(resolved)
    }

    async fn converse(
        self: Arc<Self>,
        requests: mpsc::Receiver<v1::LoadGraphRequest>,
        wanted: oneshot::Sender<()>,
    ) -> Result<Arc<Resolved>, Fault> {
        let late = || Fault::new(Code::Timeout, "the model was not ready in time");
        let talking = self.answered(requests, wanted);
        let answer = self.bounded(LOAD_TIMEOUT, late, talking).await?;
        self.take(answer).map(Arc::new)
    }

    /// The daemon's last word; says on the way if it wants the bytes.
    async fn answered(
        &self,
        requests: mpsc::Receiver<v1::LoadGraphRequest>,
        wanted: oneshot::Sender<()>,
    ) -> Result<v1::ResolveGraphResponse, Fault> {
        let mut rpc = self.rpc.clone();
        let failed = |status| fault::status_to_fault(&status);
        let answers = rpc.load_graph(ReceiverStream::new(requests)).await;
        let mut answers = answers.map_err(failed)?.into_inner();
        let mut wanted = Some(wanted);
        loop {
            let answer = answers.message().await.map_err(failed)?;
            match answer.and_then(|answer| answer.body) {
                Some(Answer::Send(v1::SendParts {})) => match wanted.take() {
                    Some(wanted) => drop(wanted.send(())),
                    None => return Err(fault::protocol("it asked twice for the same bytes")),
                },
                Some(Answer::Graph(graph)) => return Ok(graph),
                None => return Err(fault::protocol("a load without its graph")),
            }
        }
    }
}

fn ask(body: Ask) -> v1::LoadGraphRequest {
    v1::LoadGraphRequest { body: Some(body) }
}

/// Sends the parts' bytes for as long as somebody takes them: who does not has an answer that says why.
async fn feed(upload: &mpsc::Sender<v1::LoadGraphRequest>, parts: &[Vec<u8>]) {
    let chunks = parts
        .iter()
        .flat_map(|part| part.chunks(GRAPH_CHUNK_BYTES_MAX));
    for chunk in chunks {
        if upload.send(ask(Ask::Chunk(chunk.to_vec()))).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_digest_taken_in_pieces_is_that_of_the_whole() {
        let bytes: Vec<u8> = (0..3 * HASH_BYTES + 17)
            .map(|i| i.to_le_bytes()[0])
            .collect();
        assert_eq!(
            digest(&bytes).await.unwrap(),
            Sha256::digest(&bytes).to_vec()
        );
    }

    #[tokio::test]
    async fn onnx_in_two_parts_is_refused_here() {
        let parts = [vec![1], vec![2]];
        let fault = describe(Format::Onnx, &parts).await.unwrap_err();
        assert_eq!(fault.code, Code::InvalidArgument);
        assert!(describe(Format::Detect, &[]).await.is_err());
    }
}
