//! An execution context of a core module. Unlike a component's it has a state: inputs that stay until they
//! are replaced, outputs that stay until the next compute.

use std::future::Future;

use nn_client::{InSlot, Input, OutTensor};
use nn_tensor::{DType, Fault, Misfit, Mismatch, Reason, Shape, TensorName, TensorSpec};
use nn_witx::{Span, TensorRecord};

use super::position;
use crate::arena::{Body, settle};
use crate::ctx::WasiNnCtx;
use crate::limits::{Held, TensorHeld};
use crate::model::Model;

/// An execution context, held by a guest until its store ends.
#[derive(Debug)]
pub(super) struct Context {
    model: Model,
    /// One place for each input of the model.
    inputs: Vec<Option<Given>>,
    /// Those of the last compute, if it succeeded.
    outputs: Option<Vec<Output>>,
    _held: Held,
}

/// An input as the guest has set it.
#[derive(Debug)]
struct Given {
    dtype: DType,
    shape: Shape,
    slot: InSlot,
    _held: TensorHeld,
}

#[derive(Debug)]
struct Output {
    body: Body,
    _held: TensorHeld,
}

/// Room for an input that has been checked; its bytes are still the guest's.
#[derive(Debug)]
pub(super) struct Prepared {
    index: usize,
    dtype: DType,
    shape: Shape,
    data: Span,
    slot: InSlot,
    /// `None` where the slot is the one that the input has already.
    held: Option<TensorHeld>,
}

fn no_such(what: &str, index: u32, count: usize) -> Fault {
    Fault::of(Reason::IndexUnknown)
        .message(format!("the model has no {what} of this index"))
        .expected(format!("an index below {count}"))
        .got(index.to_string())
}

fn misfit(spec: &TensorSpec, record: &TensorRecord) -> Mismatch {
    Mismatch::Misfit {
        name: spec.name.clone(),
        why: spec
            .misfit(record.dtype, record.shape)
            .unwrap_or(Misfit::Shape),
        spec: spec.to_string(),
        got: format!("{} {}", record.dtype, record.shape),
    }
}

// === impl Context ===

impl Context {
    pub(super) fn new(model: Model, held: Held) -> Self {
        let mut inputs = Vec::new();
        inputs.resize_with(model.graph.signature().inputs.len(), || None);
        Self {
            model,
            inputs,
            outputs: None,
            _held: held,
        }
    }

    /// Finds room for an input: the place of the one it replaces, where that is as long and nobody reads
    /// it any more.
    pub(super) async fn prepare(
        &mut self,
        nn: &WasiNnCtx,
        index: u32,
        record: &TensorRecord,
    ) -> Result<Prepared, Fault> {
        let at = position(index);
        let graph = &self.model.graph;
        let specs = &graph.signature().inputs;
        let spec = specs.get(at);
        let spec = spec.ok_or_else(|| no_such("input", index, specs.len()))?;
        if !spec.fits(record.dtype, record.shape) {
            return Err(misfit(spec, record).into());
        }
        let len = u64::from(record.data.len());
        let prepared = |slot, held| Prepared {
            index: at,
            dtype: record.dtype,
            shape: record.shape,
            data: record.data,
            slot,
            held,
        };
        if let Some(given) = self.inputs.get_mut(at).and_then(Option::as_mut)
            && given.slot.len() == len
            && graph.has_in_place(&given.slot)
            && given.slot.is_unique()
        {
            return Ok(prepared(given.slot.clone(), None));
        }
        let held = nn.quota.tensor(len)?;
        let slot = match graph.try_reserve(len) {
            Ok(slot) => slot,
            Err(_) => reserve(nn, graph.reserve(len)).await?,
        };
        Ok(prepared(slot, Some(held)))
    }

    /// Copies an input out of the guest's memory, once, and has it replace what the index had.
    pub(super) fn set_input(&mut self, prepared: Prepared, memory: &[u8]) -> Result<(), Fault> {
        let Prepared {
            index,
            dtype,
            shape,
            data,
            slot,
            held,
        } = prepared;
        slot.copy_from(data.bytes(memory)?)?;
        match (self.inputs.get_mut(index), held) {
            (Some(place), Some(held)) => {
                *place = Some(Given {
                    dtype,
                    shape,
                    slot,
                    _held: held,
                });
            }
            (Some(Some(given)), None) => (given.dtype, given.shape) = (dtype, shape),
            (Some(None) | None, _) => {}
        }
        Ok(())
    }

    pub(super) async fn compute(&mut self, nn: &WasiNnCtx) -> Result<(), Fault> {
        // Their slots are the worker's again before it looks for room.
        self.outputs = None;
        let inputs = self.inputs();
        let graph = &self.model.graph;
        let outputs = nn.infer(graph, std::future::ready(Ok(inputs))).await?;
        let outputs = outputs.into_iter().map(|output| keep(nn, output));
        self.outputs = Some(outputs.collect::<Result<_, _>>()?);
        Ok(())
    }

    /// Copies an output into the guest's memory, once; says how long it is.
    pub(super) fn get_output(
        &self,
        index: u32,
        buffer: Span,
        memory: &mut [u8],
    ) -> Result<u32, Fault> {
        let count = self.model.graph.signature().outputs.len();
        if position(index) >= count {
            return Err(no_such("output", index, count));
        }
        let Some(outputs) = &self.outputs else {
            return Err(Fault::of(Reason::NoOutputs).expected("a compute that succeeded"));
        };
        let output = outputs.get(position(index));
        let body = &output.ok_or_else(|| no_such("output", index, count))?.body;
        let too_small = || {
            Fault::of(Reason::BufferTooSmall)
                .expected(format!("at least {} bytes", body.len()))
                .got(format!("{} bytes", buffer.len()))
        };
        let len = u32::try_from(body.len()).map_err(|_| too_small())?;
        if len > buffer.len() {
            return Err(too_small());
        }
        body.copy_to(buffer.bytes_mut(memory, len)?)?;
        Ok(len)
    }

    fn inputs(&self) -> Vec<Input> {
        let specs = &self.model.graph.signature().inputs;
        let given = self.inputs.iter().zip(specs);
        let given = given.filter_map(|(given, spec)| Some((given.as_ref()?, spec)));
        given
            .map(|(given, spec)| given.as_input(spec.name.clone()))
            .collect()
    }
}

// === impl Given ===

impl Given {
    fn as_input(&self, name: TensorName) -> Input {
        Input {
            name,
            dtype: self.dtype,
            shape: self.shape,
            slot: self.slot.clone(),
        }
    }
}

async fn reserve(
    nn: &WasiNnCtx,
    room: impl Future<Output = Result<InSlot, Fault>>,
) -> Result<InSlot, Fault> {
    let late = |_| Fault::of(Reason::RoomLate);
    tokio::time::timeout(nn.timeout, room).await.map_err(late)?
}

fn keep(nn: &WasiNnCtx, output: OutTensor) -> Result<Output, Fault> {
    Ok(Output {
        _held: nn.quota.tensor(output.slot.len())?,
        body: settle(output.slot, &nn.quota)?,
    })
}
