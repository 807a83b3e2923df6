//! wasi-nn for core modules: the six functions of `wasi_ephemeral_nn`, by hand (ADR 8), over the same client
//! and the same quotas as for components. What the arguments mean is the crate `nn-witx`'s business.
//!
//! Handles count from 0, graphs and contexts apart, and live until the store ends: the interface has no
//! way to drop one. What a guest can rely on:
//! - Whatever it passes, no function traps: it gets an errno. A module without a `memory` gets 3.
//! - `set_input` refuses at once what could never be computed: an index that the model has no input for, a
//!   type or shape that does not fit it, a length that is not that of the shape. It replaces what the
//!   index had; a refusal leaves that as it was.
//! - `compute` needs all inputs and keeps them for the next one. It ends the life of the outputs before it,
//!   also when it fails.
//! - `get_output` before a compute, or after one that failed, is 5. A buffer that is too small is 7;
//!   then neither the buffer nor the length is written.
//!
//! The text of a failure cannot reach a guest: it is logged at level debug, with the errno.

mod calls;
mod context;

use nn_tensor::{Fault, Reason};
use nn_witx::TensorRecord;

use self::context::{Context, Prepared};
use crate::ctx::WasiNnCtx;
use crate::model::GraphHandle;

pub use calls::add_to_linker;
pub use nn_witx::Dialect;

/// The state of wasi-nn in one core module's store: graphs, contexts, inputs, outputs. Freed with it.
#[derive(Debug)]
pub struct WitxCtx {
    nn: WasiNnCtx,
    dialect: Dialect,
    graphs: Vec<GraphHandle>,
    contexts: Vec<Context>,
}

/// A handle is a position. Tables are bounded by the guest's quota, far below 2^32.
fn enter<T>(table: &mut Vec<T>, entry: T) -> Result<u32, Fault> {
    let full = || Fault::of(Reason::GuestHandlesFull).message("the guest has used up its handles");
    let handle = u32::try_from(table.len()).map_err(|_| full())?;
    table.push(entry);
    Ok(handle)
}

fn position(handle: u32) -> usize {
    usize::try_from(handle).unwrap_or(usize::MAX)
}

fn unknown(what: &str, handle: u32) -> Fault {
    Fault::of(Reason::HandleUnknown)
        .message(format!("no {what} has this handle"))
        .expected("a handle that this module was given")
        .got(handle.to_string())
}

// === impl WitxCtx ===

impl WitxCtx {
    /// The state of a module that was compiled with that dialect.
    #[must_use]
    pub fn new(nn: WasiNnCtx, dialect: Dialect) -> Self {
        Self {
            nn,
            dialect,
            graphs: Vec::new(),
            contexts: Vec::new(),
        }
    }

    fn enter_graph(&mut self, graph: GraphHandle) -> Result<u32, Fault> {
        enter(&mut self.graphs, graph)
    }

    async fn load_by_name(&mut self, name: &str) -> Result<u32, Fault> {
        let graph = self.nn.find(name).await?;
        self.enter_graph(graph)
    }

    fn init_execution_context(&mut self, graph: u32) -> Result<u32, Fault> {
        let found = self.graphs.get(position(graph));
        let model = found.ok_or_else(|| unknown("graph", graph))?.model.clone();
        let held = self.nn.quota.context()?;
        enter(&mut self.contexts, Context::new(model, held))
    }

    fn context(&mut self, handle: u32) -> Result<&mut Context, Fault> {
        let found = self.contexts.get_mut(position(handle));
        found.ok_or_else(|| unknown("execution context", handle))
    }

    /// Room for an input; nothing of the context has changed yet.
    async fn prepare(
        &mut self,
        context: u32,
        index: u32,
        record: &TensorRecord,
    ) -> Result<Prepared, Fault> {
        let Self { nn, contexts, .. } = self;
        let found = contexts.get_mut(position(context));
        let context = found.ok_or_else(|| unknown("execution context", context))?;
        context.prepare(nn, index, record).await
    }

    async fn compute(&mut self, context: u32) -> Result<(), Fault> {
        let Self { nn, contexts, .. } = self;
        let found = contexts.get_mut(position(context));
        let context = found.ok_or_else(|| unknown("execution context", context))?;
        context.compute(nn).await
    }
}
