//! One of several that call at once: its next call comes when the one before is answered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nn_client::{Graph, Input};
use nn_tensor::Fault;
use tokio::time::Instant;

use super::inputs::Tensor;

/// After a call that failed: one that is refused at once is not sent anew at once.
const FAILED_PAUSE: Duration = Duration::from_millis(10);

/// Who calls.
#[derive(Debug)]
pub(super) struct Caller {
    graph: Arc<Graph>,
    tensors: Arc<[Tensor]>,
    limit: Duration,
    /// Where outputs are copied to.
    output: Vec<u8>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Of each call that gave outputs.
    pub(super) took_us: Vec<u32>,
    /// By the name of the code.
    pub(super) failed: BTreeMap<&'static str, u64>,
    /// The last failure.
    pub(super) last: Option<Fault>,
}

// === impl Caller ===

impl Caller {
    pub(super) fn new(graph: &Arc<Graph>, tensors: &Arc<[Tensor]>, limit: Duration) -> Self {
        Self {
            graph: Arc::clone(graph),
            tensors: Arc::clone(tensors),
            limit,
            output: Vec::new(),
        }
    }

    /// One whole call: inputs copied in, outputs copied out.
    pub(super) async fn call(&mut self) -> Result<(), Fault> {
        let mut inputs = Vec::with_capacity(self.tensors.len());
        for Tensor { name, array, .. } in self.tensors.iter() {
            let bytes = u64::try_from(array.bytes.len()).unwrap_or(u64::MAX);
            let slot = self.graph.reserve(bytes).await?;
            slot.copy_from(&array.bytes)?;
            inputs.push(Input {
                name: name.clone(),
                dtype: array.dtype,
                shape: array.shape,
                slot,
            });
        }
        for output in self.graph.compute(inputs, Some(self.limit)).await? {
            let bytes = usize::try_from(output.slot.len()).unwrap_or(usize::MAX);
            self.output.resize(bytes, 0);
            output.slot.copy_to(&mut self.output)?;
        }
        Ok(())
    }

    /// Calls until then, or until it has called often enough.
    pub(super) async fn until(mut self, end: Instant, calls_max: usize) -> Lane {
        let mut lane = Lane::default();
        while lane.took_us.len() < calls_max {
            let start = Instant::now();
            if start >= end {
                break;
            }
            match self.call().await {
                Ok(()) => {
                    let took = start.elapsed().as_micros();
                    lane.took_us.push(u32::try_from(took).unwrap_or(u32::MAX));
                }
                Err(fault) => {
                    lane.count(fault);
                    tokio::time::sleep(FAILED_PAUSE).await;
                }
            }
        }
        lane
    }
}

// === impl Lane ===

impl Lane {
    fn count(&mut self, fault: Fault) {
        let of = self.failed.entry(fault.code.name()).or_default();
        *of = of.saturating_add(1);
        self.last = Some(fault);
    }
}
