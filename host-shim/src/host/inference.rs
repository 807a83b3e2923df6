//! Execution contexts and the one thing they do. A compute waits without blocking the executor, ends by
//! its deadline whatever the daemon does, and consumes its inputs: their slots are the job's now.

use std::future::Future;
use std::time::Duration;

use nn_client::{Graph, Input, OutTensor};
use nn_tensor::{Fault, Reason, TENSORS_MAX, TensorName};
use wasmtime::component::Resource;

use super::{Failure, Tensor};
use crate::arena::settle;
use crate::bindings::wasi::nn::inference::{Host, HostGraphExecutionContext};
use crate::ctx::{WasiNnCtx, WasiNnCtxView};
use crate::limits::Held;
use crate::model::Model;

/// Placing inputs may take so much longer than the compute itself; the client ends a compute 1 s after
/// its deadline.
const GRACE: Duration = Duration::from_secs(2);

/// An execution context, held by a guest. It has no state of its own: wasi-nn's contexts take inputs and
/// give outputs in one call.
#[derive(Debug)]
pub struct ExecutionContext {
    model: Model,
    _held: Held,
}

// === impl ExecutionContext ===

impl ExecutionContext {
    pub(crate) fn new(model: Model, held: Held) -> Self {
        Self { model, _held: held }
    }
}

impl WasiNnCtx {
    /// One compute of a graph, counted and bounded; `placing` makes its inputs within the same bound.
    pub(crate) async fn infer(
        &self,
        graph: &Graph,
        placing: impl Future<Output = Result<Vec<Input>, Fault>>,
    ) -> Result<Vec<OutTensor>, Fault> {
        let _computing = self.quota.compute()?;
        let limit = self.timeout;
        let trace = self.trace.as_ref();
        let work = async { graph.compute_as(placing.await?, Some(limit), trace).await };
        tokio::time::timeout(limit.saturating_add(GRACE), work)
            .await
            .map_err(|_| {
                Fault::of(Reason::DeadlineUnanswered)
                    .expected(format!("an answer within {} ms", limit.as_millis()))
            })?
    }

    async fn compute(
        &self,
        graph: &Graph,
        tensors: Vec<(String, Tensor)>,
    ) -> Result<Vec<(String, Tensor)>, Fault> {
        let outputs = self.infer(graph, place(graph, tensors)).await?;
        outputs.into_iter().map(|out| self.keep(out)).collect()
    }

    fn keep(&self, output: OutTensor) -> Result<(String, Tensor), Fault> {
        let held = self.quota.tensor(output.slot.len())?;
        let body = settle(output.slot, &self.quota)?;
        let tensor = Tensor::new(output.shape.dims().into(), output.dtype, body, held);
        Ok((output.name.as_str().to_owned(), tensor))
    }
}

async fn place(graph: &Graph, tensors: Vec<(String, Tensor)>) -> Result<Vec<Input>, Fault> {
    if tensors.len() > TENSORS_MAX {
        return Err(Fault::of(Reason::InputsTooMany)
            .expected(format!("at most {TENSORS_MAX}"))
            .got(tensors.len().to_string()));
    }
    let mut inputs = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let name = TensorName::new(&name)?;
        inputs.push(tensor.into_input(name, graph).await?);
    }
    Ok(inputs)
}

impl Host for WasiNnCtxView<'_> {}

impl HostGraphExecutionContext for WasiNnCtxView<'_> {
    async fn compute(
        &mut self,
        context: Resource<ExecutionContext>,
        inputs: Vec<(String, Resource<Tensor>)>,
    ) -> wasmtime::Result<Result<Vec<(String, Resource<Tensor>)>, Resource<Failure>>> {
        let model = self.table.get(&context)?.model.clone();
        // All of them leave the table first: they are consumed whatever becomes of the call.
        let tensors: Vec<(String, Tensor)> = inputs
            .into_iter()
            .map(|(name, tensor)| Ok((name, self.table.delete(tensor)?)))
            .collect::<wasmtime::Result<_>>()?;
        let outputs = match self.ctx.compute(&model.graph, tensors).await {
            Ok(outputs) => outputs,
            Err(fault) => return self.answer(Err(fault)),
        };
        let outputs = outputs
            .into_iter()
            .map(|(name, tensor)| Ok((name, self.table.push(tensor)?)))
            .collect::<wasmtime::Result<_>>()?;
        Ok(Ok(outputs))
    }

    fn drop(&mut self, context: Resource<ExecutionContext>) -> wasmtime::Result<()> {
        self.table.delete(context)?;
        Ok(())
    }
}
