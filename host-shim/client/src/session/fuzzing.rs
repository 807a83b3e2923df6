//! A door for the fuzz target of the descriptor socket in tests/fuzz. Compiled by `cfg(fuzzing)`, and for the test
//! below, which replays the corpus.

mod frames;

pub use frames::fd_frames;

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;

use nix::sys::socket::{Shutdown, shutdown};
use nn_proto::v1::inference_client::InferenceClient;
use nn_proto::v1::{self, fd_client_message, fd_server_message};
use nn_shm::{Segment, fds};
use prost::Message;
use tokio::net::UnixStream;
use tonic::transport::Endpoint;

use super::Session;
use super::fdsock::FdSocket;
use super::open::{Claim, limits};
use crate::stats::Counters;

/// More would fill the socket before anybody reads.
const PACKETS_MAX: usize = 16;

const SEGMENT_BYTES: u64 = 4096;

/// A packet and the descriptor that comes with it.
type Sent = (Vec<u8>, Option<OwnedFd>);

/// A daemon's packets against an open session, which ends with the last of them at the latest.
///
/// For each packet: what it is (0 bytes as they come, 1 a grant, 2 a revocation), the descriptor that comes with it
/// ([`descriptor`]), a number (of bytes; or a segment in the low bits, an arena, a role), and the bytes.
pub fn fd_socket(bytes: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(converse(bytes));
}

async fn converse(bytes: &[u8]) {
    let (ours, theirs) = fds::pair().expect("a pair of sockets");
    for (packet, fd) in packets(bytes) {
        let fd = fd.as_ref().map(AsFd::as_fd);
        fds::send(theirs.as_fd(), &packet, fd.as_slice()).expect("room for a few packets");
    }
    shutdown(theirs.as_raw_fd(), Shutdown::Write).expect("a connected socket");

    // No gRPC here: the connection is being made for as long as the session lives.
    let connector = tower::service_fn(|_| {
        std::future::pending::<std::io::Result<hyper_util::rt::TokioIo<UnixStream>>>()
    });
    let channel = Endpoint::from_static("http://nn-daemon").connect_with_connector_lazy(connector);
    let ours = StdUnixStream::from(ours);
    ours.set_nonblocking(true).expect("a socket");
    let claim = Claim {
        rpc: InferenceClient::new(channel),
        session_id: v1::Id128::default(),
        limits: limits(None),
        fds: FdSocket(UnixStream::from_std(ours).expect("a socket")),
    };
    let session = Session::start(claim, &Arc::new(Counters::default()));
    let mut ended = session.ended_signal.subscribe();
    ended
        .wait_for(|ended| *ended)
        .await
        .expect("the session is held here");
    assert!(session.is_ended());
    drop(session);
    replies(&theirs);
}

/// Every reply is a message of the protocol, and says that a segment was mapped.
fn replies(socket: &OwnedFd) {
    let mut buffer = [0; nn_proto::FD_PACKET_BYTES_MAX];
    for _ in 0..PACKETS_MAX {
        // The session's task may hold its end for a moment longer, so this does not wait.
        let Ok(Some(packet)) = fds::try_recv(socket.as_fd(), &mut buffer, 0) else {
            return;
        };
        let bytes = buffer.get(..packet.len).unwrap_or_default();
        if bytes.is_empty() {
            return;
        }
        let message = v1::FdClientMessage::decode(bytes).expect("a message of ours");
        assert!(matches!(
            message.body,
            Some(fd_client_message::Body::Mapped(_))
        ));
    }
}

fn packets(mut rest: &[u8]) -> Vec<Sent> {
    let mut packets = Vec::new();
    while let [kind, fd, number, after @ ..] = rest {
        if packets.len() >= PACKETS_MAX {
            break;
        }
        rest = after;
        let (arena_id, segment) = (u64::from(number >> 3 & 3), u32::from(number & 7));
        let packet = match kind % 3 {
            0 => {
                let (packet, after) = rest.split_at(usize::from(*number).min(rest.len()));
                rest = after;
                packet.to_vec()
            }
            1 => encoded(fd_server_message::Body::Grant(v1::FdGrant {
                arena_id,
                segment,
                bytes: SEGMENT_BYTES,
                role: i32::from(number >> 5 & 3),
            })),
            _ => encoded(fd_server_message::Body::Revoked(v1::FdRevoked {
                arena_id,
                segment: (number >> 5 & 1 == 1).then_some(segment),
            })),
        };
        packets.push((packet, descriptor(*fd)));
    }
    packets
}

fn encoded(body: fd_server_message::Body) -> Vec<u8> {
    v1::FdServerMessage { body: Some(body) }.encode_to_vec()
}

/// 0 none, 1 a segment to write, 2 one to read, 3 one of another size, 4 a device, 5 a socket.
fn descriptor(kind: u8) -> Option<OwnedFd> {
    let segment = |bytes| Segment::create(bytes).expect("memory for a segment");
    let copy = |segment: &Segment| segment.as_fd().try_clone_to_owned().expect("a descriptor");
    match kind % 6 {
        1 => Some(copy(&segment(SEGMENT_BYTES))),
        2 => {
            let segment = segment(SEGMENT_BYTES);
            segment.seal_writers().expect("a segment to seal");
            Some(copy(&segment))
        }
        3 => Some(copy(&segment(2 * SEGMENT_BYTES))),
        4 => File::open("/dev/null").ok().map(OwnedFd::from),
        5 => fds::pair().ok().map(|(one, _)| one),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Plays the seeds of a target, of which there are some. The first byte says which side it is for; the other side's do
    /// no harm here.
    fn replay(target: &str, play: fn(&[u8])) {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus");
        let files: Vec<_> = std::fs::read_dir(corpus.join(target)).unwrap().collect();
        assert!(!files.is_empty());
        files.into_iter().for_each(|file| {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            play(bytes.get(1..).unwrap_or_default());
        });
    }

    #[test]
    fn the_corpus_of_fd_socket_ends_the_session_without_a_panic() {
        replay("fd_socket", fd_socket);
    }

    #[test]
    fn the_corpus_of_fd_frames_is_judged_as_its_descriptors_were_made() {
        replay("fd_frames", fd_frames);
    }
}
