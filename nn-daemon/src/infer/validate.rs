//! A request against the model's signature, the bounds and the arena. Pure: no waiting, no memory.

use std::sync::Arc;

use nn_tensor::{Descriptor, Fault, Reason, Signature};

use crate::arena::{Arena, Piece};
use crate::limits::Limits;

/// The inputs under the model's own names, in the model's order, and the segments they lie in. Fails
/// unless exactly the model's inputs came, each fitting and inside the arena.
pub(crate) fn inputs(
    signature: &Signature,
    inputs: &[Descriptor],
    arena: &Arena,
    limits: &Limits,
) -> Result<(Vec<Descriptor>, Vec<Arc<Piece>>), Fault> {
    let tensors = inputs
        .iter()
        .map(|input| (input.name().as_str(), input.dtype(), input.shape()));
    let order = signature.accepts(tensors)?;
    let mut pieces: Vec<Arc<Piece>> = Vec::new();
    let mut named = Vec::with_capacity(inputs.len());
    for (input, index) in inputs.iter().zip(order) {
        let slot = input.slot();
        if slot.len > limits.tensor_bytes_max {
            return Err(Fault::of(Reason::TensorTooLarge)
                .message(format!("input {} is too large", input.name()))
                .expected(format!("at most {} bytes", limits.tensor_bytes_max))
                .got(format!("{} bytes", slot.len)));
        }
        let piece = arena.locate(slot)?;
        if !pieces.iter().any(|other| Arc::ptr_eq(other, &piece)) {
            pieces.push(piece);
        }
        let spec = signature.inputs.get(index);
        let name = spec.map_or_else(|| input.name().clone(), |spec| spec.name.clone());
        named.push((
            index,
            Descriptor::new(name, input.dtype(), input.shape(), slot)?,
        ));
    }
    named.sort_by_key(|(index, _)| *index);
    Ok((named.into_iter().map(|(_, input)| input).collect(), pieces))
}

#[cfg(test)]
mod tests {
    use nn_tensor::{Code, DType, Dim, SegmentId, Shape, SlotRef, Tenant, TensorName, TensorSpec};

    use super::*;
    use crate::arena::Budgets;

    fn arena() -> Arena {
        let arena = Arena::new(Budgets::new(1 << 20).of(&Tenant::default()));
        arena.grow(4096).unwrap();
        arena
    }

    fn signature() -> Signature {
        let spec = |name: &str| TensorSpec {
            name: TensorName::new(name).unwrap(),
            dtype: DType::Fp32,
            dims: Some(vec![Dim::Any]),
        };
        Signature {
            inputs: vec![spec("a"), spec("b")],
            outputs: Vec::new(),
        }
    }

    fn input(arena: &Arena, name: &str, offset: u64, elements: u32) -> Descriptor {
        let shape = Shape::new(&[elements]).unwrap();
        let len = shape.byte_len(DType::Fp32).unwrap();
        let slot = SlotRef {
            arena: arena.id(),
            segment: SegmentId(0),
            offset,
            len,
            generation: 1,
        };
        Descriptor::new(TensorName::new(name).unwrap(), DType::Fp32, shape, slot).unwrap()
    }

    #[test]
    fn inputs_by_index_are_put_into_the_models_order_under_its_names() {
        let arena = arena();
        let given = [input(&arena, "1", 64, 2), input(&arena, "a", 0, 2)];
        let (named, pieces) = inputs(&signature(), &given, &arena, &Limits::default()).unwrap();
        let names: Vec<&str> = named.iter().map(|input| input.name().as_str()).collect();
        assert_eq!((names, pieces.len()), (vec!["a", "b"], 1));
    }

    #[test]
    fn a_slot_outside_its_segment_is_refused() {
        let arena = arena();
        let given = [input(&arena, "a", 4092, 2), input(&arena, "b", 0, 2)];
        let fault = inputs(&signature(), &given, &arena, &Limits::default()).unwrap_err();
        assert_eq!(fault.code, Code::InvalidArgument);
    }

    #[test]
    fn a_slot_of_another_arena_is_refused() {
        let (arena, other) = (arena(), arena());
        let given = [input(&other, "a", 0, 2), input(&arena, "b", 0, 2)];
        assert!(inputs(&signature(), &given, &arena, &Limits::default()).is_err());
    }

    #[test]
    fn a_tensor_beyond_the_bound_is_too_large() {
        let arena = arena();
        let limits = Limits {
            tensor_bytes_max: 7,
            ..Limits::default()
        };
        let given = [input(&arena, "a", 0, 2), input(&arena, "b", 64, 2)];
        let fault = inputs(&signature(), &given, &arena, &limits).unwrap_err();
        assert_eq!(fault.code, Code::TooLarge);
    }
}
