//! Doors for the fuzz targets of tests/fuzz: what reads bytes of clients, workers and models, and nothing of what
//! waits or runs processes. Compiled by `cfg(fuzzing)`, and for the tests below, which replay the corpora.

mod door;
mod frames;

pub use door::door_frames;
pub use frames::fd_frames;

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, OnceLock};

use nix::sys::socket::{Shutdown, shutdown};
use nn_proto::v1::{self, fd_client_message, fd_server_message};
use nn_proto::{FD_PACKET_BYTES_MAX, tensor_from_wire};
use nn_shm::fds;
use nn_tensor::{
    DType, Descriptor, Dim, Fault, Id128, ModelName, Signature, Tenant, TensorName, TensorSpec,
    Version,
};
use nn_worker_wire as wire;
use prost::Message;
use tokio::runtime::{Builder, Runtime};

use crate::arena::{Arena, Budgets};
use crate::infer::validate;
use crate::limits::Limits;
use crate::model::{Artifact, Model, Origin, Source};
use crate::packet::PacketSocket;
use crate::peer::Peer;
use crate::session::{Sessions, fd};
use crate::tenancy::Tenancy;
use crate::worker::verify;

/// Stands for the id of the arena that is there.
const ARENA: u64 = 1;

const SEGMENT_BYTES: u64 = 64 * 1024;

/// More would fill the socket before anybody reads.
const PACKETS_MAX: usize = 16;

const PEER: Peer = Peer::of_uid(5);

// === computes ===

/// Checks a compute as it is before it is queued. Its `graph_id` chooses among a few signatures.
pub fn compute(compute: &v1::Compute) {
    let read = |tensor: &v1::Tensor| {
        let mut tensor = tensor.clone();
        if let Some(slot) = &mut tensor.slot {
            slot.arena_id = in_place(slot.arena_id);
        }
        tensor_from_wire(&tensor)
    };
    let Ok(inputs) = compute
        .inputs
        .iter()
        .map(read)
        .collect::<Result<Vec<_>, Fault>>()
    else {
        return;
    };
    let limits = Limits {
        tensor_bytes_max: 4096,
        ..Limits::default()
    };
    let signature = signature(compute.graph_id);
    let Ok((named, pieces)) = validate::inputs(&signature, &inputs, arena(), &limits) else {
        return;
    };
    fit(&named, &signature.inputs);
    for input in named {
        let piece = pieces.iter().find(|piece| piece.id == input.slot().segment);
        let piece = piece.expect("each input's segment is told");
        assert_eq!(input.slot().within(piece.segment.bytes()), Ok(()));
        assert!(input.slot().len <= limits.tensor_bytes_max);
    }
}

/// Checks what a worker says it has computed.
pub fn outputs(outputs: Vec<wire::Tensor>) {
    let choice = outputs.first().map_or(0, |output| output.slot.generation);
    let mut signature = signature(choice);
    signature.outputs = std::mem::take(&mut signature.inputs);
    let outputs = outputs.into_iter().map(|mut output| {
        output.slot.arena = in_place(output.slot.arena);
        output
    });
    if let Ok(outputs) = verify::outputs(&signature, outputs.collect(), arena()) {
        fit(&outputs, &signature.outputs);
        for output in outputs {
            assert_eq!(output.slot().within(SEGMENT_BYTES), Ok(()));
        }
    }
}

fn fit(tensors: &[Descriptor], specs: &[TensorSpec]) {
    assert_eq!(tensors.len(), specs.len());
    for (tensor, spec) in tensors.iter().zip(specs) {
        assert_eq!(tensor.name(), &spec.name);
        assert!(spec.fits(tensor.dtype(), tensor.shape()));
    }
}

fn in_place(arena_id: u64) -> u64 {
    if arena_id == ARENA {
        return arena().id().0;
    }
    arena_id
}

/// An arena of two segments.
fn arena() -> &'static Arena {
    static ARENA: OnceLock<Arena> = OnceLock::new();
    ARENA.get_or_init(|| {
        let arena = Arena::new(Budgets::new(1 << 20).of(&Tenant::default()));
        for _ in 0..2 {
            arena.grow(SEGMENT_BYTES).expect("memory for the arena");
        }
        arena
    })
}

fn signature(choice: u64) -> Signature {
    let spec = |name: &str, dtype, dims: Option<&[Dim]>| TensorSpec {
        name: TensorName::new(name).expect("a usable name"),
        dtype,
        dims: dims.map(<[Dim]>::to_vec),
    };
    let inputs = match choice % 4 {
        0 => vec![spec("x", DType::Fp32, Some(&[Dim::Any, Dim::Fixed(3)]))],
        1 => vec![spec("a", DType::U8, None), spec("b", DType::I64, Some(&[]))],
        // An input whose name is another's number.
        2 => vec![
            spec("1", DType::Fp16, Some(&[Dim::Any])),
            spec("0", DType::Bf16, Some(&[Dim::Any])),
        ],
        _ => Vec::new(),
    };
    Signature {
        inputs,
        outputs: Vec::new(),
    }
}

// === the descriptor socket ===

/// A client's packets against the descriptor socket of a session with one graph.
///
/// The first byte says whether the right hello comes first. Then, for each packet: what it is (0 bytes as they
/// come, 1 a segment of the graph's arena was mapped, 2 the right hello), a number (of bytes, or of the segment), and
/// the bytes.
pub fn fd_socket(bytes: &[u8]) {
    thread_local! {
        static RUNTIME: Runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
    }
    RUNTIME.with(|runtime| runtime.block_on(converse(bytes)));
}

async fn converse(bytes: &[u8]) {
    let limits = Limits {
        segment_bytes: SEGMENT_BYTES,
        ..Limits::default()
    };
    let sessions = Sessions::new(limits.clone(), Tenancy::default());
    let (session, token) = sessions
        .open(PEER, Tenant::default())
        .expect("the first session");
    let (graph, first) = session
        .hold_named(model(), 1, &limits)
        .expect("the first graph");
    let (ours, theirs) = fds::pair().expect("a pair of sockets");
    let packets = packets(bytes, session.id, token, graph.arena.id().0);
    let greeted = packets
        .first()
        .is_some_and(|packet| *packet == hello(session.id, token));
    for packet in &packets {
        fds::send(theirs.as_fd(), packet, &[]).expect("room for a few packets");
    }
    shutdown(theirs.as_raw_fd(), Shutdown::Write).expect("a connected socket");

    let socket = PacketSocket::new(ours).expect("a socket");
    let claimed = fd::hello(&sessions, PEER, &socket).await;
    assert_eq!(claimed.is_ok(), sessions.get(PEER, session.id).is_ok());
    assert!(claimed.is_ok() || !greeted);
    if let Ok((session, out)) = claimed {
        // However it ends, it has to.
        let _ = fd::live(&session, &socket, out).await;
        sessions.close(session.id);
        assert!(session.is_closed());
    }
    drop(socket);
    let granted = first.id.0;
    answers(&theirs, |grant| {
        assert_eq!(
            (grant.arena_id, grant.segment),
            (graph.arena.id().0, granted)
        )
    });
}

/// Every answer is a message of the protocol, with a descriptor exactly where it grants one.
fn answers(socket: &OwnedFd, on_grant: impl Fn(&v1::FdGrant)) {
    let mut buffer = [0; FD_PACKET_BYTES_MAX];
    // A connection that is closed with packets unread ends in an error.
    while let Ok(packet) = fds::recv(socket.as_fd(), &mut buffer, 1) {
        let bytes = buffer.get(..packet.len).unwrap_or_default();
        if bytes.is_empty() {
            return;
        }
        let message = v1::FdServerMessage::decode(bytes).expect("a message of ours");
        let body = message.body.expect("a message with content");
        if let fd_server_message::Body::Grant(grant) = &body {
            on_grant(grant);
        }
        let grants = matches!(body, fd_server_message::Body::Grant(_));
        assert_eq!(packet.fds.len(), usize::from(grants));
    }
}

fn packets(bytes: &[u8], session: Id128, token: Id128, arena_id: u64) -> Vec<Vec<u8>> {
    let Some((&first, mut rest)) = bytes.split_first() else {
        return Vec::new();
    };
    let mut packets = Vec::new();
    if first & 1 == 1 {
        packets.push(hello(session, token));
    }
    while let [kind, number, after @ ..] = rest {
        if packets.len() >= PACKETS_MAX {
            break;
        }
        rest = after;
        packets.push(match kind % 3 {
            0 => {
                let (packet, after) = rest.split_at(usize::from(*number).min(rest.len()));
                rest = after;
                packet.to_vec()
            }
            1 => encoded(fd_client_message::Body::Mapped(v1::FdMapped {
                arena_id,
                segment: u32::from(*number),
            })),
            _ => hello(session, token),
        });
    }
    packets
}

fn hello(session: Id128, token: Id128) -> Vec<u8> {
    encoded(fd_client_message::Body::Hello(v1::FdHello {
        session_id: Some(session.into()),
        fd_token: Some(token.into()),
    }))
}

fn encoded(body: fd_client_message::Body) -> Vec<u8> {
    v1::FdClientMessage { body: Some(body) }.encode_to_vec()
}

fn model() -> &'static Arc<Model> {
    static MODEL: OnceLock<Arc<Model>> = OnceLock::new();
    MODEL.get_or_init(|| {
        let name: ModelName = "m".parse().expect("a name");
        let artifact = Artifact::unread(Origin::Memory, [0; 32], 0, "onnx".to_owned());
        Arc::new(Model::new(
            name,
            Version::FIRST,
            Source::Uploaded,
            Arc::new(artifact),
            1,
        ))
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The files of a folder of the checkout, of which there are some.
    fn files(folder: &str) -> impl Iterator<Item = Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .join(folder);
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().collect();
        assert!(!files.is_empty());
        files
            .into_iter()
            .map(|file| std::fs::read(file.unwrap().path()).unwrap())
    }

    #[test]
    fn the_corpus_of_fd_socket_is_answered_without_a_panic() {
        files("tests/fuzz/corpus/fd_socket").for_each(|bytes| fd_socket(&bytes));
    }

    #[test]
    fn the_corpus_of_door_frames_is_followed_without_a_panic() {
        files("tests/fuzz/corpus/door_frames").for_each(|bytes| door_frames(&bytes));
    }

    #[test]
    fn the_corpus_of_fd_frames_is_judged_without_a_panic() {
        // The first byte says which side it is for; the other side's do no harm here.
        files("tests/fuzz/corpus/fd_frames")
            .for_each(|bytes| fd_frames(bytes.get(1..).unwrap_or_default()));
    }
}
