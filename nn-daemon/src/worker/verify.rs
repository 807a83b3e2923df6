//! A worker's outputs against the model's signature and the worker's own arena. Pure. A worker that
//! fails this is lying or broken; either way it is not listened to again.

use nn_tensor::{Descriptor, Fault, Reason, Signature, TensorSpec};
use nn_worker_wire as wire;

use crate::arena::Arena;

/// The outputs, if they are exactly the model's, each fitting and inside the arena.
pub(crate) fn outputs(
    signature: &Signature,
    outputs: Vec<wire::Tensor>,
    arena: &Arena,
) -> Result<Vec<Descriptor>, Fault> {
    if outputs.len() != signature.outputs.len() {
        return Err(
            Fault::runtime("a worker answered another number of outputs")
                .expected(signature.outputs.len().to_string())
                .got(outputs.len().to_string()),
        );
    }
    let checked = outputs
        .into_iter()
        .zip(&signature.outputs)
        .map(|(output, spec)| {
            let output = Descriptor::try_from(output)?;
            let same_name = output.name() == &spec.name;
            if !same_name || !spec.fits(output.dtype(), output.shape()) {
                return Err(
                    Fault::runtime("a worker answered an output that is not the model's")
                        .expected(format!("{} {spec}", spec.name))
                        .got(format!(
                            "{} {} {}",
                            output.name(),
                            output.dtype(),
                            output.shape()
                        )),
                );
            }
            arena.locate(output.slot())?;
            Ok(output)
        });
    checked.collect()
}

/// Why outputs that are the model's here are not what was told of the model elsewhere, if they are not. That is nobody's lie.
pub(crate) fn unlike(told: &Signature, outputs: &[Descriptor]) -> Option<Fault> {
    let of = |spec: &TensorSpec| outputs.iter().find(|output| *output.name() == spec.name);
    let unfit = told.outputs.iter().find(|spec| {
        let fits = |output: &Descriptor| spec.fits(output.dtype(), output.shape());
        !of(spec).is_some_and(fits)
    });
    let differs = Fault::of(Reason::PlacementDiffers);
    if let Some(spec) = unfit {
        let got = of(spec).map(|output| format!("{} {}", output.dtype(), output.shape()));
        let got = got.unwrap_or_else(|| "nothing of that name".to_owned());
        return Some(differs.expected(format!("{} {spec}", spec.name)).got(got));
    }
    (outputs.len() != told.outputs.len()).then(|| {
        let expected = told.outputs.len().to_string();
        differs.expected(expected).got(outputs.len().to_string())
    })
}

#[cfg(test)]
mod tests {
    use nn_tensor::{DType, Dim, Tenant, TensorName};

    use super::*;
    use crate::arena::Budgets;

    fn signature() -> Signature {
        let name = TensorName::new("y").unwrap();
        let y = TensorSpec {
            name,
            dtype: DType::Fp32,
            dims: Some(vec![Dim::Any]),
        };
        Signature {
            inputs: Vec::new(),
            outputs: vec![y],
        }
    }

    fn arena() -> Arena {
        let arena = Arena::new(Budgets::new(1 << 20).of(&Tenant::default()));
        arena.grow(4096).unwrap();
        arena
    }

    fn output(arena: &Arena, name: &str, dims: &[u32], offset: u64, bytes: u64) -> wire::Tensor {
        let slot = wire::Slot {
            arena: arena.id().0,
            segment: 0,
            offset,
            bytes,
            generation: 1,
        };
        wire::Tensor {
            name: name.into(),
            dtype: 1,
            dims: dims.to_vec(),
            slot,
        }
    }

    #[test]
    fn an_honest_answer_is_taken() {
        let arena = arena();
        let answer = vec![output(&arena, "y", &[2], 0, 8)];
        assert_eq!(outputs(&signature(), answer, &arena).unwrap().len(), 1);
    }

    #[test]
    fn what_was_told_of_the_model_elsewhere_is_to_hold_here() {
        let arena = arena();
        let answer = vec![output(&arena, "y", &[2], 0, 8)];
        let answer = outputs(&signature(), answer, &arena).unwrap();
        assert_eq!(unlike(&signature(), &answer), None);
        let with = |change: fn(&mut TensorSpec)| {
            let mut told = signature();
            told.outputs.iter_mut().for_each(change);
            unlike(&told, &answer).and_then(|fault| fault.reason)
        };
        let differs = Some(Reason::PlacementDiffers);
        assert_eq!(with(|y| y.dims = Some(vec![Dim::Fixed(2)])), None);
        assert_eq!(with(|y| y.dims = Some(vec![Dim::Fixed(3)])), differs);
        assert_eq!(with(|y| y.dtype = DType::I64), differs);
        assert_eq!(with(|y| y.name = TensorName::new("z").unwrap()), differs);
        let none = Signature::default();
        assert_eq!(unlike(&none, &answer).unwrap().got, "1");
    }

    #[test]
    fn lies_are_not_taken() {
        let (arena, other) = (arena(), arena());
        let lies = [
            vec![],
            vec![output(&arena, "z", &[2], 0, 8)],
            vec![output(&arena, "y", &[2, 1], 0, 8)],
            vec![output(&arena, "y", &[2], 0, 4)],
            vec![output(&arena, "y", &[2], 4092, 8)],
            vec![output(&arena, "y", &[2], u64::MAX, 8)],
            vec![output(&other, "y", &[2], 0, 8)],
        ];
        let taken: Vec<_> = lies
            .into_iter()
            .filter_map(|lie| outputs(&signature(), lie, &arena).ok())
            .collect();
        assert!(taken.is_empty(), "{taken:?}");
    }
}
