//! What an engine says that a model takes and gives, as a signature; and whether two engines say the same.

use nn_tensor::{Dim, Reason, Signature, TensorName, TensorSpec};

use super::failed::{Failed, brief};
use super::message::{Metadata, TensorMetadata, dtype};

/// The signature.
pub fn signature(metadata: &Metadata<'_>) -> Result<Signature, Failed> {
    let specs = |tensors: &[TensorMetadata<'_>]| -> Result<Vec<TensorSpec>, Failed> {
        tensors.iter().map(spec).collect()
    };
    let signature = Signature {
        inputs: specs(&metadata.inputs)?,
        outputs: specs(&metadata.outputs)?,
    };
    for specs in [&signature.inputs, &signature.outputs] {
        let twice = |(index, spec): (usize, &TensorSpec)| {
            let mut before = specs.iter().take(index);
            before.any(|other| other.name == spec.name)
        };
        if specs.iter().enumerate().any(twice) {
            let failed = Failed::unsent(Reason::RemoteModel, "two tensors of one name");
            return Err(failed.expected("every name once in the model's metadata"));
        }
    }
    if signature.outputs.is_empty() {
        let failed = Failed::unsent(Reason::RemoteModel, "metadata without outputs");
        return Err(failed.expected("the model's metadata to name its outputs"));
    }
    Ok(signature)
}

fn spec(tensor: &TensorMetadata<'_>) -> Result<TensorSpec, Failed> {
    let told = || format!("{:?} of {:?}", brief(tensor.name), brief(tensor.datatype));
    let name = TensorName::new(tensor.name).map_err(|fault| {
        let failed = Failed::unsent(Reason::SignatureUnsupported, &told());
        failed.expected(fault.expected).got("another name")
    })?;
    let dtype = dtype(tensor.datatype).ok_or_else(|| {
        let failed = Failed::unsent(Reason::SignatureUnsupported, &told());
        failed
            .expected("FP16, FP32, FP64, BF16, UINT8, INT32 or INT64")
            .got(format!(
                "{} for {}",
                brief(tensor.datatype).escape_debug(),
                name.as_str()
            ))
    })?;
    let dims = tensor.dims.iter().map(|&dim| match dim {
        ..0 => Ok(Dim::Any),
        _ => u32::try_from(dim).map(Dim::Fixed),
    });
    let dims = dims.collect::<Result<_, _>>().map_err(|_| {
        let failed = Failed::unsent(Reason::SignatureUnsupported, &told());
        failed.expected("dimensions of 32 bits")
    })?;
    Ok(TensorSpec {
        name,
        dtype,
        dims: Some(dims),
    })
}

/// Whether both take and give the same, in whatever order.
#[must_use]
pub fn agrees(one: &Signature, other: &Signature) -> bool {
    let same = |one: &[TensorSpec], other: &[TensorSpec]| {
        one.len() == other.len() && one.iter().all(|spec| other.contains(spec))
    };
    same(&one.inputs, &other.inputs) && same(&one.outputs, &other.outputs)
}

#[cfg(test)]
mod tests {
    use nn_tensor::DType;

    use super::*;

    fn tensor(name: &'static str, datatype: &'static str, dims: &[i64]) -> TensorMetadata<'static> {
        TensorMetadata {
            name,
            datatype,
            dims: dims.to_vec(),
        }
    }

    fn metadata(output: TensorMetadata<'static>) -> Metadata<'static> {
        Metadata {
            inputs: vec![tensor("x", "FP32", &[-1, 4]), tensor("n", "INT64", &[1])],
            outputs: vec![output],
        }
    }

    #[test]
    fn dimensions_that_are_open_are_any() {
        let signature = signature(&metadata(tensor("y", "BF16", &[-1, 10]))).unwrap();
        assert_eq!(
            signature.inputs[0].dims,
            Some(vec![Dim::Any, Dim::Fixed(4)])
        );
        assert_eq!(signature.outputs[0].dtype, DType::Bf16);
    }

    #[test]
    fn an_element_type_that_is_not_served_is_named() {
        let refused = signature(&metadata(tensor("y", "BYTES", &[1]))).unwrap_err();
        assert_eq!(refused.reason, Reason::SignatureUnsupported);
        assert!(refused.got.contains("BYTES"), "{refused:?}");
    }

    #[test]
    fn names_that_come_twice_and_dimensions_beyond_all_are_refused() {
        let mut twice = metadata(tensor("y", "FP32", &[1]));
        twice.inputs[1].name = "x";
        assert_eq!(signature(&twice).unwrap_err().reason, Reason::RemoteModel);
        assert!(signature(&metadata(tensor("y", "FP32", &[1 << 40]))).is_err());
        assert!(signature(&Metadata::default()).is_err());
    }

    #[test]
    fn the_order_of_inputs_makes_no_difference_and_a_dimension_does() {
        let one = signature(&metadata(tensor("y", "FP32", &[1]))).unwrap();
        let mut other = one.clone();
        other.inputs.reverse();
        assert!(agrees(&one, &other));
        let other = signature(&metadata(tensor("y", "FP32", &[-1]))).unwrap();
        assert!(!agrees(&one, &other));
    }
}
