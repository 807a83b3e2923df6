//! What comes on the descriptor socket: segments to map, arenas that are gone. Whatever is not as the
//! protocol has it ends the session; its memory is checked by nn-shm before a byte is mapped.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use nn_proto::v1;
use nn_shm::{Mapping, Segment};
use nn_tensor::{ArenaId, Fault, SegmentId};

use super::fdsock::{FdSocket, Received};
use super::{GRANT_WAIT, Session};
use crate::arena::{InArena, OutArena};
use crate::fault;
use crate::sync::lock;

/// The most segments one session maps. The kernel allows a process 65,530 mappings.
const SEGMENTS_MAX: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Arenas {
    inputs: HashMap<ArenaId, Arc<InArena>>,
    outputs: HashMap<ArenaId, Arc<OutArena>>,
    segments: usize,
}

/// What a grant brought, mapped.
#[derive(Debug)]
pub(super) enum Taken {
    Input(Mapping),
    Output(Mapping),
}

fn invalid(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// The memory that a grant brings, if it is what it says.
pub(super) fn taken(grant: &v1::FdGrant, fd: Option<OwnedFd>) -> io::Result<Taken> {
    let fd = fd.ok_or_else(|| invalid("a grant without descriptor"))?;
    match grant.role() {
        v1::Role::Input => Segment::for_writer(fd, grant.bytes)
            .and_then(|segment| segment.map_writer())
            .map(Taken::Input)
            .map_err(invalid),
        v1::Role::Output => Segment::for_reader(fd, grant.bytes)
            .and_then(|segment| segment.map_reader())
            .map(Taken::Output)
            .map_err(invalid),
        v1::Role::Unspecified => Err(invalid("a grant without role")),
    }
}

impl Session {
    /// Serves the descriptor socket until it ends, and the session with it.
    pub(super) async fn run_grants(self: Arc<Self>, fds: FdSocket) {
        let error = loop {
            let received = match fds.recv().await {
                Ok(received) => received,
                Err(error) => break error,
            };
            if let Err(error) = self.on_grant(&fds, received).await {
                break error;
            }
        };
        if error.kind() == io::ErrorKind::UnexpectedEof {
            tracing::warn!("nn-daemon closed the session");
        } else {
            tracing::warn!(%error, "the session ends");
        }
        self.end(&fault::lost());
    }

    async fn on_grant(self: &Arc<Self>, fds: &FdSocket, received: Received) -> io::Result<()> {
        match received.body {
            v1::fd_server_message::Body::Grant(grant) => {
                self.map(fds, grant, received.fd).await?;
            }
            v1::fd_server_message::Body::Revoked(v1::FdRevoked { arena_id, segment }) => {
                match segment {
                    None => self.revoke(ArenaId(arena_id)),
                    Some(segment) => self.revoke_segment(ArenaId(arena_id), SegmentId(segment)),
                }
            }
            v1::fd_server_message::Body::Refused(error) => {
                self.end(&Fault::from(error));
                return Err(invalid("nn-daemon ended the session"));
            }
            v1::fd_server_message::Body::Accepted(v1::FdAccepted {}) => {
                return Err(invalid("accepted twice"));
            }
        }
        self.granted
            .send_modify(|count| *count = count.wrapping_add(1));
        Ok(())
    }

    async fn map(&self, fds: &FdSocket, grant: v1::FdGrant, fd: Option<OwnedFd>) -> io::Result<()> {
        let (arena, segment) = (ArenaId(grant.arena_id), SegmentId(grant.segment));
        {
            let mut arenas = lock(&self.arenas);
            if arenas.segments >= SEGMENTS_MAX {
                return Err(invalid("more segments than a session maps"));
            }
            arenas.segments = arenas.segments.saturating_add(1);
        }
        match taken(&grant, fd)? {
            Taken::Input(mapping) => {
                let mapped = v1::FdMapped {
                    arena_id: grant.arena_id,
                    segment: grant.segment,
                };
                // Told before any slot in it can be named.
                fds.send(v1::fd_client_message::Body::Mapped(mapped))
                    .await?;
                self.input_arena(arena)
                    .add_segment(segment, grant.bytes, mapping);
            }
            Taken::Output(mapping) => {
                self.output_arena(arena)
                    .add_segment(segment, grant.bytes, mapping);
            }
        }
        Ok(())
    }

    fn revoke_segment(&self, arena: ArenaId, segment: SegmentId) {
        let mut arenas = lock(&self.arenas);
        let gone = arenas
            .outputs
            .get(&arena)
            .is_some_and(|out| out.remove_segment(segment));
        arenas.segments = arenas.segments.saturating_sub(usize::from(gone));
    }

    /// Gives idle input segments and idle versions back, every now and then, until the session ends.
    pub(super) async fn run_sweeps(self: Arc<Self>) {
        loop {
            tokio::time::sleep(self.limits.idle).await;
            self.forget_numbered(self.limits.idle);
            let inputs: Vec<Arc<InArena>> = lock(&self.arenas).inputs.values().cloned().collect();
            for arena in inputs {
                for segment in arena.sweep() {
                    self.give_back(arena.id(), segment).await;
                }
            }
        }
    }

    /// What the daemon does not take back stays charged to the tenant until the session ends.
    async fn give_back(&self, arena: ArenaId, segment: SegmentId) {
        let request = v1::ReturnSegmentRequest {
            session_id: Some(self.id),
            arena_id: arena.0,
            segment: segment.0,
        };
        {
            let mut arenas = lock(&self.arenas);
            arenas.segments = arenas.segments.saturating_sub(1);
        }
        let mut rpc = self.rpc.clone();
        let returned = tokio::time::timeout(GRANT_WAIT, rpc.return_segment(request)).await;
        if !matches!(returned, Ok(Ok(_))) {
            tracing::debug!(
                arena = arena.0,
                segment = segment.0,
                "an idle segment was not taken back"
            );
        }
    }

    fn revoke(self: &Arc<Self>, arena: ArenaId) {
        let mut arenas = lock(&self.arenas);
        if let Some(gone) = arenas.inputs.remove(&arena) {
            arenas.segments = arenas.segments.saturating_sub(gone.segments());
            gone.revoke();
            drop(arenas);
            self.forget_arena(arena);
        } else if arenas.outputs.contains_key(&arena) {
            drop(arenas);
            // What was answered before it went may still be on its way by the other socket.
            let session = Arc::clone(self);
            tokio::spawn(async move {
                tokio::time::sleep(GRANT_WAIT).await;
                session.drop_outputs(arena);
            });
        }
    }

    fn drop_outputs(&self, arena: ArenaId) {
        let mut arenas = lock(&self.arenas);
        if let Some(gone) = arenas.outputs.remove(&arena) {
            arenas.segments = arenas.segments.saturating_sub(gone.segments());
        }
    }

    /// The input arena of that number; its segments may come before or after it is first spoken of.
    pub(super) fn input_arena(&self, id: ArenaId) -> Arc<InArena> {
        let mut arenas = lock(&self.arenas);
        let made = || Arc::new(InArena::new(id, Arc::clone(&self.counters)));
        Arc::clone(arenas.inputs.entry(id).or_insert_with(made))
    }

    fn output_arena(&self, id: ArenaId) -> Arc<OutArena> {
        let mut arenas = lock(&self.arenas);
        let made = || {
            let releases = Arc::clone(&self.releases);
            Arc::new(OutArena::new(id, releases, Arc::clone(&self.counters)))
        };
        Arc::clone(arenas.outputs.entry(id).or_insert_with(made))
    }

    /// The output arena of that number, if a segment of it has come.
    pub(super) fn granted_output(&self, id: ArenaId) -> Option<Arc<OutArena>> {
        lock(&self.arenas).outputs.get(&id).map(Arc::clone)
    }

    /// Waits until `ready` says so, asked after each grant; for at most a second.
    pub(super) async fn wait_for_grant(&self, ready: impl Fn() -> bool) -> Result<(), Fault> {
        let mut grants = self.granted.subscribe();
        let waiting = async {
            while !ready() {
                grants.changed().await.map_err(|_| fault::lost())?;
            }
            Ok(())
        };
        let late = || fault::protocol("shared memory was named that did not come");
        self.bounded(GRANT_WAIT, late, waiting).await
    }
}
