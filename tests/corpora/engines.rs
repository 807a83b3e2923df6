//! Seeds of `answers` and `door_frames`: what remote engines say, and clients' frames.

use nn_proto::kserve::inference as oip;
use oip::model_infer_response::InferOutputTensor;
use oip::model_metadata_response::TensorMetadata;
use prost::Message;

use crate::Seed;

type Lists = oip::InferTensorContents;

/// As tests/fuzz/src/answers.rs chooses models by the first byte.
pub(crate) fn seeds() -> Vec<Seed> {
    let mut all: Vec<Seed> = answers()
        .into_iter()
        .map(|(name, model, message)| {
            (
                "answers",
                name,
                [&[model][..], &message.encode_to_vec()].concat(),
            )
        })
        .collect();
    all.extend(described());
    all.extend(frames());
    all
}

fn tensor(name: &str, datatype: &str, shape: &[i64]) -> InferOutputTensor {
    InferOutputTensor {
        name: name.to_owned(),
        datatype: datatype.to_owned(),
        shape: shape.to_vec(),
        ..InferOutputTensor::default()
    }
}

fn listed(tensor: InferOutputTensor, lists: Lists) -> InferOutputTensor {
    InferOutputTensor {
        contents: Some(lists),
        ..tensor
    }
}

fn answer(outputs: Vec<InferOutputTensor>, raw: &[&[u8]]) -> oip::ModelInferResponse {
    oip::ModelInferResponse {
        model_name: "foo".to_owned(),
        model_version: "3".to_owned(),
        id: "7".to_owned(),
        outputs,
        raw_output_contents: raw.iter().map(|raw| raw.to_vec().into()).collect(),
        ..oip::ModelInferResponse::default()
    }
}

fn answers() -> Vec<(&'static str, u8, oip::ModelInferResponse)> {
    let two = || vec![tensor("n", "INT64", &[1]), tensor("y", "FP32", &[2, 2])];
    let lists = vec![
        listed(
            tensor("y", "FP32", &[1, 2]),
            Lists {
                fp32_contents: vec![1.5, -2.0],
                ..Lists::default()
            },
        ),
        listed(
            tensor("n", "INT64", &[1]),
            Lists {
                int64_contents: vec![-7],
                ..Lists::default()
            },
        ),
    ];
    let small = vec![
        listed(
            tensor("i", "INT32", &[3]),
            Lists {
                int_contents: vec![1, -2, i32::MIN],
                ..Lists::default()
            },
        ),
        listed(
            tensor("u", "UINT8", &[2]),
            Lists {
                uint_contents: vec![0, 255],
                ..Lists::default()
            },
        ),
        listed(
            tensor("d", "FP64", &[1]),
            Lists {
                fp64_contents: vec![0.1],
                ..Lists::default()
            },
        ),
    ];
    let halves = vec![tensor("h", "FP16", &[3]), tensor("b", "BF16", &[1, 2])];
    vec![
        ("raw", 0, answer(two(), &[&[1; 8], &[2; 16]])),
        ("raw-of-one", 0, answer(two(), &[&[1; 8]])),
        ("raw-too-short", 0, answer(two(), &[&[1; 8], &[2; 15]])),
        ("lists", 0, answer(lists, &[])),
        ("lists-of-small-numbers", 1, answer(small, &[])),
        ("halves", 2, answer(halves, &[&[1; 6], &[2; 4]])),
        (
            "scalar",
            3,
            answer(vec![tensor("y", "FP32", &[])], &[&[3; 4]]),
        ),
        ("nothing", 3, answer(Vec::new(), &[])),
    ]
}

fn described() -> Vec<Seed> {
    let tensor = |name: &str, datatype: &str, shape: &[i64]| TensorMetadata {
        name: name.to_owned(),
        datatype: datatype.to_owned(),
        shape: shape.to_vec(),
    };
    let metadata = oip::ModelMetadataResponse {
        name: "foo".to_owned(),
        versions: vec!["3".to_owned()],
        platform: "onnxruntime".to_owned(),
        inputs: vec![tensor("x", "FP32", &[-1, 3]), tensor("n", "INT64", &[1])],
        outputs: vec![tensor("y", "BF16", &[]), tensor("z", "UINT8", &[-1])],
        ..oip::ModelMetadataResponse::default()
    };
    let strings = oip::ModelMetadataResponse {
        outputs: vec![tensor("y", "BYTES", &[-1])],
        ..oip::ModelMetadataResponse::default()
    };
    let ready = oip::ModelReadyResponse { ready: true };
    let seed = |name, message: Vec<u8>| ("answers", name, [vec![0], message].concat());
    vec![
        seed("metadata", metadata.encode_to_vec()),
        seed("metadata-of-strings", strings.encode_to_vec()),
        seed("ready", ready.encode_to_vec()),
    ]
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let len = u8::try_from(payload.len()).expect("a short frame");
    [&[0, 0, len, kind, flags, 0, 0, 0, 1], payload].concat()
}

/// A literal field: its first byte, a name where that is no index, and a value.
fn field(first: u8, name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| {
        let len = u8::try_from(text.len()).expect("a short text");
        [&[len], text.as_bytes()].concat()
    };
    let name = if name.is_empty() {
        Vec::new()
    } else {
        text(name)
    };
    [vec![first], name, text(value)].concat()
}

fn frames() -> Vec<Seed> {
    const HEADERS: u8 = 1;
    const WHOLE: u8 = 4;
    let path = "run%2Fnn-daemon%2Fnn.sock";
    let kept = field(0x40, ":authority", path);
    let by_index = field(0x41, "", path);
    let never = field(0x11, "", "/run/nn.sock:80");
    let other = field(0x00, "x-y", "%2F");
    let fields = [vec![0x3f, 0xe1, 0x1f, 0x82], other, kept.clone()].concat();
    let settings = frame(4, 0, &[]);
    let whole = [
        settings.clone(),
        frame(HEADERS, WHOLE, &fields),
        frame(0, 1, &[7; 40]),
    ];
    let with_priority = [&[0, 0, 0, 0, 16][..], &by_index].concat();
    let huffman = [vec![0x41, 0x84], vec![0xff; 4]].concat();
    let long = [0x41, 0x7f, 0x80, 0x01].iter().chain(&[b'%'; 100]).copied();
    let long: Vec<u8> = long.chain([b'/'; 155]).take(250).collect();
    let seed =
        |name, first: u8, bytes: Vec<u8>| ("door_frames", name, [vec![first], bytes].concat());
    vec![
        seed("whole", 0x40, whole.concat()),
        seed("passed", 0x41, whole.concat()),
        seed("byte-by-byte", 2, whole.concat()),
        seed("by-index", 0x10, frame(HEADERS, WHOLE, &by_index)),
        seed("never-kept", 0x10, frame(HEADERS, WHOLE, &never)),
        seed(
            "with-priority",
            6,
            frame(HEADERS, WHOLE | 0x20, &with_priority),
        ),
        seed("padded", 6, frame(HEADERS, WHOLE | 8, &kept)),
        seed(
            "in-parts",
            6,
            [frame(HEADERS, 0, &kept), frame(9, WHOLE, &kept)].concat(),
        ),
        seed("huffman", 0x20, frame(HEADERS, WHOLE, &huffman)),
        seed("long", 0x20, frame(HEADERS, WHOLE, &long)),
        seed(
            "data-left",
            0x20,
            [settings, vec![0, 1, 0, 0, 0, 0, 0, 0, 1, 5]].concat(),
        ),
    ]
}
