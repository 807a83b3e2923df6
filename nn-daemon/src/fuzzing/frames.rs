//! Packets with descriptors at the door of the descriptor socket, each sent, taken and judged in one step, by what the
//! connection's task calls: `nn_shm::fds`, then `session/fd.rs`. Sockets and descriptors are made once.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::unistd::dup;
use nn_proto::FD_PACKET_BYTES_MAX;
use nn_proto::v1::{self, fd_client_message};
use nn_shm::{Segment, fds};
use nn_tensor::{Id128, Tenant};

use super::{PEER, SEGMENT_BYTES, encoded, hello, model};
use crate::arena::Piece;
use crate::limits::Limits;
use crate::session::{Session, Sessions, fd};
use crate::tenancy::Tenancy;

const PACKETS_MAX: usize = 16;

/// The most descriptors that come with one packet here.
const FDS_SENT_MAX: u8 = 3;

/// What every run uses.
struct Rig {
    /// A pair whose second end refuses descriptors, as the daemon's do, and one that an older kernel gives.
    pairs: [(OwnedFd, OwnedFd); 2],
    refuses: [bool; 2],
    palette: Vec<OwnedFd>,
}

/// A packet, and which descriptors of the palette come with it.
struct Sent {
    bytes: Vec<u8>,
    fds: Vec<u8>,
    /// It says that the graph's first segment is mapped.
    maps: bool,
}

/// What a packet is put together from.
struct Ids {
    session: Id128,
    token: Id128,
    arena: u64,
    segment: u32,
}

/// A client's packets and descriptors against the door of a session with one graph.
///
/// The first byte says whether the right hello comes first (bit 0), and which kernel it is (bit 1). Then, for each packet:
/// what it is (the low 2 bits: bytes as they come, a segment of the graph's arena was mapped, the right hello, more bytes
/// than a packet may have) and how many descriptors come with it (the high 2), the first of them, a number (of bytes, or
/// of the segment), and the bytes.
pub fn fd_frames(bytes: &[u8]) {
    thread_local! {
        static RIG: Rig = Rig::new().expect("sockets and descriptors");
    }
    RIG.with(|rig| rig.play(bytes));
}

/// The number that the next descriptor gets. It is the same before and after as long as none is left open; where tests
/// run side by side, others open some meanwhile.
fn next_number() -> RawFd {
    if cfg!(test) {
        return 0;
    }
    let null = File::open("/dev/null").expect("a descriptor");
    null.as_raw_fd()
}

fn is_sealed(piece: &Piece) -> bool {
    let seals = fcntl(piece.segment.as_fd(), FcntlArg::F_GET_SEALS).expect("a memfd");
    SealFlag::from_bits_retain(seals).contains(SealFlag::F_SEAL_FUTURE_WRITE)
}

// === impl Rig ===

impl Rig {
    fn new() -> io::Result<Self> {
        let (refusing, open) = (fds::pair()?, fds::pair()?);
        let refuses = [fds::refuse_descriptors(refusing.1.as_fd())?, false];
        let sealed = Segment::create(SEGMENT_BYTES).map_err(io::Error::other)?;
        sealed.seal_writers().map_err(io::Error::other)?;
        let segment = Segment::create(SEGMENT_BYTES).map_err(io::Error::other)?;
        let (read, write) = io::pipe()?;
        let palette = vec![
            dup(segment.as_fd())?,
            dup(sealed.as_fd())?,
            File::open("/dev/null")?.into(),
            File::open("/")?.into(),
            read.into(),
            write.into(),
            fds::pair()?.0,
        ];
        Ok(Self {
            pairs: [refusing, open],
            refuses,
            palette,
        })
    }

    fn play(&self, bytes: &[u8]) {
        let Some((&first, rest)) = bytes.split_first() else {
            return;
        };
        let limits = Limits {
            segment_bytes: SEGMENT_BYTES,
            ..Limits::default()
        };
        let sessions = Sessions::new(limits.clone(), Tenancy::default());
        let opened = sessions.open(PEER, Tenant::default());
        let (session, token) = opened.expect("the first session");
        let graph = session.hold_named(model(), 1, &limits);
        let (graph, piece) = graph.expect("the first graph");
        let ids = Ids {
            session: session.id,
            token,
            arena: graph.arena.id().0,
            segment: piece.id.0,
        };
        let free = next_number();
        let kernel = usize::from(first >> 1 & 1);
        self.converse(
            kernel,
            &sessions,
            &piece,
            &ids.packets(first & 1 == 1, rest),
        );
        assert_eq!(next_number(), free, "a descriptor stayed open");
        sessions.close(ids.session);
        assert!(session.is_closed());
    }

    /// Until the connection would end.
    fn converse(&self, kernel: usize, sessions: &Sessions, piece: &Piece, packets: &[Sent]) {
        let mut live: Option<Arc<Session>> = None;
        for sent in packets {
            let Some(came) = self.carry(kernel, sent) else {
                // The kernel has told its sender. Nothing came.
                assert!(self.refuses[kernel] && !sent.fds.is_empty());
                continue;
            };
            assert!(came.is_err() || sent.fds.is_empty());
            let was_sealed = is_sealed(piece);
            let goes_on = match &live {
                None => {
                    let claimed = fd::claim(sessions, PEER, came);
                    live = claimed.ok().map(|(session, _)| session);
                    live.is_some()
                }
                Some(session) => {
                    let heeded = came.map(|body| fd::heed(session, body));
                    matches!(heeded, Ok(Ok(true)))
                }
            };
            let may_seal = live.is_some() && sent.fds.is_empty();
            assert!(is_sealed(piece) == was_sealed || may_seal);
            assert!(!sent.maps || !goes_on || is_sealed(piece));
            if !goes_on {
                return;
            }
        }
    }

    /// Sends a packet and takes it: `None` where the kernel refuses to carry it.
    fn carry(
        &self,
        kernel: usize,
        sent: &Sent,
    ) -> Option<io::Result<Option<fd_client_message::Body>>> {
        let (theirs, ours) = &self.pairs[kernel];
        let pick = |&index: &u8| {
            let index = usize::from(index).checked_rem(self.palette.len());
            index
                .and_then(|index| self.palette.get(index))
                .map(AsFd::as_fd)
        };
        let brought: Vec<BorrowedFd<'_>> = sent.fds.iter().filter_map(pick).collect();
        fds::send(theirs.as_fd(), &sent.bytes, &brought).ok()?;
        let mut buffer = [0; FD_PACKET_BYTES_MAX];
        let packet = fds::try_recv(ours.as_fd(), &mut buffer, fd::FDS_MAX);
        Some(packet.and_then(|packet| {
            let packet = packet.expect("the packet that was sent");
            assert!(packet.fds.is_empty());
            fd::read(buffer.get(..packet.len).unwrap_or_default())
        }))
    }
}

// === impl Ids ===

impl Ids {
    fn packets(&self, greets: bool, mut rest: &[u8]) -> Vec<Sent> {
        let mut packets = Vec::new();
        if greets {
            packets.push(Sent {
                bytes: hello(self.session, self.token),
                fds: Vec::new(),
                maps: false,
            });
        }
        while let [kind, first, number, after @ ..] = rest {
            if packets.len() >= PACKETS_MAX {
                break;
            }
            rest = after;
            let bytes = match kind & 3 {
                0 => {
                    let (packet, after) = rest.split_at(usize::from(*number).min(rest.len()));
                    rest = after;
                    packet.to_vec()
                }
                1 => encoded(fd_client_message::Body::Mapped(v1::FdMapped {
                    arena_id: self.arena,
                    segment: u32::from(*number),
                })),
                2 => hello(self.session, self.token),
                _ => vec![*number; FD_PACKET_BYTES_MAX.saturating_add(1)],
            };
            let count = (kind >> 6).min(FDS_SENT_MAX);
            packets.push(Sent {
                bytes,
                fds: (0..count).map(|n| first.wrapping_add(n)).collect(),
                maps: kind & 3 == 1 && u32::from(*number) == self.segment,
            });
        }
        packets
    }
}
