//! An engine's answer against the model's signature: every output once, of its type, of a shape that fits, with as many
//! bytes as that takes. What an engine says is believed in nothing else. Pure.

use std::borrow::Cow;

use nn_tensor::{DType, Reason, Shape, Signature, TensorSpec};

use super::failed::{Failed, brief};
use super::message::{Output, Response, datatype, dtype};

/// An output as it came.
#[derive(Debug, PartialEq, Eq)]
pub struct Given<'a> {
    /// Element type.
    pub dtype: DType,
    /// Dimensions.
    pub shape: Shape,
    /// Its bytes: as many as those take.
    pub bytes: Cow<'a, [u8]>,
}

/// The outputs in the signature's order.
///
/// Together they have at most `bytes_max` bytes: lists of small numbers are shorter in the message than their elements.
pub fn check<'a>(
    signature: &Signature,
    message: &'a [u8],
    bytes_max: usize,
) -> Result<Vec<Given<'a>>, Failed> {
    let mut left = bytes_max;
    let response = Response::read(message).map_err(|error| {
        let failed = wrong(&error.to_string());
        failed
            .expected("a message of the protocol, with at most 128 outputs of 8 dimensions")
            .got("something else")
    })?;
    let (count, raw) = (response.outputs.len(), response.raw.len());
    let wanted = signature.outputs.len();
    if count != wanted {
        let failed = wrong("another number of outputs");
        return Err(failed
            .expected(format!("{wanted} outputs"))
            .got(count.to_string()));
    }
    if raw != 0 && raw != count {
        let failed = wrong("another number of raw contents than of outputs");
        let expected = format!("the bytes of {count} outputs");
        return Err(failed.expected(expected).got(format!("those of {raw}")));
    }
    let mut given = |spec: &TensorSpec| {
        let is = |output: &Output<'_>| output.tensor.name == spec.name.as_str();
        let index = response.outputs.iter().position(is);
        let output = index.and_then(|index| Some((response.outputs.get(index)?, index)));
        let (output, index) = output.ok_or_else(|| {
            let outputs = response.outputs.iter().take(TOLD_MAX);
            let names: Vec<&str> = outputs.map(|one| brief(one.tensor.name)).collect();
            let failed = wrong(&format!("outputs {names:?}"));
            failed
                .expected(format!("an output {}", spec.name))
                .got("none of that name")
        })?;
        let given = one(spec, output, (response.raw.get(index).copied(), left))?;
        left = left.saturating_sub(given.bytes.len());
        Ok(given)
    };
    signature.outputs.iter().map(&mut given).collect()
}

/// How many names are told: each may be as long as the message, and is longer where it is written.
const TOLD_MAX: usize = 8;

fn wrong(detail: &str) -> Failed {
    Failed::sent(Reason::RemoteAnswer, detail)
}

fn one<'a>(
    spec: &TensorSpec,
    output: &Output<'a>,
    (raw, bytes_max): (Option<&'a [u8]>, usize),
) -> Result<Given<'a>, Failed> {
    let name = &spec.name;
    let tensor = &output.tensor;
    let told = || format!("{name} as {:?} {:?}", brief(tensor.datatype), tensor.dims);
    let dtype = dtype(tensor.datatype).filter(|&dtype| dtype == spec.dtype);
    let dtype = dtype.ok_or_else(|| {
        let failed = wrong(&told()).got("another type");
        failed.expected(format!("output {name} of type {}", datatype(spec.dtype)))
    })?;
    let dims: Result<Vec<u32>, _> = tensor.dims.iter().copied().map(u32::try_from).collect();
    let shape = dims.ok().and_then(|dims| Shape::new(&dims).ok());
    let bytes = shape.and_then(|shape| shape.byte_len(dtype).ok());
    let (Some(shape), Some(bytes)) = (shape.filter(|&shape| spec.fits(dtype, shape)), bytes) else {
        let failed = wrong(&told()).got("a shape that does not fit");
        return Err(failed.expected(format!("output {name} as the model's metadata has it")));
    };
    let len = usize::try_from(bytes).unwrap_or(usize::MAX);
    if len > bytes_max {
        let failed = wrong(&told()).got(format!("{bytes} bytes for {name}"));
        return Err(failed.expected("outputs within kserve.message_bytes_max"));
    }
    let given = match raw {
        Some(raw) => Ok(Cow::Borrowed(raw)),
        None => output.listed(dtype, len),
    };
    let given = given.map_err(|error| {
        let failed = wrong(&format!("{}: {error}", told())).got("others");
        failed.expected(format!("{bytes} bytes of elements for output {name}"))
    })?;
    if given.len() != len {
        let failed = wrong(&told()).got(given.len().to_string());
        return Err(failed.expected(format!("{bytes} bytes for output {name}")));
    }
    Ok(Given {
        dtype,
        shape,
        bytes: given,
    })
}

#[cfg(test)]
mod tests {
    use nn_proto::kserve::inference as oip;
    use nn_tensor::{Dim, TensorName};
    use oip::model_infer_response::InferOutputTensor;
    use prost::Message;

    use super::*;

    fn signature() -> Signature {
        let spec = |name: &str, dtype, dims: &[Dim]| TensorSpec {
            name: TensorName::new(name).unwrap(),
            dtype,
            dims: Some(dims.to_vec()),
        };
        Signature {
            inputs: Vec::new(),
            outputs: vec![
                spec("y", DType::Fp32, &[Dim::Any, Dim::Fixed(2)]),
                spec("n", DType::I64, &[Dim::Fixed(1)]),
            ],
        }
    }

    fn right() -> oip::ModelInferResponse {
        let tensor = |name: &str, datatype: &str, shape: &[i64]| InferOutputTensor {
            name: name.to_owned(),
            datatype: datatype.to_owned(),
            shape: shape.to_vec(),
            ..Default::default()
        };
        oip::ModelInferResponse {
            outputs: vec![tensor("n", "INT64", &[1]), tensor("y", "FP32", &[3, 2])],
            raw_output_contents: vec![vec![1; 8].into(), vec![2; 24].into()],
            ..Default::default()
        }
    }

    #[test]
    fn outputs_come_in_the_signature_s_order() {
        let message = right().encode_to_vec();
        let given = check(&signature(), &message, 1 << 20).unwrap();
        assert_eq!(given[0].shape.dims(), [3, 2]);
        assert_eq!((given[0].bytes.len(), given[1].bytes.len()), (24, 8));
    }

    #[test]
    fn whatever_is_not_as_the_model_gives_it_is_refused() {
        let changes: [fn(&mut oip::ModelInferResponse); 12] = [
            |answer| answer.outputs.clear(),
            |answer| answer.outputs.truncate(1),
            |answer| answer.outputs.push(answer.outputs[0].clone()),
            |answer| answer.outputs[1].name = "z".to_owned(),
            |answer| answer.outputs[1].name = "n".to_owned(),
            |answer| answer.outputs[1].datatype = "FP16".to_owned(),
            |answer| answer.outputs[1].datatype = "BYTES".to_owned(),
            |answer| answer.outputs[1].shape = vec![3, 3],
            |answer| answer.outputs[1].shape = vec![6],
            |answer| answer.outputs[1].shape = vec![-1, 2],
            |answer| answer.raw_output_contents[1] = vec![2; 23].into(),
            |answer| answer.raw_output_contents.truncate(1),
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let mut answer = right();
            change(&mut answer);
            let message = answer.encode_to_vec();
            let refused = check(&signature(), &message, 1 << 20).unwrap_err();
            assert_eq!(refused.reason, Reason::RemoteAnswer, "{index}");
            assert!(refused.sent && !refused.expected.is_empty(), "{index}");
        }
    }

    #[test]
    fn words_as_long_as_a_message_are_not_written_out() {
        // Six times as long, were they.
        let long = "\u{1}".repeat(16 << 20);
        let changes: [fn(&mut oip::ModelInferResponse, String); 2] = [
            |answer, long| answer.outputs[1].name = long,
            |answer, long| answer.outputs[1].datatype = long,
        ];
        for change in changes {
            let mut answer = right();
            change(&mut answer, long.clone());
            let message = answer.encode_to_vec();
            let refused = check(&signature(), &message, 64 << 20).unwrap_err();
            // Its beginning, and no mark that more was cut away.
            let detail = &refused.detail;
            assert!(detail.len() < 512 && !detail.contains('…'), "{detail}");
        }
    }

    #[test]
    fn a_shape_of_more_bytes_than_there_are_is_refused() {
        let mut answer = right();
        answer.outputs[1].shape = vec![i64::from(u32::MAX), 2];
        let message = answer.encode_to_vec();
        assert!(check(&signature(), &message, 1 << 20).is_err());
    }
}
