//! What a manifest may say.

use super::*;

const RIGHT: &str = r#"
title = "three pictures"
kind = "data"
licence = "CC0-1.0"

[[wheel]]
package = "pictures"
version = "1.0"
file = "pictures-1.0-py3-none-any.whl"
sha256 = "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af"
bytes = 10

[[wheel.take]]
member = "pictures/a.png"
sha256 = "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7"
bytes = 5
to = "data/a.png"
"#;

fn refusal(text: &str) -> String {
    format!("{:#}", Manifest::parse(text).unwrap_err())
}

#[test]
fn right_manifest_is_read() {
    let manifest = Manifest::parse(RIGHT).unwrap();
    assert_eq!(manifest.wheels[0].takes[0].result().1, 5);
}

#[test]
fn unknown_key_is_refused() {
    let text = RIGHT.replace("licence", "license");
    assert!(refusal(&text).contains("license"));
}

#[test]
fn digest_of_wrong_length_is_refused() {
    let text = RIGHT.replace("74aa", "74a");
    assert!(refusal(&text).contains("64 lower-case hexadecimal digits"));
}

#[test]
fn target_outside_the_folder_is_refused() {
    let text = RIGHT.replace("data/a.png", "../a.png");
    assert!(refusal(&text).contains("leaves its folder"));
}

#[test]
fn wheel_name_with_a_path_is_refused() {
    let text = RIGHT.replace("\"pictures-1.0", "\"/tmp/pictures-1.0");
    assert!(refusal(&text).contains("plain file name"));
}

#[test]
fn model_without_signature_is_refused() {
    let text = RIGHT.replace("kind = \"data\"", "kind = \"model\"");
    assert!(refusal(&text).contains("[signature]"));
}

#[test]
fn manifests_of_this_checkout_are_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    let manifests = Manifest::read_all(&folder).unwrap();
    assert!(
        manifests
            .iter()
            .any(|manifest| manifest.kind == Kind::Runtime)
    );
    assert!(
        manifests
            .iter()
            .any(|manifest| manifest.kind == Kind::Model)
    );
}

#[test]
fn ir_of_what_is_no_model_is_refused() {
    let digest = "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7";
    let file = format!("{{ sha256 = \"{digest}\", bytes = 1 }}");
    let text = format!("{RIGHT}\n[ir]\nxml = {file}\nweights = {file}\n");
    assert!(refusal(&text).contains("[ir] is made of a model"));
}
