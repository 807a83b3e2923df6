//! ONNX files: whether they are any, and whether they may be given to a framework.

mod expansion;
mod functions;
mod operators;
mod schema;
mod signature;
mod tensor;
mod walk;
mod wire;

pub(crate) use tensor::elements;
use wire::{Fields, Malformed, Value, fields};

use nn_tensor::bundle;

use crate::ir;
use crate::refusal::{Refusal, Rule};
use crate::rules::Rules;
use crate::vetted::{About, Vetted};

/// Field numbers of ONNX's ModelProto (onnx.proto, IR version 3 and later).
const IR_VERSION: u32 = 1;
const PRODUCER: u32 = 2;
const PRODUCER_VERSION: u32 = 3;
const GRAPH: u32 = 7;
const OPSET: u32 = 8;

/// Operator sets that are told of; a model has three or four.
const OPSETS_TOLD_MAX: usize = 16;

/// How much of a name in [`About`] is told.
const CHARS_TOLD_MAX: usize = 64;

/// Judges a model's bytes, which were said to be of a format ("" for nothing).
///
/// # Errors
/// The first rule that they break.
pub fn vet(bytes: &[u8], said: &str, rules: &Rules) -> Result<Vetted, Refusal> {
    known_format(said)?;
    match bundle::split(bytes) {
        Ok(None) if said == IR => {
            return Err(Refusal::new(Rule::Format)
                .expected("model.xml and model.bin as one bundle")
                .got(guess(bytes).1));
        }
        Ok(None) => {}
        Ok(Some(_)) if said == "onnx" => {
            return Err(Refusal::new(Rule::Format)
                .expected("onnx")
                .got("a bundle of OpenVINO's IR"));
        }
        Ok(Some(pair)) => return ir::vet(pair.xml, pair.weights, rules),
        Err(error) => {
            return Err(Refusal::new(Rule::Malformed)
                .expected("a bundle of model.xml and model.bin")
                .got(error.to_string()));
        }
    }
    if len(bytes) > rules.bytes_max {
        return Err(Refusal::new(Rule::Size)
            .expected(format!("at most {} bytes", rules.bytes_max))
            .got(format!("{} bytes", len(bytes))));
    }
    // Before all else, for bytes can be a ModelProto and this too: ONNX Runtime looks for the mark first.
    if !is_onnx(bytes) || is_ort(bytes) {
        let (rule, guess) = guess(bytes);
        return Err(Refusal::new(rule)
            .expected("a protobuf ModelProto with an ir_version and a graph")
            .got(guess));
    }
    let sums = walk::model(bytes, rules)?;
    let mut about = about(bytes);
    about.nodes = sums.nodes;
    about.parameter_bytes = sums.parameter_bytes;
    let signature = signature::bytes(bytes, GRAPH).and_then(signature::of);
    Ok(Vetted {
        format: "onnx",
        signature,
        about,
    })
}

/// The format of a pair of files, as it is said.
const IR: &str = "openvino-ir";

/// Refuses what is not even the name of a format that is taken.
///
/// # Errors
/// For every name but "", "onnx" and "openvino-ir".
pub fn known_format(said: &str) -> Result<(), Refusal> {
    if matches!(said, "" | "onnx" | IR) {
        return Ok(());
    }
    Err(Refusal::new(Rule::Format)
        .expected("onnx, openvino-ir")
        .got(told(said.as_bytes())))
}

/// What the bytes look like instead, and by which rule that ends here.
pub(crate) fn guess(bytes: &[u8]) -> (Rule, &'static str) {
    let guess = match bytes {
        [] => "an empty file",
        [0x80, 0x02..=0x05, ..] => "what looks like a Python pickle (a PyTorch checkpoint?)",
        [b'P', b'K', 3, 4, ..] => "what looks like a zip archive (a PyTorch or Keras file?)",
        [0x89, b'H', b'D', b'F', ..] => "what looks like an HDF5 file (Keras?)",
        [_, _, _, _, b'T', b'F', b'L', b'3', ..] => "what looks like a TensorFlow Lite model",
        [_, _, _, _, b'O', b'R', b'T', b'M', ..] => {
            return (
                Rule::OrtFile,
                "an ONNX Runtime .ort file; only .onnx is taken",
            );
        }
        [b'G', b'G', b'U', b'F', ..] => "what looks like a GGUF model",
        [b'<', ..] => "what looks like XML (OpenVINO IR?) or HTML",
        [b'v', b'e', b'r', b's', b'i', b'o', b'n', b' ', ..] => "what looks like a Git LFS pointer",
        _ if bytes
            .iter()
            .take(512)
            .all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace()) =>
        {
            "text"
        }
        _ => "other bytes",
    };
    (Rule::Format, guess)
}

/// Whether ONNX Runtime would read it by offsets that it contains.
fn is_ort(bytes: &[u8]) -> bool {
    bytes.get(4..8) == Some(b"ORTM")
}

/// Whether the top level reads as a ModelProto: fields to the very end, with a version and a graph
/// among them.
fn is_onnx(bytes: &[u8]) -> bool {
    let (mut version, mut graph) = (false, false);
    for field in fields(bytes) {
        match field {
            Ok((IR_VERSION, Value::Varint(_))) => version = true,
            Ok((GRAPH, Value::Bytes(_))) => graph = true,
            Ok(_) => {}
            Err(Malformed) => return false,
        }
    }
    version && graph
}

/// What a model that was walked says of itself, but for the sums.
fn about(model: &[u8]) -> About {
    let mut about = About::default();
    for field in top(model) {
        match field {
            (IR_VERSION, Value::Varint(version)) => about.ir_version = version.cast_signed(),
            (PRODUCER, Value::Bytes(name)) => about.producer = told(name),
            (PRODUCER_VERSION, Value::Bytes(version)) => about.producer_version = told(version),
            (OPSET, Value::Bytes(set)) if about.opsets.len() < OPSETS_TOLD_MAX => {
                let domain = signature::bytes(set, 1).unwrap_or_default();
                let version = signature::varint(set, 2).unwrap_or_default();
                about.opsets.push((told(domain), version.cast_signed()));
            }
            _ => {}
        }
    }
    about
}

fn len(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn top(model: &[u8]) -> impl Iterator<Item = (u32, Value<'_>)> {
    let all: Fields<'_> = fields(model);
    all.filter_map(Result::ok)
}

/// Words of the model's own, cut and without control characters.
fn told(words: &[u8]) -> String {
    let head = words.get(..words.len().min(CHARS_TOLD_MAX.saturating_mul(4)));
    let text = String::from_utf8_lossy(head.unwrap_or_default());
    let plain = text.chars().filter(|c| !c.is_control());
    plain.take(CHARS_TOLD_MAX).collect()
}

impl From<Malformed> for Refusal {
    fn from(_: Malformed) -> Self {
        Self::new(Rule::Malformed)
            .expected("a protobuf message that can be read to its end")
            .got("one that cannot")
    }
}

#[cfg(test)]
mod tests;
