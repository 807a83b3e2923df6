//! Graphs: found by name; loading by bytes is not offered yet. Linked by hand, so that a model's bytes are
//! not copied to the host before anybody has looked at what is asked.

use std::sync::Arc;

use nn_client::Graph;
use nn_tensor::{Code, Fault};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceType, WasmList};

use super::{ExecutionContext, Failure};
use crate::bindings::wasi::nn::graph::{ExecutionTarget, GraphEncoding};
use crate::ctx::{WasiNnCtxView, WasiNnView};
use crate::limits::Held;

const INTERFACE: &str = "wasi:nn/graph@0.2.0-rc-2024-10-28";

/// A result as the interface has it, or a trap.
type Answer<T> = wasmtime::Result<Result<Resource<T>, Resource<Failure>>>;

/// A graph, held by a guest.
#[derive(Debug)]
pub struct GraphHandle {
    graph: Arc<Graph>,
    _held: Held,
}

/// Why bytes are not loaded.
fn unsupported(encoding: GraphEncoding, target: ExecutionTarget) -> Fault {
    let fault = match target {
        ExecutionTarget::Cpu => "models are not loaded from a guest's bytes by this version",
        ExecutionTarget::Gpu => "the execution target gpu is not offered",
        ExecutionTarget::Tpu => "the execution target tpu is not offered",
    };
    let hint = match encoding {
        GraphEncoding::Onnx | GraphEncoding::Autodetect => {
            "have the operator load the model (`nnctl load NAME FILE`) and use load-by-name"
        }
        GraphEncoding::Openvino
        | GraphEncoding::Tensorflow
        | GraphEncoding::Pytorch
        | GraphEncoding::Tensorflowlite
        | GraphEncoding::Ggml => {
            "convert the model to ONNX, have the operator load it (`nnctl load NAME FILE`) and use \
             load-by-name"
        }
    };
    Fault::new(Code::UnsupportedOperation, fault).hint(hint)
}

impl WasiNnCtxView<'_> {
    async fn find(&mut self, name: &str) -> Result<GraphHandle, Fault> {
        let held = self.ctx.quota.graph()?;
        let limit = self.ctx.load_timeout;
        let late = |_| {
            Fault::new(Code::Timeout, "the model was not ready in time")
                .expected(format!("ready within {} ms", limit.as_millis()))
        };
        let graph = tokio::time::timeout(limit, self.ctx.client.resolve(name))
            .await
            .map_err(late)??;
        self.ctx.last_graph = Arc::downgrade(&graph);
        Ok(GraphHandle { graph, _held: held })
    }

    async fn load_by_name(&mut self, name: &str) -> Answer<GraphHandle> {
        match self.find(name).await {
            Ok(graph) => Ok(Ok(self.table.push(graph)?)),
            Err(fault) => self.answer(Err(fault)),
        }
    }

    fn init_execution_context(
        &mut self,
        graph: &Resource<GraphHandle>,
    ) -> Answer<ExecutionContext> {
        let graph = Arc::clone(&self.table.get(graph)?.graph);
        match self.ctx.quota.context() {
            Ok(held) => Ok(Ok(self.table.push(ExecutionContext::new(graph, held))?)),
            Err(fault) => self.answer(Err(fault)),
        }
    }
}

// === the interface ===

/// Offers the interface `graph`.
pub(crate) fn add_to_linker<T: WasiNnView + 'static>(
    linker: &mut Linker<T>,
) -> wasmtime::Result<()> {
    let mut interface = linker.instance(INTERFACE)?;
    interface.resource(
        "graph",
        ResourceType::host::<GraphHandle>(),
        |mut store, rep| {
            let graph = Resource::<GraphHandle>::new_own(rep);
            store.data_mut().nn().table.delete(graph)?;
            Ok(())
        },
    )?;
    interface.func_wrap(
        "load",
        |mut store: StoreContextMut<'_, T>,
         (_parts, encoding, target): (Vec<WasmList<u8>>, GraphEncoding, ExecutionTarget)| {
            let refused: Answer<GraphHandle> =
                (store.data_mut().nn()).answer(Err(unsupported(encoding, target)));
            Ok((refused?,))
        },
    )?;
    interface.func_wrap_async(
        "load-by-name",
        |mut store: StoreContextMut<'_, T>, (name,): (String,)| {
            Box::new(async move { Ok((store.data_mut().nn().load_by_name(&name).await?,)) })
        },
    )?;
    interface.func_wrap(
        "[method]graph.init-execution-context",
        |mut store: StoreContextMut<'_, T>, (graph,): (Resource<GraphHandle>,)| {
            Ok((store.data_mut().nn().init_execution_context(&graph)?,))
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_says_what_to_do_instead() {
        let refusals = [
            unsupported(GraphEncoding::Onnx, ExecutionTarget::Cpu),
            unsupported(GraphEncoding::Openvino, ExecutionTarget::Gpu),
            unsupported(GraphEncoding::Autodetect, ExecutionTarget::Tpu),
        ];
        let helpful = refusals.iter().all(|fault| {
            fault.code == Code::UnsupportedOperation && fault.hint.contains("load-by-name")
        });
        assert!(helpful, "{refusals:?}");
    }
}
