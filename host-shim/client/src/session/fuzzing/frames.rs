//! Packets with descriptors as a client judges them, each sent, taken and judged in one step, by what the session's task
//! calls: `nn_shm::fds`, then `fdsock.rs` and `grants.rs`. Sockets and descriptors are made once. Which grants are taken is
//! held against what their descriptors were made as.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl, open};
use nix::sys::eventfd::EventFd;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::Mode;
use nix::unistd::ftruncate;
use nn_proto::FD_PACKET_BYTES_MAX;
use nn_proto::v1::{self, fd_server_message};
use nn_shm::fds;

use super::{SEGMENT_BYTES, encoded};
use crate::session::fdsock::{FDS_MAX, Received};
use crate::session::grants::{Taken, taken};

const PACKETS_MAX: usize = 16;

/// What a segment needs for its writer, and for its readers besides.
const SIZE: SealFlag = SealFlag::F_SEAL_GROW.union(SealFlag::F_SEAL_SHRINK);
const WRITERS: SealFlag = SealFlag::F_SEAL_FUTURE_WRITE.union(SealFlag::F_SEAL_SEAL);

/// What every run uses.
struct Rig {
    theirs: OwnedFd,
    ours: OwnedFd,
    palette: Vec<Kind>,
}

/// A descriptor, and what is true of it.
struct Kind {
    fd: OwnedFd,
    /// Of a memfd: its size and seals.
    memory: Option<(u64, SealFlag)>,
}

/// A packet, and which descriptors of the palette come with it.
struct Sent {
    bytes: Vec<u8>,
    first: u8,
    count: u8,
}

/// A daemon's packets and descriptors against a session.
///
/// For each packet: what it is (the low 2 bits: bytes as they come, a grant, a revocation, more bytes than a packet may
/// have), the role of a grant (2 bits), whether its size is another (1 bit), and how many descriptors come with it (the
/// high 2); the first of them, a number (of bytes, or of the segment), and the bytes.
pub fn fd_frames(bytes: &[u8]) {
    thread_local! {
        static RIG: Rig = Rig::new().expect("sockets and descriptors");
    }
    RIG.with(|rig| {
        let free = next_number();
        for sent in packets(bytes) {
            if !rig.judge(&sent) {
                break;
            }
        }
        assert_eq!(next_number(), free, "a descriptor stayed open");
    });
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

fn memory(bytes: u64, seals: SealFlag) -> io::Result<Kind> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let fd = memfd_create(c"fuzzed", flags)?;
    ftruncate(&fd, i64::try_from(bytes).map_err(io::Error::other)?)?;
    fcntl(&fd, FcntlArg::F_ADD_SEALS(seals))?;
    let memory = Some((bytes, seals));
    Ok(Kind { fd, memory })
}

fn foreign(fd: impl Into<OwnedFd>) -> Kind {
    let (fd, memory) = (fd.into(), None);
    Kind { fd, memory }
}

fn packets(mut rest: &[u8]) -> Vec<Sent> {
    let mut packets = Vec::new();
    while let [kind, first, number, after @ ..] = rest {
        if packets.len() >= PACKETS_MAX {
            break;
        }
        rest = after;
        let (arena_id, segment) = (u64::from(number >> 3 & 3), u32::from(number & 7));
        let bytes = match kind & 3 {
            0 => {
                let (packet, after) = rest.split_at(usize::from(*number).min(rest.len()));
                rest = after;
                packet.to_vec()
            }
            1 => encoded(fd_server_message::Body::Grant(v1::FdGrant {
                arena_id,
                segment,
                bytes: SEGMENT_BYTES << (kind >> 4 & 1),
                role: i32::from(kind >> 2 & 3),
            })),
            2 => encoded(fd_server_message::Body::Revoked(v1::FdRevoked {
                arena_id,
                segment: (number >> 5 & 1 == 1).then_some(segment),
            })),
            _ => vec![*number; FD_PACKET_BYTES_MAX.saturating_add(1)],
        };
        packets.push(Sent {
            bytes,
            first: *first,
            count: kind >> 6,
        });
    }
    packets
}

// === impl Rig ===

impl Rig {
    fn new() -> io::Result<Self> {
        let (theirs, ours) = fds::pair()?;
        let (read, write) = io::pipe()?;
        let path_only = open("/dev/null", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
        let palette = vec![
            memory(SEGMENT_BYTES, SIZE)?,
            memory(SEGMENT_BYTES, SIZE | WRITERS)?,
            memory(2 * SEGMENT_BYTES, SIZE)?,
            memory(2 * SEGMENT_BYTES, SIZE | WRITERS)?,
            memory(SEGMENT_BYTES, SealFlag::empty())?,
            memory(SEGMENT_BYTES, SealFlag::F_SEAL_GROW)?,
            memory(SEGMENT_BYTES, SealFlag::F_SEAL_SHRINK | WRITERS)?,
            memory(SEGMENT_BYTES, SIZE | SealFlag::F_SEAL_WRITE)?,
            memory(0, SIZE)?,
            foreign(read),
            foreign(write),
            foreign(path_only),
            foreign(File::open("/dev/zero")?),
            foreign(File::open("/")?),
            foreign(EventFd::new()?),
            foreign(fds::pair()?.0),
        ];
        Ok(Self {
            theirs,
            ours,
            palette,
        })
    }

    fn kind(&self, number: u8) -> &Kind {
        let index = usize::from(number).checked_rem(self.palette.len());
        let kind = index.and_then(|index| self.palette.get(index));
        kind.expect("a palette with something in it")
    }

    /// Sends a packet, takes it and judges it; false if the session would end with it.
    fn judge(&self, sent: &Sent) -> bool {
        let kinds = (0..sent.count).map(|n| self.kind(sent.first.wrapping_add(n)));
        let kinds: Vec<&Kind> = kinds.collect();
        let brought: Vec<BorrowedFd<'_>> = kinds.iter().map(|kind| kind.fd.as_fd()).collect();
        fds::send(self.theirs.as_fd(), &sent.bytes, &brought).expect("room for one packet");
        let mut buffer = [0; FD_PACKET_BYTES_MAX];
        let packet = fds::try_recv(self.ours.as_fd(), &mut buffer, FDS_MAX);
        let packet = packet.map(|packet| packet.expect("the packet that was sent"));
        let may_come = kinds.len() <= FDS_MAX && sent.bytes.len() <= FD_PACKET_BYTES_MAX;
        assert_eq!(packet.is_ok(), may_come, "{packet:?}");
        let Ok(mut packet) = packet else {
            return false;
        };
        let bytes = buffer.get(..packet.len).unwrap_or_default();
        let Ok(Received { body, fd }) = Received::of(bytes, packet.fds.pop()) else {
            return false;
        };
        let fd_server_message::Body::Grant(grant) = body else {
            return matches!(body, fd_server_message::Body::Revoked(_));
        };
        let got = taken(&grant, fd);
        let fits = kinds.first().is_some_and(|kind| kind.fits(&grant));
        assert_eq!(got.is_ok(), fits, "{grant:?}: {got:?}");
        match (&got, grant.role()) {
            (Ok(Taken::Input(_)), v1::Role::Input) | (Ok(Taken::Output(_)), v1::Role::Output) => {}
            (Err(_), _) => {}
            (Ok(other), role) => unreachable!("{other:?} as {role:?}"),
        }
        got.is_ok()
    }
}

// === impl Kind ===

impl Kind {
    /// Whether it may be taken for what a grant says.
    fn fits(&self, grant: &v1::FdGrant) -> bool {
        let Some((bytes, seals)) = self.memory else {
            return false;
        };
        let no_writers = SealFlag::F_SEAL_FUTURE_WRITE | SealFlag::F_SEAL_WRITE;
        let role = match grant.role() {
            v1::Role::Input => seals.contains(SIZE) && !seals.intersects(no_writers),
            v1::Role::Output => seals.contains(SIZE | WRITERS),
            v1::Role::Unspecified => false,
        };
        role && bytes == grant.bytes && bytes > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_every_kind_in_every_role_and_size_exactly_the_right_ones_are_taken() {
        let rig = Rig::new().unwrap();
        let (mut good, mut all) = (0, 0);
        for kind in 0..=u8::MAX {
            for first in 0..16 {
                let grants = packets(&[kind & !3 | 1, first, 0]);
                all += grants.len();
                good += grants.iter().filter(|sent| rig.judge(sent)).count();
            }
        }
        assert!(good > 0 && good < all, "{good} of {all}");
    }
}
