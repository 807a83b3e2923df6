//! A model that a client holds. It stays on the version it resolved to, also across a restart of the
//! daemon: then it is resolved once more, as NAME@VERSION. One that was loaded from bytes has no name to
//! resolve: its holder must load it again.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use nn_proto::v1;
use nn_tensor::{
    DType, Descriptor, Fault, ModelName, ModelRef, Reason, Selector, Shape, Signature, TENSORS_MAX,
    TensorName, Trace, Version,
};

use crate::arena::{InSlot, NoSlot};
use crate::client::{Client, Moves};
use crate::session::{OutTensor, Resolved, Session};
use crate::sync::lock;

/// A model of one version, ready to compute.
#[derive(Debug)]
pub struct Graph {
    client: Client,
    name: ModelName,
    version: Version,
    signature: Arc<Signature>,
    binding: Mutex<Binding>,
    /// Of a model that was loaded from bytes: no name finds it.
    is_nameless: bool,
}

/// One input of a compute.
#[derive(Clone, Debug)]
pub struct Input {
    /// The model's name for it, or its index in decimal.
    pub name: TensorName,
    /// Element type.
    pub dtype: DType,
    /// Dimensions.
    pub shape: Shape,
    /// The bytes: as many as dtype and shape ask for. A slot of another graph, or of a connection that is
    /// gone, is copied over first.
    pub slot: InSlot,
}

/// What the graph is in the session of the moment.
#[derive(Clone, Debug)]
struct Binding {
    session: Arc<Session>,
    resolved: Arc<Resolved>,
}

fn gone_with_its_session() -> Fault {
    Fault::of(Reason::GraphLost)
}

// === impl Graph ===

impl Graph {
    pub(crate) fn new(client: Client, session: Arc<Session>, resolved: Arc<Resolved>) -> Self {
        Self {
            client,
            name: resolved.name.clone(),
            version: resolved.version,
            signature: Arc::clone(&resolved.signature),
            binding: Mutex::new(Binding { session, resolved }),
            is_nameless: false,
        }
    }

    /// The graph of a model that was loaded from bytes.
    pub(crate) fn loaded(client: Client, session: Arc<Session>, resolved: Arc<Resolved>) -> Self {
        Self {
            is_nameless: true,
            ..Self::new(client, session, resolved)
        }
    }

    /// The model's name. One that was loaded from bytes has a name for people only: no reference finds it.
    #[must_use]
    pub fn name(&self) -> &ModelName {
        &self.name
    }

    /// The version it resolved to.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The model's inputs and outputs.
    #[must_use]
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Room for an input of `len` bytes. Waits, for at most 2 s, where the arena has to grow; and for a daemon that is
    /// being started anew.
    ///
    /// Fails with `too-large` beyond the daemon's limit, with `busy` where there is no room, and where
    /// the daemon cannot be reached.
    pub async fn reserve(&self, len: u64) -> Result<InSlot, Fault> {
        let mut moves = Moves::default();
        loop {
            let Binding { session, resolved } = self.bind(&mut moves).await?;
            match session.reserve(&resolved.arena, len).await {
                Err(fault) if moves.lost(&session, &fault) => {}
                reserved => return reserved,
            }
        }
    }

    /// Room for an input of `len` bytes, if there is some at once; else `busy`.
    pub fn try_reserve(&self, len: u64) -> Result<InSlot, Fault> {
        let Binding { session, resolved } = self.binding();
        session.check_len(len)?;
        if session.is_over() && self.is_nameless {
            return Err(gone_with_its_session());
        }
        if session.is_over() {
            return Err(Fault::of(Reason::Reconnecting));
        }
        resolved.arena.take(len).map_err(|no_slot| match no_slot {
            NoSlot::Full => Fault::of(Reason::ArenaFull)
                .message("there is no room for the tensor at this moment"),
            NoSlot::Revoked => Fault::of(Reason::ModelUnloaded).message("the model was unloaded"),
        })
    }

    /// Whether a compute would read the slot where it is; else it would be copied over first.
    #[must_use]
    pub fn has_in_place(&self, slot: &InSlot) -> bool {
        let Binding { session, resolved } = self.binding();
        !session.is_over() && !resolved.arena.is_revoked() && slot.is_of(&resolved.arena)
    }

    /// Computes. The inputs' slots are the job's until its answer comes, also when this future is
    /// dropped before: then the job is cancelled.
    ///
    /// A compute that the daemon has not begun, because it was ending or had ended, goes to the next daemon by
    /// itself, its inputs with it; one that may have begun is never repeated.
    ///
    /// `None` as timeout means the longest that the daemon allows; waiting for a daemon ([`ClientBuilder::wait`]) and
    /// for the model there comes before it. Fails with `invalid-argument` for inputs that do not fit the model, with
    /// `runtime-error` where the connection was lost, and with whatever the daemon answers.
    ///
    /// [`ClientBuilder::wait`]: crate::ClientBuilder::wait
    pub async fn compute(
        &self,
        inputs: Vec<Input>,
        timeout: Option<Duration>,
    ) -> Result<Vec<OutTensor>, Fault> {
        self.compute_as(inputs, timeout, None).await
    }

    /// The same, with a name by which the daemon's log tells whose it is.
    pub async fn compute_as(
        &self,
        inputs: Vec<Input>,
        timeout: Option<Duration>,
        trace: Option<&Trace>,
    ) -> Result<Vec<OutTensor>, Fault> {
        if inputs.len() > TENSORS_MAX {
            return Err(Fault::of(Reason::InputsTooMany)
                .expected(format!("at most {TENSORS_MAX}"))
                .got(inputs.len().to_string()));
        }
        let tensors = inputs.iter().map(|i| (i.name.as_str(), i.dtype, i.shape));
        self.signature.accepts(tensors)?;
        let mut moves = Moves::default();
        loop {
            let binding = self.bind(&mut moves).await?;
            let (tensors, slots) = match binding.place(&inputs).await {
                Err(fault) if moves.lost(&binding.session, &fault) => continue,
                placed => placed?,
            };
            let Binding { session, resolved } = binding;
            let computing = session.compute(resolved.graph_id, tensors, slots, (timeout, trace));
            match computing.await {
                Err(fault) if moves.refused(&session, &fault) => {}
                computed => return computed,
            }
        }
    }

    fn binding(&self) -> Binding {
        lock(&self.binding).clone()
    }

    /// The graph in a session that lives.
    async fn bind(&self, moves: &mut Moves) -> Result<Binding, Fault> {
        let binding = self.binding();
        if !binding.session.is_over() {
            return Ok(binding);
        }
        if self.is_nameless {
            return Err(gone_with_its_session());
        }
        let reference = ModelRef {
            name: self.name.clone(),
            selector: Selector::Version(self.version),
        };
        let (session, resolved) = self.client.resolve_somewhere(&reference, moves).await?;
        let binding = Binding { session, resolved };
        *lock(&self.binding) = binding.clone();
        Ok(binding)
    }
}

// === impl Binding ===

impl Binding {
    /// The inputs as the daemon is told of them, and where they lie: in this graph's arena, all of them.
    async fn place(&self, inputs: &[Input]) -> Result<(Vec<v1::Tensor>, Vec<InSlot>), Fault> {
        let mut tensors = Vec::with_capacity(inputs.len());
        let mut slots = Vec::with_capacity(inputs.len());
        for input in inputs {
            let slot = self.adopt(&input.slot).await?;
            let place = slot.slot();
            let descriptor = Descriptor::new(input.name.clone(), input.dtype, input.shape, place)?;
            tensors.push(v1::Tensor::from(&descriptor));
            slots.push(slot);
        }
        Ok((tensors, slots))
    }

    /// The same bytes in this graph's arena.
    async fn adopt(&self, slot: &InSlot) -> Result<InSlot, Fault> {
        if slot.is_of(&self.resolved.arena) {
            return Ok(slot.clone());
        }
        let moved = self.session.reserve(&self.resolved.arena, slot.len());
        let moved = moved.await?;
        moved.copy_from(&slot.to_vec()?)?;
        Ok(moved)
    }
}
