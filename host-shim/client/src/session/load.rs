//! From a model's bytes to a graph of this session. The daemon knows bytes by their digest: what it has
//! already is not sent again. Each answer is one hold of the graph, given back when what it resolved to drops.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nn_proto::GRAPH_CHUNK_BYTES_MAX;
use nn_proto::v1;
use nn_proto::v1::load_graph_request::Body as Ask;
use nn_proto::v1::load_graph_response::Body as Answer;
use nn_tensor::{Fault, Reason, bundle};
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
    /// OpenVINO's IR: two parts, the XML and then the weights, which may be none.
    OpenVinoIr,
    /// The daemon looks at the bytes of one part; two are OpenVINO's IR.
    Detect,
}

/// What the daemon has to be told of bytes before it sees any.
#[derive(Debug)]
pub(crate) struct Described {
    format: Format,
    part: v1::Part,
    /// What stands before the first part and behind it, where two are sent as one.
    frame: Option<(Vec<u8>, Vec<u8>)>,
}

/// Hashes a model's parts; fails where they cannot be a model of that format.
pub(crate) async fn describe(format: Format, parts: &[Vec<u8>]) -> Result<Described, Fault> {
    let format = format.of_parts(parts.len())?;
    let frame = match (format, parts) {
        (Format::OpenVinoIr, [xml, _]) => {
            let (header, zeros) = bundle::frame(len(xml));
            Some((header.to_vec(), vec![0; zeros]))
        }
        _ => None,
    };
    let mut described = Described {
        format,
        part: v1::Part::default(),
        frame,
    };
    let pieces = || described.pieces(parts);
    let bytes = pieces().fold(0_u64, |sum, piece| sum.saturating_add(len(piece)));
    let sha256 = digest(pieces()).await?;
    described.part = v1::Part {
        name: String::new(),
        bytes,
        sha256,
    };
    Ok(described)
}

fn len(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

async fn digest(pieces: impl Iterator<Item = &[u8]>) -> Result<Vec<u8>, Fault> {
    let mut hasher = Sha256::new();
    for chunk in pieces.flat_map(|piece| piece.chunks(HASH_BYTES)) {
        if chunk.len() < HASH_BYTES {
            hasher.update(chunk);
            continue;
        }
        let chunk = chunk.to_vec();
        let hashed = tokio::task::spawn_blocking(move || {
            hasher.update(&chunk);
            hasher
        });
        hasher = hashed
            .await
            .map_err(|_| Fault::of(Reason::Defect).message("hashing the model was interrupted"))?;
    }
    Ok(hasher.finalize().to_vec())
}

// === impl Format ===

impl Format {
    /// What a model of so many parts is; fails where there is no such thing.
    pub fn of_parts(self, parts: usize) -> Result<Self, Fault> {
        let fault = |expected: &str| {
            Fault::of(Reason::PartsWrong)
                .message("a wrong number of parts")
                .expected(expected)
                .got(format!("{parts} parts"))
        };
        match (self, parts) {
            (Self::Onnx | Self::Detect, 1) => Ok(self),
            (Self::OpenVinoIr | Self::Detect, 2) => Ok(Self::OpenVinoIr),
            (Self::Onnx, _) => Err(fault("one part for a model in ONNX")),
            (Self::OpenVinoIr, _) => Err(fault(
                "two parts for a model of OpenVINO: the XML, then the weights",
            )
            .hint("a model in ONNX is loaded in the encoding onnx")),
            (Self::Detect, _) => Err(fault(
                "one part for a model in ONNX, two for one of OpenVINO",
            )),
        }
    }

    fn on_the_wire(self) -> &'static str {
        match self {
            Self::Onnx => "onnx",
            Self::OpenVinoIr => "openvino-ir",
            Self::Detect => "",
        }
    }
}

// === impl Described ===

impl Described {
    /// The bytes that are sent, in their order.
    fn pieces<'a>(&'a self, parts: &'a [Vec<u8>]) -> impl Iterator<Item = &'a [u8]> {
        let (before, behind) = match &self.frame {
            Some((header, zeros)) => (header.as_slice(), zeros.as_slice()),
            None => (&[][..], &[][..]),
        };
        let (first, rest) = match parts.split_first() {
            Some((first, rest)) => (first.as_slice(), rest),
            None => (&[][..], &[][..]),
        };
        [before, first, behind]
            .into_iter()
            .chain(rest.iter().map(Vec::as_slice))
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
            parts: vec![described.part.clone()],
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
            feed(&upload, described.pieces(parts)).await;
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
        let late = || Fault::of(Reason::LoadLate);
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

/// Sends bytes for as long as somebody takes them: who does not has an answer that says why.
async fn feed<'a>(
    upload: &mpsc::Sender<v1::LoadGraphRequest>,
    pieces: impl Iterator<Item = &'a [u8]>,
) {
    for chunk in pieces.flat_map(|piece| piece.chunks(GRAPH_CHUNK_BYTES_MAX)) {
        if upload.send(ask(Ask::Chunk(chunk.to_vec()))).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use nn_tensor::Code;

    use super::*;

    #[tokio::test]
    async fn a_digest_taken_in_pieces_is_that_of_the_whole() {
        let bytes: Vec<u8> = (0..3 * HASH_BYTES + 17)
            .map(|i| i.to_le_bytes()[0])
            .collect();
        let (small, large) = bytes.split_at(17);
        assert_eq!(
            digest([small, large].into_iter()).await.unwrap(),
            Sha256::digest(&bytes).to_vec()
        );
    }

    #[tokio::test]
    async fn onnx_in_two_parts_is_refused_here_and_ir_in_one() {
        let parts = [vec![1], vec![2]];
        let onnx = describe(Format::Onnx, &parts).await.unwrap_err();
        let ir = describe(Format::OpenVinoIr, &parts[..1]).await.unwrap_err();
        assert_eq!(
            (onnx.code, ir.code),
            (Code::InvalidArgument, Code::InvalidArgument)
        );
        assert!(
            ir.expected.contains("two parts") && ir.hint.contains("onnx"),
            "{ir}"
        );
        assert!(describe(Format::Detect, &[]).await.is_err());
    }

    #[tokio::test]
    async fn two_parts_go_as_one_bundle_of_which_the_digest_is() {
        for weights in [&b"weights"[..], b""] {
            let parts = [b"<net/>".to_vec(), weights.to_vec()];
            let described = describe(Format::Detect, &parts).await.unwrap();
            let sent: Vec<u8> = described.pieces(&parts).flatten().copied().collect();
            let pair = bundle::split(&sent).unwrap().unwrap();
            assert_eq!((pair.xml, pair.weights), (&parts[0][..], weights));
            assert_eq!(described.part.bytes, len(&sent));
            assert_eq!(described.part.sha256, Sha256::digest(&sent).to_vec());
            assert_eq!(described.format, Format::OpenVinoIr);
        }
    }
}
