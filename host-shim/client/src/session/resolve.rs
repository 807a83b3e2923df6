//! From a name to a graph of this session, and more room in its input arena. Answers are kept, so that a
//! warm load costs no round trip; concurrent requests for one name become one. What is kept is held: a version that was
//! asked for by its number, which perhaps no name means any more, until it has been idle for as long as a segment may be.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use nn_proto::v1::{self, infer_request};
use nn_tensor::{
    ArenaId, Fault, ModelName, ModelRef, Reason, SegmentId, Selector, Signature, Version,
};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::Session;
use crate::arena::{InArena, InSlot};
use crate::fault;
use crate::sync::lock;

/// Longest wait for a model: it may have to be loaded first.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(60);

/// Longest wait for the daemon to make a segment.
const GROW_TIMEOUT: Duration = Duration::from_secs(2);

/// Asking for room this often is enough: somebody else took what came.
const GROW_ATTEMPTS: usize = 3;

/// The most names kept; beyond it all are forgotten, which only costs round trips.
const NAMES_MAX: usize = 1024;

/// What a name stands for in this session, for as long as somebody has it.
#[derive(Debug)]
pub(crate) struct Resolved {
    _hold: Hold,
    pub(crate) graph_id: u64,
    pub(crate) name: ModelName,
    pub(crate) version: Version,
    pub(crate) signature: Arc<Signature>,
    pub(crate) arena: Arc<InArena>,
}

/// One hold of a graph: each answer that names it is one, and each is given back. With the last the daemon lets go of
/// it, and of the model's version if nothing else keeps that.
#[derive(Debug)]
struct Hold {
    /// The session may end first, and every graph with it.
    session: Weak<Session>,
    graph_id: u64,
}

type Answer = Arc<OnceCell<Arc<Resolved>>>;

/// An answer that is kept, or on its way.
#[derive(Debug)]
struct Kept {
    answer: Answer,
    /// When somebody has asked for it last.
    asked: Instant,
}

#[derive(Debug, Default)]
pub(super) struct Cache {
    names: HashMap<ModelRef, Kept>,
}

fn unloaded() -> Fault {
    Fault::of(Reason::ModelUnloaded)
        .message("the model was unloaded")
        .hint("load it again by its name")
}

// === impl Hold ===

impl Drop for Hold {
    fn drop(&mut self) {
        let Some(session) = self.session.upgrade() else {
            return;
        };
        let graph_id = self.graph_id;
        let body = infer_request::Body::ReleaseGraph(v1::ReleaseGraph { graph_id });
        session.graphs_released.fetch_add(1, Ordering::Relaxed);
        session.post(0, body);
    }
}

// === impl Session ===

impl Session {
    /// Resolves a name and waits until there is room for inputs.
    pub(crate) async fn resolve_ready(
        self: &Arc<Self>,
        reference: &ModelRef,
    ) -> Result<Arc<Resolved>, Fault> {
        let resolved = self.resolve(reference).await?;
        self.first_segment(&resolved.arena).await?;
        Ok(resolved)
    }

    /// Resolves a name, by the cache if it can.
    pub(crate) async fn resolve(
        self: &Arc<Self>,
        reference: &ModelRef,
    ) -> Result<Arc<Resolved>, Fault> {
        let cell = {
            let mut cache = lock(&self.resolved);
            if cache.names.len() >= NAMES_MAX && !cache.names.contains_key(reference) {
                cache.names.clear();
            }
            let kept = cache
                .names
                .entry(reference.clone())
                .or_insert_with(|| Kept {
                    answer: Answer::default(),
                    asked: Instant::now(),
                });
            kept.asked = Instant::now();
            Arc::clone(&kept.answer)
        };
        let resolved = cell
            .get_or_try_init(|| self.ask(reference))
            .await
            .map(Arc::clone);
        if resolved.is_err() {
            self.forget_failed(reference, &cell);
        }
        resolved
    }

    async fn ask(self: &Arc<Self>, reference: &ModelRef) -> Result<Arc<Resolved>, Fault> {
        self.counters.resolved();
        let (session, reference) = (Arc::clone(self), reference.to_string());
        // A task of its own: an answer that nobody waits for any more must still be given back.
        let asking = tokio::spawn(async move { session.asked(reference).await });
        asking.await.map_err(|_| fault::lost())?
    }

    async fn asked(self: Arc<Self>, reference: String) -> Result<Arc<Resolved>, Fault> {
        let request = v1::ResolveGraphRequest {
            session_id: Some(self.id),
            reference,
        };
        let mut rpc = self.rpc.clone();
        let asking = async move {
            let answer = rpc.resolve_graph(request).await;
            answer.map_err(|status| fault::status_to_fault(&status))
        };
        let late = || Fault::of(Reason::LoadLate);
        let answer = self
            .bounded(RESOLVE_TIMEOUT, late, asking)
            .await?
            .into_inner();
        self.take(answer).map(Arc::new)
    }

    /// What an answer says, and a hold of the graph that it names.
    pub(super) fn take(
        self: &Arc<Self>,
        answer: v1::ResolveGraphResponse,
    ) -> Result<Resolved, Fault> {
        let hold = Hold {
            session: Arc::downgrade(self),
            graph_id: answer.graph_id,
        };
        let name = answer.name.parse();
        let name = name.map_err(|_| fault::protocol("a graph without a model's name"))?;
        let version = Version::new(answer.version);
        let version = version.ok_or_else(|| fault::protocol("a graph without version"))?;
        let signature = answer.signature.unwrap_or_default();
        let signature = Signature::try_from(signature).map_err(|error| {
            tracing::warn!(%error, "a graph with an impossible signature");
            fault::protocol("an impossible signature")
        })?;
        Ok(Resolved {
            _hold: hold,
            graph_id: answer.graph_id,
            name,
            version,
            signature: Arc::new(signature),
            arena: self.input_arena(ArenaId(answer.arena_id)),
        })
    }

    /// Forgets what a model's name, in any form, resolved to. An answer on its way is forgotten too:
    /// its cell is no longer in the table.
    pub(super) fn forget(&self, name: &str) {
        let other = |reference: &ModelRef| reference.name.as_str() != name;
        lock(&self.resolved)
            .names
            .retain(|reference, _| other(reference));
    }

    /// Forgets versions that were asked for by their number, and not again for so long. The daemon keeps each of them
    /// loaded while it is held, whether or not any name means it.
    pub(super) fn forget_numbered(&self, idle: Duration) {
        let stays = |reference: &ModelRef, kept: &mut Kept| {
            let is_numbered = matches!(reference.selector, Selector::Version(_));
            !is_numbered || kept.answer.get().is_none() || kept.asked.elapsed() < idle
        };
        let forgotten: Vec<_> = {
            let mut cache = lock(&self.resolved);
            let stale = cache
                .names
                .extract_if(|reference, kept| !stays(reference, kept));
            stale.collect()
        };
        // Not under the lock: what nobody else has is given back now.
        drop(forgotten);
    }

    pub(super) fn forget_arena(&self, arena: ArenaId) {
        let other = |answer: &Answer| answer.get().is_none_or(|known| known.arena.id() != arena);
        lock(&self.resolved)
            .names
            .retain(|_, kept| other(&kept.answer));
    }

    fn forget_failed(&self, reference: &ModelRef, cell: &Answer) {
        let mut cache = lock(&self.resolved);
        let same = |known: &Kept| Arc::ptr_eq(&known.answer, cell) && known.answer.get().is_none();
        if cache.names.get(reference).is_some_and(same) {
            cache.names.remove(reference);
        }
    }

    /// Refuses a tensor that the daemon would refuse.
    pub(crate) fn check_len(&self, len: u64) -> Result<(), Fault> {
        let max = self.limits.tensor_bytes_max;
        if len <= max {
            return Ok(());
        }
        Err(Fault::of(Reason::TensorTooLarge)
            .message("a tensor beyond the limit")
            .expected(format!("at most {max} bytes"))
            .got(format!("{len} bytes")))
    }

    /// Room for a tensor, in a new segment if need be.
    pub(crate) async fn reserve(&self, arena: &Arc<InArena>, len: u64) -> Result<InSlot, Fault> {
        self.check_len(len)?;
        if let Some(slot) = try_take(arena, len)? {
            return Ok(slot);
        }
        let growing = async {
            let _growing = arena.growing.lock().await;
            for _ in 0..GROW_ATTEMPTS {
                // Whoever held the lock before has made room, perhaps.
                if let Some(slot) = try_take(arena, len)? {
                    return Ok(slot);
                }
                self.grow(arena, len).await?;
            }
            try_take(arena, len)?.ok_or_else(no_room)
        };
        self.bounded(GROW_TIMEOUT, no_room, growing).await
    }

    async fn grow(&self, arena: &Arc<InArena>, bytes_min: u64) -> Result<(), Fault> {
        let request = v1::GrowArenaRequest {
            session_id: Some(self.id),
            arena_id: arena.id().0,
            // Slots are aligned; a segment of an odd size would miss its last bytes.
            bytes_min: bytes_min
                .max(1)
                .checked_next_multiple_of(nn_shm::SLOT_ALIGN)
                .unwrap_or(bytes_min),
        };
        let answer = self.rpc.clone().grow_arena(request).await;
        let answer = answer.map_err(|status| fault::status_to_fault(&status))?;
        let segment = answer.into_inner().segment;
        let segment = segment.ok_or_else(|| fault::protocol("growth without a segment"))?;
        let segment = SegmentId(segment.id);
        self.wait_for_grant(|| arena.has_segment(segment) || arena.is_revoked())
            .await
    }

    /// Waits for the first segment of a graph's arena.
    pub(crate) async fn first_segment(&self, arena: &Arc<InArena>) -> Result<(), Fault> {
        if arena.has_any_segment() {
            return Ok(());
        }
        self.wait_for_grant(|| arena.has_any_segment() || arena.is_revoked())
            .await
    }
}

fn try_take(arena: &Arc<InArena>, len: u64) -> Result<Option<InSlot>, Fault> {
    match arena.take(len) {
        Ok(slot) => Ok(Some(slot)),
        Err(crate::arena::NoSlot::Full) => Ok(None),
        Err(crate::arena::NoSlot::Revoked) => Err(unloaded()),
    }
}

fn no_room() -> Fault {
    Fault::of(Reason::ArenaFull)
        .message("there is no room for the tensor at this moment")
        .hint("drop tensors that are no longer needed, or try again later")
}
