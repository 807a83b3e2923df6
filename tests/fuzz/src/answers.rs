//! What a remote engine answers, as its relay reads it, with the generated code's reading beside it: what both take they take
//! alike. The first byte chooses the model.

use nn_proto::kserve::inference as oip;
use nn_relay::engine::answer::{Given, check};
use nn_relay::engine::message::{Metadata, TensorMetadata, ready};
use nn_relay::engine::signature::{agrees, signature};
use nn_tensor::{DType, Dim, Reason, Signature, TENSORS_MAX, TensorName, TensorSpec};
use prost::Message;

/// The longest outputs.
const BYTES_MAX: usize = 64 * 1024;

/// Reads the rest as an answer, as metadata, and as whether the model is ready.
pub fn run(bytes: &[u8]) {
    let Some((&choice, message)) = bytes.split_first() else {
        return;
    };
    answered(&model(choice), message);
    described(message);
    if let (Ok(ours), Ok(theirs)) = (ready(message), oip::ModelReadyResponse::decode(message)) {
        assert_eq!(ours, theirs.ready);
    }
}

/// Models of every type and every kind of shape.
fn model(choice: u8) -> Signature {
    let spec = |name: &str, dtype, dims: Option<&[Dim]>| TensorSpec {
        name: TensorName::new(name).expect("a usable name"),
        dtype,
        dims: dims.map(<[Dim]>::to_vec),
    };
    let any = [Dim::Any];
    let outputs = match choice % 4 {
        0 => vec![
            spec("y", DType::Fp32, Some(&[Dim::Any, Dim::Fixed(2)])),
            spec("n", DType::I64, Some(&[Dim::Fixed(1)])),
        ],
        1 => vec![
            spec("i", DType::I32, Some(&any)),
            spec("u", DType::U8, Some(&any)),
            spec("d", DType::Fp64, Some(&any)),
        ],
        2 => vec![
            spec("h", DType::Fp16, Some(&[Dim::Fixed(3)])),
            spec("b", DType::Bf16, None),
        ],
        _ => vec![spec("y", DType::Fp32, Some(&[]))],
    };
    Signature {
        inputs: Vec::new(),
        outputs,
    }
}

fn answered(model: &Signature, message: &[u8]) {
    let given = match check(model, message, BYTES_MAX) {
        Ok(given) => given,
        Err(failed) => {
            assert_eq!(failed.reason, Reason::RemoteAnswer);
            assert!(failed.sent && !failed.expected.is_empty());
            assert!(!failed.detail.chars().any(char::is_control));
            return;
        }
    };
    assert_eq!(given.len(), model.outputs.len());
    let mut all = 0;
    for (spec, given) in model.outputs.iter().zip(&given) {
        assert!(spec.fits(given.dtype, given.shape));
        let bytes = given.shape.byte_len(given.dtype);
        assert_eq!(bytes.ok(), u64::try_from(given.bytes.len()).ok());
        all += given.bytes.len();
    }
    assert!(all <= BYTES_MAX);
    let Ok(theirs) = oip::ModelInferResponse::decode(message) else {
        return;
    };
    // A list may come in parts, which are one to the generated code: what is written as it writes it has one alone.
    let is_plain = theirs.encode_to_vec() == message;
    for (spec, given) in model.outputs.iter().zip(&given) {
        let mut outputs = theirs.outputs.iter().enumerate();
        let named = outputs.find(|(_, output)| output.name == spec.name.as_str());
        let (index, output) = named.expect("an output of that name");
        let dims = given.shape.dims().iter().map(|&dim| i64::from(dim));
        assert!(dims.eq(output.shape.iter().copied()));
        match theirs.raw_output_contents.get(index) {
            Some(raw) => assert_eq!(given.bytes.as_ref(), raw.as_ref()),
            None if is_plain => assert_eq!(given.bytes.as_ref(), listed(output, given)),
            None => {}
        }
    }
}

/// The elements of an output that came as a list.
fn listed(output: &oip::model_infer_response::InferOutputTensor, given: &Given<'_>) -> Vec<u8> {
    let lists = output.contents.clone().unwrap_or_default();
    let bytes = |number: &u32| u8::try_from(*number).expect("a byte");
    match given.dtype {
        DType::U8 => lists.uint_contents.iter().map(bytes).collect(),
        DType::I32 => flat(&lists.int_contents, |number| number.to_le_bytes()),
        DType::I64 => flat(&lists.int64_contents, |number| number.to_le_bytes()),
        DType::Fp32 => flat(&lists.fp32_contents, |number| number.to_le_bytes()),
        DType::Fp64 => flat(&lists.fp64_contents, |number| number.to_le_bytes()),
        DType::Fp16 | DType::Bf16 => Vec::new(),
    }
}

fn flat<T, const BYTES: usize>(numbers: &[T], bytes: fn(&T) -> [u8; BYTES]) -> Vec<u8> {
    numbers.iter().flat_map(bytes).collect()
}

fn described(message: &[u8]) {
    let Ok(ours) = Metadata::read(message) else {
        return;
    };
    assert!(ours.inputs.len() <= TENSORS_MAX && ours.outputs.len() <= TENSORS_MAX);
    match signature(&ours) {
        Ok(signature) => {
            assert!(!signature.outputs.is_empty());
            assert!(agrees(&signature, &signature));
        }
        Err(failed) => assert!(!failed.sent && !failed.detail.chars().any(char::is_control)),
    }
    let Ok(theirs) = oip::ModelMetadataResponse::decode(message) else {
        return;
    };
    for (ours, theirs) in [
        (&ours.inputs, &theirs.inputs),
        (&ours.outputs, &theirs.outputs),
    ] {
        assert_eq!(ours.len(), theirs.len());
        assert!(ours.iter().zip(theirs).all(is_same));
    }
}

fn is_same(
    (ours, theirs): (
        &TensorMetadata<'_>,
        &oip::model_metadata_response::TensorMetadata,
    ),
) -> bool {
    let named = (ours.name, ours.datatype) == (theirs.name.as_str(), theirs.datatype.as_str());
    named && ours.dims == theirs.shape
}
