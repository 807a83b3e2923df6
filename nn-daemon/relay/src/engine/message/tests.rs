//! The messages against those of the generated code.

use nn_proto::kserve::inference as oip;
use proptest::prelude::*;
use prost::Message;

use super::*;

fn input(name: &str, dtype: DType, dims: &[u32], bytes: usize) -> Input {
    Input {
        name: TensorName::new(name).unwrap(),
        dtype,
        shape: Shape::new(dims).unwrap(),
        bytes,
    }
}

fn tensor(
    name: &str,
    datatype: &str,
    shape: &[i64],
) -> oip::model_infer_response::InferOutputTensor {
    oip::model_infer_response::InferOutputTensor {
        name: name.to_owned(),
        datatype: datatype.to_owned(),
        shape: shape.to_vec(),
        ..Default::default()
    }
}

#[test]
fn a_call_reads_as_the_protocol_s_own_message() {
    let inputs = [
        input("a", DType::Fp32, &[1, 2], 8),
        input("b", DType::U8, &[], 1),
    ];
    let sent = infer::<()>(("foo", "3"), &inputs, 1000, |index, place| {
        place.fill(u8::try_from(index).unwrap() + 7);
        Ok(())
    });
    let sent = sent.unwrap();
    let (prefix, message) = sent.split_at(PREFIX_BYTES);
    assert_eq!(prefix, super::prefix(message.len()));
    let read = oip::ModelInferRequest::decode(message).unwrap();
    assert_eq!(
        (read.model_name.as_str(), read.model_version.as_str()),
        ("foo", "3")
    );
    let [a, b] = read.inputs.as_slice() else {
        panic!("{read:?}")
    };
    assert_eq!(
        (a.name.as_str(), a.datatype.as_str(), &a.shape),
        ("a", "FP32", &vec![1, 2])
    );
    assert_eq!((b.datatype.as_str(), b.shape.len()), ("UINT8", 0));
    assert_eq!(read.raw_input_contents, [vec![7; 8], vec![8; 1]]);
}

#[test]
fn a_call_beyond_its_bound_is_not_written() {
    let inputs = [input("a", DType::U8, &[100], 100)];
    let sent = infer::<()>(("foo", ""), &inputs, 100, |_, _| Ok(()));
    assert!(matches!(sent, Err(NoRequest::TooLong(len)) if len > 100));
}

#[test]
fn metadata_and_readiness_are_read() {
    let tensor = |name: &str| oip::model_metadata_response::TensorMetadata {
        name: name.to_owned(),
        datatype: "FP32".to_owned(),
        shape: vec![-1, 3],
    };
    let sent = oip::ModelMetadataResponse {
        name: "foo".to_owned(),
        platform: "any".to_owned(),
        inputs: vec![tensor("x")],
        outputs: vec![tensor("y"), tensor("z")],
        ..Default::default()
    };
    let bytes = sent.encode_to_vec();
    let read = Metadata::read(&bytes).unwrap();
    assert_eq!((read.inputs.len(), read.outputs.len()), (1, 2));
    assert_eq!(read.outputs[1].name, "z");
    assert_eq!(read.outputs[1].dims, [-1, 3]);
    let sent = oip::ModelReadyResponse { ready: true }.encode_to_vec();
    assert_eq!((ready(&sent), ready(&[])), (Ok(true), Ok(false)));
}

fn listed(datatype: &str, contents: oip::InferTensorContents) -> Vec<u8> {
    let mut output = tensor("y", datatype, &[2]);
    output.contents = Some(contents);
    let outputs = vec![output];
    let answer = oip::ModelInferResponse {
        outputs,
        ..Default::default()
    };
    answer.encode_to_vec()
}

#[test]
fn lists_of_every_type_are_their_bytes() {
    type List = oip::InferTensorContents;
    let fill = |dtype, list: &mut List| match dtype {
        DType::Fp32 => list.fp32_contents = vec![1.5, -2.0],
        DType::Fp64 => list.fp64_contents = vec![1.5, -2.0],
        DType::I32 => list.int_contents = vec![1, -2],
        DType::I64 => list.int64_contents = vec![1, -2],
        DType::U8 => list.uint_contents = vec![1, 255],
        DType::Fp16 | DType::Bf16 => {}
    };
    for (dtype, wanted) in [
        (DType::Fp32, [1.5_f32, -2.0].map(f32::to_le_bytes).concat()),
        (DType::Fp64, [1.5_f64, -2.0].map(f64::to_le_bytes).concat()),
        (DType::I32, [1_i32, -2].map(i32::to_le_bytes).concat()),
        (DType::I64, [1_i64, -2].map(i64::to_le_bytes).concat()),
        (DType::U8, vec![1, 255]),
    ] {
        let mut list = List::default();
        fill(dtype, &mut list);
        let message = listed(datatype(dtype), list);
        let read = Response::read(&message).unwrap();
        let output = &read.outputs[0];
        let bytes = output.listed(dtype, wanted.len()).unwrap();
        assert_eq!(bytes.as_ref(), wanted, "{dtype:?}");
    }
    let uint_contents = vec![256];
    let wide = listed(
        "UINT8",
        List {
            uint_contents,
            ..List::default()
        },
    );
    let read = Response::read(&wide).unwrap();
    assert!(read.outputs[0].listed(DType::U8, 1).is_err());
}

#[test]
fn more_tensors_or_dimensions_than_there_can_be_are_refused() {
    let many = oip::ModelInferResponse {
        outputs: vec![tensor("y", "FP32", &[1]); TENSORS_MAX + 1],
        ..Default::default()
    };
    assert!(Response::read(&many.encode_to_vec()).is_err());
    let deep = oip::ModelInferResponse {
        outputs: vec![tensor("y", "FP32", &[1; RANK_MAX + 1])],
        ..Default::default()
    };
    assert!(Response::read(&deep.encode_to_vec()).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_an_answer_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(read) = Response::read(&bytes) {
            for output in &read.outputs {
                for dtype in DType::ALL {
                    if let Ok(listed) = output.listed(dtype, 64) {
                        prop_assert!(listed.len() <= bytes.len().max(64));
                    }
                }
            }
        }
        let _ = Metadata::read(&bytes);
        let _ = ready(&bytes);
    }
}
