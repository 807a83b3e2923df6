//! HTTP/2 by hand (RFC 9113), and the messages of a model that adds: what is right, for others to spoil.

use std::io::{self, Read};

use nn_proto::kserve::inference as oip;
use oip::model_infer_response::InferOutputTensor;
use oip::model_metadata_response::TensorMetadata;
use prost::Message;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;

/// What a client's connection begins with.
pub(crate) const PREFACE_BYTES: usize = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();

/// `:status 200`, by its place in the table that everybody has (RFC 7541, appendix A).
const OK: u8 = 0x88;

/// A frame that came.
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![len[1], len[2], len[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The next frame; an error at the end of the connection.
pub(crate) fn read_frame(stream: &mut impl Read) -> io::Result<Frame> {
    let mut head = [0; 9];
    stream.read_exact(&mut head)?;
    let len = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; usize::try_from(len).unwrap()];
    stream.read_exact(&mut payload)?;
    Ok(Frame {
        kind: head[3],
        flags: head[4],
        stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
        payload,
    })
}

/// A header field: a literal without an index (RFC 7541, 6.2.2).
pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    let mut field = vec![0];
    for text in [name, value] {
        length(text.len(), &mut field);
        field.extend(text.as_bytes());
    }
    field
}

/// A length of 7 bits and more (RFC 7541, 5.1).
fn length(len: usize, out: &mut Vec<u8>) {
    let Some(mut left) = len.checked_sub(0x7f) else {
        out.push(u8::try_from(len).unwrap());
        return;
    };
    out.push(0x7f);
    while left >= 0x80 {
        out.push(u8::try_from(left & 0x7f).unwrap() | 0x80);
        left >>= 7;
    }
    out.push(u8::try_from(left).unwrap());
}

fn fields(status: u8, kind: &str) -> Vec<u8> {
    [vec![status], field("content-type", kind)].concat()
}

/// How an answer begins.
pub(crate) fn head(stream: u32) -> Vec<u8> {
    head_of(stream, OK, "application/grpc")
}

/// The same of another status, by its place in the table, and of another type.
pub(crate) fn head_of(stream: u32, status: u8, kind: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &fields(status, kind))
}

/// How it ends.
pub(crate) fn trailers(stream: u32, status: &str, words: &str) -> Vec<u8> {
    let fields = [field("grpc-status", status), field("grpc-message", words)].concat();
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &fields)
}

/// The same in a frame and others that go on with it.
pub(crate) fn trailers_in_parts(stream: u32, status: &str, words: &str) -> Vec<u8> {
    const PART: usize = 16 * 1024;
    let fields = [field("grpc-status", status), field("grpc-message", words)].concat();
    let mut parts = fields.chunks(PART);
    let mut all = frame(HEADERS, END_STREAM, stream, parts.next().unwrap());
    for part in parts {
        all.extend(frame(CONTINUATION, 0, stream, part));
    }
    all.extend(frame(CONTINUATION, END_HEADERS, stream, &[]));
    all
}

/// A message as gRPC frames it.
pub(crate) fn grpc(message: &[u8]) -> Vec<u8> {
    let len = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], len.as_slice(), message].concat()
}

/// A whole answer with these bytes in its middle.
pub(crate) fn whole(stream: u32, body: &[u8]) -> Vec<u8> {
    let mut all = head(stream);
    for part in body.chunks(16 * 1024) {
        all.extend(frame(DATA, 0, stream, part));
    }
    all.extend(trailers(stream, "0", ""));
    all
}

/// What is known of the model: `sum` is `a` and `b`.
pub(crate) fn metadata() -> oip::ModelMetadataResponse {
    let tensor = |name: &str| TensorMetadata {
        name: name.to_owned(),
        datatype: "FP32".to_owned(),
        shape: vec![-1],
    };
    oip::ModelMetadataResponse {
        name: "add".to_owned(),
        inputs: vec![tensor("a"), tensor("b")],
        outputs: vec![tensor("sum")],
        ..Default::default()
    }
}

/// The right answer.
pub(crate) fn sum(request: &[u8]) -> oip::ModelInferResponse {
    let request = oip::ModelInferRequest::decode(request).unwrap();
    let floats = |at: usize| {
        let (floats, rest) = request.raw_input_contents[at].as_chunks::<4>();
        assert!(rest.is_empty());
        floats.iter().map(|bytes| f32::from_le_bytes(*bytes))
    };
    let sums = floats(0).zip(floats(1)).map(|(a, b)| a + b);
    let raw: Vec<u8> = sums.flat_map(f32::to_le_bytes).collect();
    oip::ModelInferResponse {
        model_name: request.model_name.clone(),
        outputs: vec![InferOutputTensor {
            name: "sum".to_owned(),
            datatype: "FP32".to_owned(),
            shape: request.inputs[0].shape.clone(),
            ..Default::default()
        }],
        raw_output_contents: vec![raw.into()],
        ..Default::default()
    }
}
