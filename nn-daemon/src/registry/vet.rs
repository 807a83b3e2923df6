//! What the daemon itself checks of a model's bytes before any worker sees them, in safe Rust.
//!
//! For now: that they look like the format they are said to be, and that no tensor has its data elsewhere
//! (`vet/external.rs`). It refuses the plainly wrong early and in plain words.

mod external;
mod wire;

use nn_tensor::{Code, Fault};
use wire::{Malformed, Value};

/// Field numbers of ONNX's ModelProto (onnx.proto, IR version 3 and later).
const IR_VERSION: u32 = 1;
const GRAPH: u32 = 7;

/// Judges a model's bytes, which were said to be of a format ("" for nothing): gives the format they have.
pub(crate) fn vet(bytes: &[u8], said: &str) -> Result<&'static str, Fault> {
    let format = format_of(bytes, said)?;
    external::refuse(bytes)?;
    Ok(format)
}

/// Refuses what is not even the name of a format that is taken.
pub(crate) fn known_format(said: &str) -> Result<(), Fault> {
    if matches!(said, "" | "onnx") {
        return Ok(());
    }
    Err(Fault::new(Code::InvalidEncoding, "an unknown model format")
        .expected("onnx")
        .got(said.chars().take(32).collect::<String>()))
}

/// The format of these bytes.
fn format_of(bytes: &[u8], said: &str) -> Result<&'static str, Fault> {
    known_format(said)?;
    if is_onnx(bytes) {
        return Ok("onnx");
    }
    let fault = Fault::new(Code::InvalidEncoding, "the file is no ONNX model")
        .expected("a protobuf ModelProto with an ir_version and a graph")
        .got(guess(bytes));
    Err(fault.hint("export the model to ONNX (for PyTorch: torch.onnx.export) and load that file"))
}

/// What the bytes look like instead.
fn guess(bytes: &[u8]) -> &'static str {
    match bytes {
        [] => "an empty file",
        [0x80, 0x02..=0x05, ..] => "what looks like a Python pickle (a PyTorch checkpoint?)",
        [b'P', b'K', 3, 4, ..] => "what looks like a zip archive (a PyTorch or Keras file?)",
        [0x89, b'H', b'D', b'F', ..] => "what looks like an HDF5 file (Keras?)",
        [_, _, _, _, b'T', b'F', b'L', b'3', ..] => "what looks like a TensorFlow Lite model",
        [_, _, _, _, b'O', b'R', b'T', b'M', ..] => {
            "an ONNX Runtime .ort file; only .onnx is taken"
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
    }
}

/// Whether the top level reads as a ModelProto: fields to the very end, with a version and a graph
/// among them.
fn is_onnx(bytes: &[u8]) -> bool {
    let (mut version, mut graph) = (false, false);
    for field in wire::fields(bytes) {
        match field {
            Ok((IR_VERSION, Value::Varint(_))) => version = true,
            Ok((GRAPH, Value::Bytes(_))) => graph = true,
            Ok(_) => {}
            Err(Malformed) => return false,
        }
    }
    version && graph
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALLEST: &[u8] = &[0x08, 0x08, 0x3a, 0x00];

    #[test]
    fn a_model_proto_is_onnx() {
        assert_eq!(format_of(SMALLEST, ""), Ok("onnx"));
        assert_eq!(format_of(SMALLEST, "onnx"), Ok("onnx"));
    }

    #[test]
    fn what_is_no_model_is_named() {
        let files: [&[u8]; 4] = [b"", b"<html>", b"hello\n", b"\0\0\0\0TFL3"];
        let guesses = files.map(|file| format_of(file, "").unwrap_err().got);
        let expected = [
            "an empty file",
            "what looks like XML (OpenVINO IR?) or HTML",
            "text",
            "what looks like a TensorFlow Lite model",
        ];
        assert_eq!(guesses, expected);
    }

    #[test]
    fn a_model_cut_short_is_refused() {
        assert!(format_of(&[0x08, 0x08, 0x3a, 0x05, 1, 2], "").is_err());
        assert!(format_of(&SMALLEST[..2], "").is_err());
    }
}
