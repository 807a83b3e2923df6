//! Graphs: found by name or loaded from bytes. Linked by hand, so that a model's bytes are not copied to the
//! host before anybody has looked at what is asked, and then only once.

use nn_tensor::Fault;
use nn_witx::{Encoding, Target};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceType, WasmList};

use super::{ExecutionContext, Failure};
use crate::bindings::wasi::nn::graph::{ExecutionTarget, GraphEncoding};
use crate::ctx::{WasiNnCtxView, WasiNnView};
use crate::model::GraphHandle;

const INTERFACE: &str = "wasi:nn/graph@0.2.0-rc-2024-10-28";

/// A result as the interface has it, or a trap.
type Answer<T> = wasmtime::Result<Result<Resource<T>, Resource<Failure>>>;

fn encoding(encoding: GraphEncoding) -> Encoding {
    match encoding {
        GraphEncoding::Openvino => Encoding::Openvino,
        GraphEncoding::Onnx => Encoding::Onnx,
        GraphEncoding::Tensorflow => Encoding::Tensorflow,
        GraphEncoding::Pytorch => Encoding::Pytorch,
        GraphEncoding::Tensorflowlite => Encoding::TensorflowLite,
        GraphEncoding::Ggml => Encoding::Ggml,
        GraphEncoding::Autodetect => Encoding::Autodetect,
    }
}

fn target(target: ExecutionTarget) -> Target {
    match target {
        ExecutionTarget::Cpu => Target::Cpu,
        ExecutionTarget::Gpu => Target::Gpu,
        ExecutionTarget::Tpu => Target::Tpu,
    }
}

impl WasiNnCtxView<'_> {
    fn hand_over(&mut self, found: Result<GraphHandle, Fault>) -> Answer<GraphHandle> {
        match found {
            Ok(graph) => Ok(Ok(self.table.push(graph)?)),
            Err(fault) => self.answer(Err(fault)),
        }
    }

    fn init_execution_context(
        &mut self,
        graph: &Resource<GraphHandle>,
    ) -> Answer<ExecutionContext> {
        let model = self.table.get(graph)?.model.clone();
        match self.ctx.quota.context() {
            Ok(held) => Ok(Ok(self.table.push(ExecutionContext::new(model, held))?)),
            Err(fault) => self.answer(Err(fault)),
        }
    }
}

/// Copies the lists out of the guest, each once, and has them loaded.
async fn load<T: WasiNnView + 'static>(
    store: &mut StoreContextMut<'_, T>,
    lists: &[WasmList<u8>],
    encoding: Encoding,
    target: Target,
) -> Result<GraphHandle, Fault> {
    let lens = lists.iter().map(|list| list.len() as u64);
    let mut upload = store
        .data_mut()
        .nn()
        .ctx
        .begin_load(encoding, target, lens)?;
    for list in lists {
        upload.part(list.len());
        let mut at = 0_usize;
        // The list is an offset: the guest's memory is borrowed anew for each piece.
        while let Some(rest) = list
            .as_le_slice(&*store)
            .get(at..)
            .filter(|r| !r.is_empty())
        {
            at = at.saturating_add(upload.piece(rest));
            tokio::task::yield_now().await;
        }
    }
    store.data_mut().nn().ctx.finish_load(upload).await
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
    interface.func_wrap_async(
        "load",
        |mut store: StoreContextMut<'_, T>,
         (lists, of, on): (Vec<WasmList<u8>>, GraphEncoding, ExecutionTarget)| {
            Box::new(async move {
                let loaded = load(&mut store, &lists, encoding(of), target(on)).await;
                Ok((store.data_mut().nn().hand_over(loaded)?,))
            })
        },
    )?;
    interface.func_wrap_async(
        "load-by-name",
        |mut store: StoreContextMut<'_, T>, (name,): (String,)| {
            Box::new(async move {
                let mut nn = store.data_mut().nn();
                let found = nn.ctx.find(&name).await;
                Ok((nn.hand_over(found)?,))
            })
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
    fn encodings_and_targets_keep_their_names() {
        let encodings = [
            GraphEncoding::Openvino,
            GraphEncoding::Onnx,
            GraphEncoding::Tensorflow,
            GraphEncoding::Pytorch,
            GraphEncoding::Tensorflowlite,
            GraphEncoding::Ggml,
            GraphEncoding::Autodetect,
        ];
        let kept = |e: GraphEncoding| {
            let name = format!("{e:?}").to_lowercase();
            name.contains(encoding(e).name())
        };
        assert_eq!(encodings.map(kept), [true; 7]);
        assert_eq!(target(ExecutionTarget::Tpu), Target::Tpu);
    }
}
