//! What is a model at all, and what each file may be read as.

use super::*;

#[test]
fn a_model_proto_is_onnx() {
    assert_eq!(vet(SMALLEST, "", &Rules::default()).unwrap().format, "onnx");
    assert_eq!(
        vet(SMALLEST, "onnx", &Rules::default()).unwrap().format,
        "onnx"
    );
    assert_eq!(
        vet(SMALLEST, "ggml", &Rules::default()).unwrap_err().rule,
        Rule::Format
    );
}

#[test]
fn what_is_no_model_is_named() {
    let files: [&[u8]; 5] = [
        b"",
        b"<html>",
        b"hello\n",
        b"\0\0\0\0TFL3",
        b"\x20\0\0\0ORTM",
    ];
    let guesses = files.map(|file| vet(file, "", &Rules::default()).unwrap_err());
    let expected = [
        (Rule::Format, "an empty file"),
        (Rule::Format, "what looks like XML (OpenVINO IR?) or HTML"),
        (Rule::Format, "text"),
        (Rule::Format, "what looks like a TensorFlow Lite model"),
        (
            Rule::OrtFile,
            "an ONNX Runtime .ort file; only .onnx is taken",
        ),
    ];
    let found = guesses
        .each_ref()
        .map(|refusal| (refusal.rule, refusal.got.as_str()));
    assert_eq!(found, expected);
}

#[test]
fn a_model_cut_short_is_refused() {
    assert_eq!(rule(&[0x08, 0x08, 0x3a, 0x05, 1, 2]), Some(Rule::Format));
    assert_eq!(rule(&SMALLEST[..2]), Some(Rule::Format));
}

#[test]
fn more_bytes_than_are_taken_are_refused() {
    let rules = Rules {
        bytes_max: 3,
        ..Rules::default()
    };
    assert_eq!(vet(SMALLEST, "", &rules).unwrap_err().rule, Rule::Size);
}

#[test]
fn a_model_proto_with_the_mark_of_an_ort_file_is_refused() {
    let bytes = [message(2, b"\0\0ORTM"), graph(b"")].concat();
    assert!(is_onnx(&bytes));
    assert_eq!(rule(&bytes), Some(Rule::OrtFile));
}
