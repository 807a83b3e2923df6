//! A job's tensors in the model's terms, and its answer in the daemon's. Pure.

use nn_backend::{BackendError, Input};
use nn_tensor::{DType, Descriptor, Fault, Reason, Shape, Signature, SlotRef, TensorSpec};
use nn_worker_wire::{Failure, Tensor};

use crate::io::Source;

/// A failure that is the answer to a job.
pub(crate) type Refusal = Box<Failure>;

/// An output that has its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    pub(crate) slot: SlotRef,
    pub(crate) dtype: DType,
    pub(crate) shape: Shape,
}

/// The inputs in the model's order.
pub(crate) fn order<'a>(
    signature: &'a Signature,
    descriptors: &[Descriptor],
    sources: &'a [Source],
) -> Result<Vec<Input<'a>>, Refusal> {
    let tensors = descriptors
        .iter()
        .map(|d| (d.name().as_str(), d.dtype(), d.shape()));
    let order = signature
        .accepts(tensors)
        .map_err(|mismatch| Box::new(Failure::new(mismatch.into(), String::new())))?;
    let mut inputs: Vec<(usize, Input<'a>)> = order
        .into_iter()
        .zip(descriptors.iter().zip(sources))
        .filter_map(|(index, (descriptor, source))| {
            let spec = signature.inputs.get(index)?;
            let input = Input {
                name: spec.name.as_str(),
                dtype: descriptor.dtype(),
                shape: descriptor.shape(),
                bytes: source.bytes(),
            };
            Some((index, input))
        })
        .collect();
    inputs.sort_unstable_by_key(|&(index, _)| index);
    Ok(inputs.into_iter().map(|(_, input)| input).collect())
}

/// The outputs as they are reported.
pub(crate) fn tensors(
    signature: &Signature,
    reserved: &[Option<Written>],
) -> Result<Vec<Tensor>, Refusal> {
    let failed = |fault: Fault| Box::new(Failure::new(fault, String::new()));
    let tensor = |(index, spec): (usize, &TensorSpec)| {
        let missing = || {
            Fault::of(Reason::RunFailed)
                .message(format!("the framework gave no output {}", spec.name))
        };
        let written = reserved.get(index).copied().flatten();
        let Written { slot, dtype, shape } = written.ok_or_else(|| failed(missing()))?;
        let descriptor = Descriptor::new(spec.name.clone(), dtype, shape, slot).map_err(failed)?;
        Ok(Tensor::from(&descriptor))
    };
    signature.outputs.iter().enumerate().map(tensor).collect()
}

/// The answer to a job that failed.
pub(crate) fn refusal(error: BackendError) -> Refusal {
    Box::new(failure(error))
}

/// What the daemon is told of an error of the framework.
pub(crate) fn failure(error: BackendError) -> Failure {
    let out_of_memory = matches!(error, BackendError::Memory(_));
    let interrupted = matches!(error, BackendError::Interrupted(_));
    let (fault, detail) = error.split();
    Failure {
        out_of_memory,
        interrupted,
        ..Failure::new(fault, detail)
    }
}
