//! Conversions that a model.toml declares, through guest, shim, daemon and jail: what clients send and get, what they are
//! told when it does not fit, and what an operator sees.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail with it")]

#[path = "conversions/picture.rs"]
mod picture;

use std::path::Path;

use nn_client::OutTensor;
use nn_tensor::{Code, DType};
use nn_tests::{
    Daemon, Output, compute, guest_wasm, model_file, nn_host, nn_host_with, nnctl,
    openvino_library, require_backends, tiny_model,
};
use picture::Picture;
use serde_json::json;

/// efficientnet-lite0 as it is to guests: pictures in, labels out.
const LABELS: &str = r#"
[inputs.images]
picture = { filter = "bicubic", mean = 127, std = 128 }

[outputs.probabilities]
top_k = 5
labels_file = "imagenet-1k.txt"
"#;

/// Loads a model with what is said of it.
fn load_as(daemon: &Daemon, name: &str, model: &Path, said: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.toml");
    std::fs::write(&path, said).unwrap();
    let labels = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/labels/imagenet-1k.txt");
    std::fs::copy(labels, folder.path().join("imagenet-1k.txt")).unwrap();
    let (model, path) = (model.to_str().unwrap(), path.to_str().unwrap());
    nnctl(daemon, &["load", name, model, "--manifest", path])
}

fn load(daemon: &Daemon, name: &str, said: &str) {
    let _ = load_as(daemon, name, &tiny_model(name), said).ok();
}

fn bytes(output: &OutTensor) -> Vec<u8> {
    output.slot.to_vec().expect("an output that is there")
}

fn f32s(output: &OutTensor) -> Vec<f32> {
    let bytes = bytes(output);
    let (elements, _) = bytes.as_chunks();
    elements
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect()
}

fn of_f32(numbers: &[f32]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect()
}

/// What a guest of both interfaces prints for coffee, sent as it is.
fn named_by_guests(daemon: &Daemon) -> [Output; 2] {
    let folder = tempfile::tempdir().unwrap();
    let coffee = Picture::coffee().of_size(640, 480);
    std::fs::write(folder.path().join("coffee.rgb"), &coffee.pixels).unwrap();
    let shown = format!("{}::/raw", folder.path().display());
    let words = ["labels", "/raw/coffee.rgb", "640", "480"];
    ["wit-label", "witx-label"]
        .map(|guest| nn_host_with(daemon, &["--dir", &shown], &guest_wasm(guest), &words).ok())
}

#[test]
fn a_raw_picture_is_named_by_a_guest_of_twenty_lines_on_both_interfaces() {
    require_backends!();
    let daemon = Daemon::start();
    load_as(&daemon, "labels", &model_file("efficientnet-lite0"), LABELS).success();
    let [component, module] = named_by_guests(&daemon);
    assert!(component.stdout.starts_with("espresso\n"), "{component:?}");
    assert_eq!(component.stdout.lines().count(), 5);
    assert_eq!(component.stdout, module.stdout);
}

#[test]
fn openvino_names_a_raw_picture_as_onnx_runtime_does() {
    require_backends!();
    if !openvino_library().is_file() {
        return;
    }
    let daemon = Daemon::builder().with_openvino().start();
    let said = format!("backend = \"openvino\"\n{LABELS}");
    load_as(&daemon, "labels", &model_file("efficientnet-lite0"), &said).success();
    let [component, module] = named_by_guests(&daemon);
    assert!(component.stdout.starts_with("espresso\n"), "{component:?}");
    assert_eq!(component.stdout, module.stdout);
}

#[tokio::test]
async fn values_and_places_are_those_of_the_model_itself() {
    require_backends!();
    let daemon = Daemon::start();
    let model = model_file("efficientnet-lite0");
    load_as(&daemon, "labels", &model, LABELS).success();
    load_as(&daemon, "plain", &model, "").success();
    let coffee = Picture::coffee();
    let dims = [coffee.height, coffee.width, 3];
    let tensors = [("images", DType::U8, &dims[..], coffee.pixels.as_slice())];
    let client = daemon.client();
    let made = compute(&client, "labels", &tensors, None).await.unwrap();
    let names: Vec<&str> = made.iter().map(|output| output.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "probabilities.values",
            "probabilities.indices",
            "probabilities.labels"
        ]
    );
    assert_eq!(
        (made[0].dtype, made[0].shape.dims()),
        (DType::Fp32, &[1, 5][..])
    );
    assert_eq!(
        (made[1].dtype, made[1].shape.dims()),
        (DType::I32, &[1, 5][..])
    );
    assert_eq!(bytes(&made[1])[..4], 967_i32.to_le_bytes());
    let espresso = f32s(&made[0])[0];
    assert!((0.5..=1.0).contains(&espresso), "{espresso}");
    // The same pixels, prepared by a guest that knows the model.
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("coffee.png"), coffee.png()).unwrap();
    let shown = format!("{}::/raw", folder.path().display());
    let (guest, words) = (guest_wasm("wit-classify"), ["plain", "/raw/coffee.png"]);
    let by_guest = nn_host_with(&daemon, &["--dir", &shown], &guest, &words).ok();
    let first: Vec<&str> = by_guest.stdout.split_whitespace().take(4).collect();
    let probability: f32 = first[2].parse().unwrap();
    assert!(
        (probability - espresso).abs() < 0.01,
        "{first:?} {espresso}"
    );
}

#[tokio::test]
async fn a_picture_of_the_models_size_is_only_normalised_and_turned_into_planes() {
    require_backends!();
    let daemon = Daemon::start();
    let said =
        "[inputs.input]\npicture = { order = \"bgr\", scale = 2.0, mean = [1, 2, 3], std = 4 }";
    load(&daemon, "picture-f32", said);
    let picture = Picture::pattern(224, 224);
    let tensors = [(
        "input",
        DType::U8,
        &[224, 224, 3][..],
        picture.pixels.as_slice(),
    )];
    let made = compute(&daemon.client(), "picture-f32", &tensors, None)
        .await
        .unwrap();
    assert_eq!(made[0].shape.dims(), [1, 3, 224, 224]);
    let mut expected = Vec::new();
    for (channel, mean) in [(2, 1.0), (1, 2.0), (0, 3.0)] {
        let plane = picture.pixels.iter().skip(channel).step_by(3);
        expected.extend(plane.map(|byte| (f32::from(*byte) * 2.0 - mean) / 4.0));
    }
    assert!(
        f32s(&made[0]) == expected,
        "all exact: halves and quarters of whole numbers"
    );
}

#[tokio::test]
async fn numbers_of_another_type_come_and_go_and_one_without_a_place_is_told() {
    require_backends!();
    let daemon = Daemon::start();
    let said = "[inputs.input]\ndtype = \"i64\"\n[outputs.output]\ndtype = \"u8\"";
    load(&daemon, "identity-fp32", said);
    let client = daemon.client();
    let given = |numbers: &[i64]| -> Vec<u8> {
        numbers
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect()
    };
    let right = given(&[0, 7, 255]);
    let tensors = [("input", DType::I64, &[3][..], right.as_slice())];
    let made = compute(&client, "identity-fp32", &tensors, None)
        .await
        .unwrap();
    assert_eq!(
        (made[0].dtype, bytes(&made[0])),
        (DType::U8, vec![0, 7, 255])
    );
    let wrong = given(&[0, 7, 256]);
    let tensors = [("input", DType::I64, &[3][..], wrong.as_slice())];
    let fault = compute(&client, "identity-fp32", &tensors, None)
        .await
        .unwrap_err();
    assert_eq!(fault.code, Code::RuntimeError);
    assert!(fault.got.contains("256.0 as element 2"), "{fault}");
    // Nothing is left of the failure.
    let tensors = [("input", DType::I64, &[3][..], right.as_slice())];
    assert!(
        compute(&client, "identity-fp32", &tensors, None)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn an_input_that_the_model_has_no_number_for_is_the_clients_mistake() {
    require_backends!();
    let daemon = Daemon::start();
    load(&daemon, "identity-u8", "[inputs.input]\ndtype = \"fp32\"");
    let numbers = of_f32(&[1.0, f32::NAN]);
    let tensors = [("input", DType::Fp32, &[2][..], numbers.as_slice())];
    let told = compute(&daemon.client(), "identity-u8", &tensors, None).await;
    let fault = told.unwrap_err();
    assert_eq!(fault.code, Code::InvalidArgument);
    assert!(fault.got.contains("NaN as element 1"), "{fault}");
}

#[tokio::test]
async fn scores_become_probabilities_and_the_largest_of_them() {
    require_backends!();
    let daemon = Daemon::start();
    let said = "[outputs.output]\nsoftmax = true\ntop_k = 2\nlabels = [\"a\", \"b\"]";
    load(&daemon, "identity-fp32", said);
    // e to these is 2, 1 and 5.
    let scores = of_f32(&[2_f32.ln(), 0.0, 5_f32.ln()]);
    let tensors = [("input", DType::Fp32, &[3][..], scores.as_slice())];
    let made = compute(&daemon.client(), "identity-fp32", &tensors, None)
        .await
        .unwrap();
    let apart = f32s(&made[0]).into_iter().zip([0.625, 0.25]);
    assert!(
        apart.clone().all(|(a, b): (f32, f32)| (a - b).abs() < 1e-6),
        "{apart:?}"
    );
    assert_eq!(bytes(&made[1]), [2, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(
        bytes(&made[2]),
        b"2\na\n",
        "a place without a label is its number"
    );
    let few = of_f32(&[1.0]);
    let tensors = [("input", DType::Fp32, &[1][..], few.as_slice())];
    let told = compute(&daemon.client(), "identity-fp32", &tensors, None).await;
    let fault = told.unwrap_err();
    assert!(fault.expected.contains("at least 2"), "{fault}");
}

#[test]
fn a_guest_that_sends_something_else_is_told_what_clients_send() {
    require_backends!();
    let daemon = Daemon::start();
    load_as(&daemon, "labels", &model_file("efficientnet-lite0"), LABELS).success();
    for wrong in [
        "images=fp32:1x3x224x224:0",
        "images=u8:480x640:0",
        "images=u8:9x9x4:0",
    ] {
        let told = nn_host(&daemon, "wit-cases", &["run", "labels", "1", wrong]);
        let line = told.stdout.lines().next().unwrap_or_default();
        assert!(line.starts_with("error invalid-argument"), "{told:?}");
        assert!(line.contains("u8 [?, ?, 3]"), "{told:?}");
    }
    let none = nn_host(
        &daemon,
        "wit-cases",
        &["run", "labels", "1", "images=u8:0x640x3:0"],
    );
    let line = none.stdout.lines().next().unwrap_or_default();
    assert!(
        line.contains("1 to 16384 rows") && line.contains("[0, 640, 3]"),
        "{none:?}"
    );
}

#[test]
fn what_does_not_fit_the_model_is_refused_before_it_is_loaded() {
    require_backends!();
    let daemon = Daemon::start();
    for (model, said, told) in [
        ("identity-fp32", "[inputs.input]\npicture = {}", "fp32 [?]"),
        (
            "identity-fp32",
            "[inputs.inputt]\ndtype = \"u8\"",
            "did you mean inputs.input?",
        ),
        (
            "identity-fp32",
            "[inputs.input]\ndtype = \"fp32\"",
            "does nothing",
        ),
        (
            "identity-i64",
            "[outputs.output]\nsoftmax = true",
            "floating-point",
        ),
        (
            "picture-f32",
            "[inputs.input]\npicture = { size = [9, 9] }",
            "fp32 [1, 3, 224, 224]",
        ),
        (
            "picture-f32",
            "[inputs.input]\npicture = { mean = [1, 2] }",
            "one number, or 3",
        ),
        (
            "picture-f32",
            "[outputs.output]\ntop_k = 225",
            "at least 225",
        ),
    ] {
        let loaded = load_as(&daemon, "wrong", &tiny_model(model), said);
        assert_eq!(loaded.code, Some(1), "{said}: {loaded:?}");
        assert!(loaded.stderr.contains(told), "{said}: {loaded:?}");
    }
    let listed = nnctl(&daemon, &["--json", "list"]).ok();
    assert!(!listed.stdout.contains("wrong"), "{listed:?}");
}

#[tokio::test]
async fn an_operator_sees_both_signatures_and_a_restart_changes_neither() {
    require_backends!();
    let mut daemon = Daemon::start();
    load_as(&daemon, "labels", &model_file("efficientnet-lite0"), LABELS).success();
    let described = |daemon: &Daemon| -> serde_json::Value {
        let said = nnctl(daemon, &["--json", "describe", "labels"]).ok();
        serde_json::from_str(&said.stdout).unwrap()
    };
    let before = described(&daemon);
    assert_eq!(before["inputs"][0]["dtype"], "u8");
    assert_eq!(before["inputs"][0]["shape"], json!([null, null, 3]));
    assert_eq!(before["outputs"][2]["name"], "probabilities.labels");
    assert_eq!(before["model_inputs"][0]["dtype"], "fp32");
    assert_eq!(
        before["model_inputs"][0]["shape"],
        json!([null, 3, 224, 224])
    );
    assert_eq!(before["model_outputs"][0]["name"], "probabilities");
    let text = nnctl(&daemon, &["describe", "labels"]).ok();
    assert!(text.stdout.contains("model input"), "{text:?}");
    assert!(daemon.terminate(), "it leaves in time");
    daemon.restart();
    let after = described(&daemon);
    assert_eq!(before["inputs"], after["inputs"]);
    assert_eq!(before["model_inputs"], after["model_inputs"]);
    let [component, _] = named_by_guests(&daemon);
    assert!(component.stdout.starts_with("espresso\n"), "{component:?}");
}

#[test]
fn a_warm_up_is_of_what_clients_send() {
    require_backends!();
    let daemon = Daemon::start();
    let model = model_file("efficientnet-lite0");
    let own = format!("[[warm_up]]\ninputs.images.shape = [1, 3, 224, 224]\n{LABELS}");
    let refused = load_as(&daemon, "labels", &model, &own);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("u8 [?, ?, 3]"), "{refused:?}");
    let seen = format!("[[warm_up]]\ninputs.images.shape = [480, 640, 3]\n{LABELS}");
    load_as(&daemon, "labels", &model, &seen).success();
}
