//! Between wire types and `nn-tensor`: the only place that knows both. What comes from the wire is
//! checked here; what goes out cannot be wrong.

use nn_tensor::{
    ArenaId, Code, DType, Descriptor, Dim, Fault, Id128, RANK_MAX, Reason, SegmentId, Shape,
    Signature, SlotRef, TENSORS_MAX, TensorName, TensorSpec,
};

use crate::v1;

fn missing(what: &str) -> Fault {
    Fault::of(Reason::Protocol).message(format!("a message without {what}"))
}

/// An id; fails where there is none.
pub fn id_from_wire(id: Option<v1::Id128>) -> Result<Id128, Fault> {
    let id = id.ok_or_else(|| missing("its id"))?;
    Ok(Id128((u128::from(id.high) << 64) | u128::from(id.low)))
}

/// A dtype; fails for numbers that stand for none.
pub fn dtype_from_wire(number: i32) -> Result<DType, Fault> {
    match v1::DType::try_from(number) {
        Ok(v1::DType::Fp16) => Ok(DType::Fp16),
        Ok(v1::DType::Fp32) => Ok(DType::Fp32),
        Ok(v1::DType::Fp64) => Ok(DType::Fp64),
        Ok(v1::DType::Bf16) => Ok(DType::Bf16),
        Ok(v1::DType::U8) => Ok(DType::U8),
        Ok(v1::DType::I32) => Ok(DType::I32),
        Ok(v1::DType::I64) => Ok(DType::I64),
        Ok(v1::DType::Unspecified) | Err(_) => Err(Fault::of(Reason::Protocol)
            .message("an unknown dtype")
            .expected("1 to 7")
            .got(number.to_string())),
    }
}

/// A code; [`Code::Unknown`] for numbers of a later protocol.
#[must_use]
pub fn code_from_wire(number: i32) -> Code {
    match v1::Code::try_from(number) {
        Ok(v1::Code::InvalidArgument) => Code::InvalidArgument,
        Ok(v1::Code::InvalidEncoding) => Code::InvalidEncoding,
        Ok(v1::Code::Timeout) => Code::Timeout,
        Ok(v1::Code::RuntimeError) => Code::RuntimeError,
        Ok(v1::Code::UnsupportedOperation) => Code::UnsupportedOperation,
        Ok(v1::Code::TooLarge) => Code::TooLarge,
        Ok(v1::Code::NotFound) => Code::NotFound,
        Ok(v1::Code::Security) => Code::Security,
        Ok(v1::Code::Busy) => Code::Busy,
        Ok(v1::Code::BackendCrashed) => Code::BackendCrashed,
        Ok(v1::Code::Leaving) => Code::Leaving,
        Ok(v1::Code::Unknown | v1::Code::Unspecified) | Err(_) => Code::Unknown,
    }
}

/// Reads a descriptor; fails where a part is missing, out of bounds, or slot and shape disagree.
pub fn tensor_from_wire(tensor: &v1::Tensor) -> Result<Descriptor, Fault> {
    let name = TensorName::new(&tensor.name)?;
    let dtype = dtype_from_wire(tensor.dtype)?;
    let shape = Shape::new(&tensor.dims).map_err(|_| {
        Fault::of(Reason::TensorRank)
            .expected(format!("at most {RANK_MAX} dimensions"))
            .got(format!("{} dimensions", tensor.dims.len()))
    })?;
    let slot = tensor.slot.ok_or_else(|| missing("a tensor's slot"))?;
    Descriptor::new(name, dtype, shape, slot.into())
}

// === ids ===

impl From<Id128> for v1::Id128 {
    fn from(id: Id128) -> Self {
        let low = u64::try_from(id.0 & u128::from(u64::MAX)).unwrap_or(u64::MAX);
        let high = u64::try_from(id.0 >> 64).unwrap_or(u64::MAX);
        Self { high, low }
    }
}

// === slots and tensors ===

impl From<v1::Slot> for SlotRef {
    fn from(slot: v1::Slot) -> Self {
        Self {
            arena: ArenaId(slot.arena_id),
            segment: SegmentId(slot.segment),
            offset: slot.offset,
            len: slot.bytes,
            generation: slot.generation,
        }
    }
}

impl From<SlotRef> for v1::Slot {
    fn from(slot: SlotRef) -> Self {
        Self {
            arena_id: slot.arena.0,
            segment: slot.segment.0,
            offset: slot.offset,
            bytes: slot.len,
            generation: slot.generation,
        }
    }
}

impl From<DType> for v1::DType {
    fn from(dtype: DType) -> Self {
        match dtype {
            DType::Fp16 => Self::Fp16,
            DType::Fp32 => Self::Fp32,
            DType::Fp64 => Self::Fp64,
            DType::Bf16 => Self::Bf16,
            DType::U8 => Self::U8,
            DType::I32 => Self::I32,
            DType::I64 => Self::I64,
        }
    }
}

impl From<&Descriptor> for v1::Tensor {
    fn from(descriptor: &Descriptor) -> Self {
        Self {
            name: descriptor.name().as_str().to_owned(),
            dtype: v1::DType::from(descriptor.dtype()).into(),
            dims: descriptor.shape().dims().to_vec(),
            slot: Some(descriptor.slot().into()),
        }
    }
}

// === signatures ===

impl From<&TensorSpec> for v1::TensorSpec {
    fn from(spec: &TensorSpec) -> Self {
        let dims = spec.dims.iter().flatten().map(|dim| match *dim {
            Dim::Fixed(fixed) => i64::from(fixed),
            Dim::Any => -1,
        });
        Self {
            name: spec.name.as_str().to_owned(),
            dtype: v1::DType::from(spec.dtype).into(),
            dims: dims.collect(),
            any_rank: spec.dims.is_none(),
        }
    }
}

impl TryFrom<v1::TensorSpec> for TensorSpec {
    type Error = Fault;

    fn try_from(spec: v1::TensorSpec) -> Result<Self, Fault> {
        let dim = |dim: i64| match dim {
            -1 => Ok(Dim::Any),
            _ => u32::try_from(dim).map(Dim::Fixed).map_err(|_| {
                Fault::invalid_argument("an impossible dimension")
                    .expected("-1 to 4294967295")
                    .got(dim.to_string())
            }),
        };
        let dims: Result<Vec<Dim>, Fault> = spec.dims.into_iter().map(dim).collect();
        Ok(Self {
            name: TensorName::new(&spec.name)?,
            dtype: dtype_from_wire(spec.dtype)?,
            dims: if spec.any_rank { None } else { Some(dims?) },
        })
    }
}

impl From<&Signature> for v1::Signature {
    fn from(signature: &Signature) -> Self {
        Self {
            inputs: signature.inputs.iter().map(Into::into).collect(),
            outputs: signature.outputs.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::Signature> for Signature {
    type Error = Fault;

    fn try_from(signature: v1::Signature) -> Result<Self, Fault> {
        let specs = |specs: Vec<v1::TensorSpec>| {
            if specs.len() > TENSORS_MAX {
                return Err(Fault::too_large("a signature with too many tensors")
                    .expected(format!("at most {TENSORS_MAX}"))
                    .got(specs.len().to_string()));
            }
            specs
                .into_iter()
                .map(TensorSpec::try_from)
                .collect::<Result<Vec<_>, Fault>>()
        };
        Ok(Self {
            inputs: specs(signature.inputs)?,
            outputs: specs(signature.outputs)?,
        })
    }
}

// === faults ===

impl From<Code> for v1::Code {
    fn from(code: Code) -> Self {
        match code {
            Code::InvalidArgument => Self::InvalidArgument,
            Code::InvalidEncoding => Self::InvalidEncoding,
            Code::Timeout => Self::Timeout,
            Code::RuntimeError => Self::RuntimeError,
            Code::UnsupportedOperation => Self::UnsupportedOperation,
            Code::TooLarge => Self::TooLarge,
            Code::NotFound => Self::NotFound,
            Code::Security => Self::Security,
            Code::Unknown => Self::Unknown,
            Code::Busy => Self::Busy,
            Code::BackendCrashed => Self::BackendCrashed,
            Code::Leaving => Self::Leaving,
        }
    }
}

impl From<Fault> for v1::Error {
    fn from(fault: Fault) -> Self {
        let Fault {
            code,
            reason,
            message,
            expected,
            got,
            hint,
            log_id,
        } = fault;
        let log_id = log_id.into();
        let reason = reason.map_or("", Reason::id).to_owned();
        Self {
            reason,
            code: v1::Code::from(code).into(),
            message,
            expected,
            got,
            hint,
            log_id,
        }
    }
}

impl From<v1::Error> for Fault {
    fn from(error: v1::Error) -> Self {
        let v1::Error {
            code,
            message,
            expected,
            got,
            hint,
            log_id,
            reason,
        } = error;
        let log_id = log_id.into();
        Self {
            code: code_from_wire(code),
            // What a later release knows more tells by its code and its texts.
            reason: Reason::of_id(&reason),
            message,
            expected,
            got,
            hint,
            log_id,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    #[test]
    fn every_code_survives_the_wire() {
        let back = Code::ALL.map(|code| code_from_wire(v1::Code::from(code).into()));
        assert_eq!(back, Code::ALL);
    }

    #[test]
    fn every_dtype_survives_the_wire() {
        let back = DType::ALL.map(|dtype| dtype_from_wire(v1::DType::from(dtype).into()).unwrap());
        assert_eq!(back, DType::ALL);
    }

    proptest! {
        #[test]
        fn ids_survive_the_wire(number: u128) {
            prop_assert_eq!(id_from_wire(Some(Id128(number).into())), Ok(Id128(number)));
        }

        #[test]
        fn bytes_that_are_no_descriptor_never_panic(bytes: Vec<u8>) {
            if let Ok(tensor) = v1::Tensor::decode(bytes.as_slice()) {
                let _ = tensor_from_wire(&tensor);
            }
        }
    }
}
