//! The fake's memory and its descriptor socket.

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::path::Path;
use std::sync::Arc;

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket,
};
use nn_proto::v1;
use nn_shm::{Allocator, Mapping, Segment, fds};
use nn_tensor::{ArenaId, SegmentId, SlotRef};
use prost::Message;
use tokio::sync::mpsc;
use tonic::Status;

use crate::server::{SEGMENT_BYTES, Seen, State};

pub(crate) const OUT_ARENA: ArenaId = ArenaId(1000);
pub(crate) const TOKEN: v1::Id128 = v1::Id128 { high: 3, low: 4 };

#[derive(Default)]
pub(crate) struct World {
    pub(crate) seen: Seen,
    /// Whether computes are refused, as a daemon does that is ending.
    pub(crate) refuses: bool,
    pub(crate) events: Option<mpsc::Sender<Result<v1::InferResponse, Status>>>,
    pub(crate) fd: Option<StdUnixStream>,
    pub(crate) inputs: HashMap<(ArenaId, SegmentId), (Segment, bool)>,
    pub(crate) next_segment: u32,
    pub(crate) out: Option<Out>,
}

pub(crate) struct Out {
    pub(crate) mapping: Arc<Mapping>,
    pub(crate) slots: Allocator,
}

// === the descriptor socket ===

/// Serves the descriptor socket until the process ends; std's types carry the descriptors.
pub(crate) fn serve_fds(path: &Path, state: Arc<State>) {
    let _ = std::fs::remove_file(path);
    let flags = SockFlag::SOCK_CLOEXEC;
    let listener = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).unwrap();
    bind(listener.as_raw_fd(), &UnixAddr::new(path).unwrap()).unwrap();
    listen(&listener, Backlog::new(8).unwrap()).unwrap();
    let listener = StdUnixListener::from(listener);
    let serving = move || {
        while let Ok((connection, _)) = listener.accept() {
            let state = Arc::clone(&state);
            let serve = move || serve_fd(&connection, &state);
            std::thread::Builder::new().spawn(serve).unwrap();
        }
    };
    std::thread::Builder::new().spawn(serving).unwrap();
}

fn serve_fd(connection: &StdUnixStream, state: &State) {
    let mut buffer = [0; 4096];
    while let Ok(packet) = fds::recv(connection.as_fd(), &mut buffer, 0) {
        if packet.len == 0 {
            return;
        }
        let message = v1::FdClientMessage::decode(&buffer[..packet.len]).unwrap();
        match message.body.unwrap() {
            v1::fd_client_message::Body::Hello(hello) => {
                assert_eq!(hello.fd_token, Some(TOKEN));
                let fd = connection.try_clone().unwrap();
                state.world.lock().unwrap().fd = Some(fd);
                say(
                    connection,
                    v1::fd_server_message::Body::Accepted(v1::FdAccepted {}),
                    None,
                );
            }
            v1::fd_client_message::Body::Mapped(mapped) => {
                let key = (ArenaId(mapped.arena_id), SegmentId(mapped.segment));
                let mut world = state.world.lock().unwrap();
                // One of the session before this one is gone.
                if let Some((segment, sealed)) = world.inputs.get_mut(&key) {
                    segment.seal_writers().unwrap();
                    *sealed = true;
                }
            }
        }
    }
}

fn say(to: &StdUnixStream, body: v1::fd_server_message::Body, segment: Option<&Segment>) {
    let bytes = v1::FdServerMessage { body: Some(body) }.encode_to_vec();
    let descriptors: Vec<_> = segment.iter().map(|segment| segment.as_fd()).collect();
    let _ = fds::send(to.as_fd(), &bytes, &descriptors);
}

// === impl World ===

impl World {
    pub(crate) fn grant(&self, arena: ArenaId, id: SegmentId, segment: &Segment, role: v1::Role) {
        let grant = v1::FdGrant {
            arena_id: arena.0,
            segment: id.0,
            bytes: segment.bytes(),
            role: role.into(),
        };
        let body = v1::fd_server_message::Body::Grant(grant);
        say(self.fd.as_ref().unwrap(), body, Some(segment));
    }

    pub(crate) fn grow(&mut self, arena: ArenaId, bytes: u64) -> v1::Segment {
        let id = SegmentId(self.next_segment);
        self.next_segment += 1;
        let segment = Segment::create(bytes).unwrap();
        self.grant(arena, id, &segment, v1::Role::Input);
        self.inputs.insert((arena, id), (segment, false));
        v1::Segment { id: id.0, bytes }
    }

    /// The bytes of an input, as a worker would see them; `None` until its segment is sealed.
    pub(crate) fn input(&self, slot: SlotRef) -> Option<Vec<u8>> {
        let (segment, sealed) = self.inputs.get(&(slot.arena, slot.segment))?;
        let fd = segment.as_fd().try_clone_to_owned().unwrap();
        sealed.then(|| {
            let mapping = Segment::for_reader(fd, segment.bytes())
                .unwrap()
                .map_reader();
            mapping
                .unwrap()
                .slice(slot.offset, slot.len)
                .unwrap()
                .to_vec()
                .unwrap()
        })
    }

    /// An output slot; the arena is made, and granted unless told not to, with the first.
    pub(crate) fn output(&mut self, bytes: &[u8], grant: bool) -> (v1::Slot, Option<Segment>) {
        let mut late = None;
        if self.out.is_none() {
            let segment = Segment::create(16 * SEGMENT_BYTES).unwrap();
            let mapping = Arc::new(segment.map_writer().unwrap());
            segment.seal_writers().unwrap();
            if grant {
                self.grant(OUT_ARENA, SegmentId(0), &segment, v1::Role::Output);
            } else {
                late = Some(segment);
            }
            let mut slots = Allocator::new(OUT_ARENA);
            slots.add_segment(SegmentId(0), 16 * SEGMENT_BYTES);
            self.out = Some(Out { mapping, slots });
        }
        let out = self.out.as_mut().unwrap();
        let slot = out
            .slots
            .alloc(u64::try_from(bytes.len()).unwrap())
            .unwrap();
        let room = out.mapping.slice(slot.offset, slot.len).unwrap();
        room.copy_from(bytes).unwrap();
        (slot.into(), late)
    }
}
