//! Frames to and from `nn-tensor`. A worker is assumed hostile: what it says is checked here.

use nn_tensor::{
    ArenaId, Code, DType, Descriptor, Fault, RANK_MAX, Reason, SegmentId, Shape, SlotRef,
    TENSORS_MAX, TensorName, TensorSpec,
};

use crate::message::{Dim, Failure, Signature, Slot, Spec, Tensor};

/// The longest text taken over from a worker, in bytes.
const TEXT_BYTES_MAX: usize = 1024;

fn number<T: PartialEq>(all: &[T], one: &T) -> u8 {
    all.iter()
        .position(|other| other == one)
        .and_then(|n| u8::try_from(n).ok())
        .unwrap_or(u8::MAX)
}

fn dtype(number: u8) -> Result<DType, Fault> {
    DType::ALL.get(usize::from(number)).copied().ok_or_else(|| {
        Fault::invalid_argument("a frame with an unknown dtype").got(number.to_string())
    })
}

fn bounded<T>(list: Vec<T>) -> Result<Vec<T>, Fault> {
    if list.len() <= TENSORS_MAX {
        return Ok(list);
    }
    Err(Fault::too_large("too many tensors")
        .expected(format!("at most {TENSORS_MAX}"))
        .got(list.len().to_string()))
}

/// Cut to a bounded length, and without characters that steer a terminal.
fn clip(mut text: String) -> String {
    if text.contains(char::is_control) {
        text = text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
    }
    let end = (0..=TEXT_BYTES_MAX.min(text.len()))
        .rev()
        .find(|&i| text.is_char_boundary(i));
    text.truncate(end.unwrap_or(0));
    text
}

// === slots and tensors ===

impl From<SlotRef> for Slot {
    fn from(slot: SlotRef) -> Self {
        Self {
            arena: slot.arena.0,
            segment: slot.segment.0,
            offset: slot.offset,
            bytes: slot.len,
            generation: slot.generation,
        }
    }
}

impl From<Slot> for SlotRef {
    fn from(slot: Slot) -> Self {
        Self {
            arena: ArenaId(slot.arena),
            segment: SegmentId(slot.segment),
            offset: slot.offset,
            len: slot.bytes,
            generation: slot.generation,
        }
    }
}

impl From<&Descriptor> for Tensor {
    fn from(descriptor: &Descriptor) -> Self {
        Self {
            name: descriptor.name().as_str().to_owned(),
            dtype: number(&DType::ALL, &descriptor.dtype()),
            dims: descriptor.shape().dims().to_vec(),
            slot: descriptor.slot().into(),
        }
    }
}

impl TryFrom<Tensor> for Descriptor {
    type Error = Fault;

    fn try_from(tensor: Tensor) -> Result<Self, Fault> {
        let shape = Shape::new(&tensor.dims).map_err(|e| Fault::invalid_argument(e.to_string()))?;
        Self::new(
            TensorName::new(&tensor.name)?,
            dtype(tensor.dtype)?,
            shape,
            tensor.slot.into(),
        )
    }
}

// === signatures ===

impl From<&TensorSpec> for Spec {
    fn from(spec: &TensorSpec) -> Self {
        let dim = |dim: &nn_tensor::Dim| match *dim {
            nn_tensor::Dim::Fixed(fixed) => Dim::Fixed(fixed),
            nn_tensor::Dim::Any => Dim::Any,
        };
        Self {
            name: spec.name.as_str().to_owned(),
            dtype: number(&DType::ALL, &spec.dtype),
            dims: spec
                .dims
                .as_ref()
                .map(|dims| dims.iter().map(dim).collect()),
        }
    }
}

impl TryFrom<Spec> for TensorSpec {
    type Error = Fault;

    fn try_from(spec: Spec) -> Result<Self, Fault> {
        let dim = |dim: Dim| match dim {
            Dim::Fixed(fixed) => nn_tensor::Dim::Fixed(fixed),
            Dim::Any => nn_tensor::Dim::Any,
        };
        let rank = spec.dims.as_ref().map_or(0, Vec::len);
        if rank > RANK_MAX {
            return Err(Fault::too_large("a tensor of too high a rank")
                .expected(format!("at most {RANK_MAX}"))
                .got(rank.to_string()));
        }
        Ok(Self {
            name: TensorName::new(&spec.name)?,
            dtype: dtype(spec.dtype)?,
            dims: spec.dims.map(|dims| dims.into_iter().map(dim).collect()),
        })
    }
}

impl From<&nn_tensor::Signature> for Signature {
    fn from(signature: &nn_tensor::Signature) -> Self {
        Self {
            inputs: signature.inputs.iter().map(Into::into).collect(),
            outputs: signature.outputs.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<Signature> for nn_tensor::Signature {
    type Error = Fault;

    fn try_from(signature: Signature) -> Result<Self, Fault> {
        let specs = |specs: Vec<Spec>| -> Result<Vec<TensorSpec>, Fault> {
            bounded(specs)?
                .into_iter()
                .map(TensorSpec::try_from)
                .collect()
        };
        Ok(Self {
            inputs: specs(signature.inputs)?,
            outputs: specs(signature.outputs)?,
        })
    }
}

// === failures ===

impl Failure {
    /// A failure from what the client may read and what only the log may.
    #[must_use]
    pub fn new(fault: Fault, detail: String) -> Self {
        let Fault {
            code,
            reason,
            message,
            expected,
            got,
            hint,
            log_id: _,
        } = fault;
        let code = number(&Code::ALL, &code);
        let [message, expected, got, hint, detail] =
            [message, expected, got, hint, detail].map(clip);
        Self {
            code,
            message,
            expected,
            got,
            hint,
            detail,
            out_of_memory: false,
            interrupted: false,
            reason: reason.map_or("", Reason::id).to_owned(),
        }
    }

    /// The part for the client, and the part for the log.
    #[must_use]
    pub fn split(self) -> (Fault, String) {
        let Self {
            code,
            message,
            expected,
            got,
            hint,
            detail,
            out_of_memory: _,
            interrupted: _,
            reason,
        } = self;
        let code = Code::ALL
            .get(usize::from(code))
            .copied()
            .unwrap_or(Code::Unknown);
        let [message, expected, got, hint, detail] =
            [message, expected, got, hint, detail].map(clip);
        let mut fault = Fault::new(code, message)
            .expected(expected)
            .got(got)
            .hint(hint);
        // A reason counts only where it is of the code: what a worker says decides nothing else.
        fault.reason = Reason::of_id(&reason).filter(|reason| reason.code() == code);
        (fault, detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_the_wire() {
        let back = Code::ALL.map(|code| {
            Failure::new(Fault::new(code, ""), String::new())
                .split()
                .0
                .code
        });
        assert_eq!(back, Code::ALL);
    }

    #[test]
    fn every_reason_survives_the_wire() {
        let there_and_back = |reason| Failure::new(Fault::of(reason), String::new()).split().0;
        let lost = Reason::ALL
            .iter()
            .filter(|&&reason| there_and_back(reason).reason != Some(reason));
        assert_eq!(lost.count(), 0);
    }

    #[test]
    fn a_reason_of_another_code_or_of_none_is_left_out() {
        let told = |reason: &str| {
            let failure = Failure::new(Fault::runtime(""), String::new());
            let reason = reason.to_owned();
            Failure { reason, ..failure }.split().0.reason
        };
        assert_eq!(told("input-dtype"), None);
        assert_eq!(told("no-such-thing"), None);
        assert_eq!(told("run-failed"), Some(Reason::RunFailed));
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let long = "ö".repeat(TEXT_BYTES_MAX);
        let (fault, _) = Failure::new(Fault::runtime(format!("x{long}")), String::new()).split();
        assert_eq!(fault.message.len(), TEXT_BYTES_MAX - 1);
    }

    #[test]
    fn a_slot_that_is_shorter_than_its_tensor_is_refused() {
        let slot = Slot {
            arena: 1,
            segment: 0,
            offset: 0,
            bytes: 7,
            generation: 1,
        };
        let tensor = Tensor {
            name: "y".into(),
            dtype: 1,
            dims: vec![2],
            slot,
        };
        assert!(Descriptor::try_from(tensor).is_err());
    }
}
