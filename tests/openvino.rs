//! OpenVINO in a worker, through daemon and jail: the same answers as ONNX Runtime, and faults where it cannot give them.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail with it")]

#[path = "openvino/deadline.rs"]
mod deadline;
#[path = "openvino/devices.rs"]
mod devices;
#[path = "openvino/guests.rs"]
mod guests;
#[path = "openvino/repository.rs"]
mod repository;
#[path = "openvino/scale.rs"]
mod scale;
#[path = "openvino/told.rs"]
mod told;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nn_client::OutTensor;
use nn_tensor::{Code, DType};
use nn_tests::{
    Daemon, Output, available, compute, model_file, nn_host, nnctl, openvino_library, picture,
    tiny_model,
};

/// How far its numbers may be from ONNX Runtime's.
const TOLERANCE: f32 = 1e-3;

/// For a worker to be killed and the next one to come.
const PATIENCE: Duration = Duration::from_secs(10);

fn is_there() -> bool {
    available() && openvino_library().is_file()
}

/// A daemon with OpenVINO.
fn daemon() -> Daemon {
    Daemon::builder().with_openvino().with_threads(2).start()
}

fn load(daemon: &Daemon, name: &str, path: &Path, backend: &str) -> Output {
    let path = path.to_str().expect("a path of ASCII");
    nnctl(daemon, &["load", name, path, "--backend", backend])
}

fn f32s(tensor: &OutTensor) -> Vec<f32> {
    let bytes = tensor.slot.to_vec().expect("an output that is there");
    let (elements, _) = bytes.as_chunks();
    elements
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect()
}

#[tokio::test]
async fn efficientnet_on_openvino_answers_as_on_onnx_runtime() {
    if !is_there() {
        return;
    }
    let daemon = daemon();
    for backend in ["onnxruntime", "openvino"] {
        let loaded = load(&daemon, backend, &model_file("efficientnet-lite0"), backend).ok();
        assert!(loaded.stdout.contains(backend), "{loaded:?}");
    }
    let picture = picture();
    let tensors = [(
        "images",
        DType::Fp32,
        &[1, 3, 224, 224][..],
        picture.as_slice(),
    )];
    let client = daemon.client();
    let ort = compute(&client, "onnxruntime", &tensors, None)
        .await
        .unwrap();
    let openvino = compute(&client, "openvino", &tensors, None).await.unwrap();
    let (ort, openvino) = (f32s(&ort[0]), f32s(&openvino[0]));
    assert_eq!((ort.len(), openvino.len()), (1000, 1000));
    let apart = ort.iter().zip(&openvino).map(|(a, b)| (a - b).abs());
    let most = apart.fold(0.0, f32::max);
    assert!(most < TOLERANCE, "{most}");
    let guest = ["openvino", "/data/pictures/coffee.png"];
    let coffee = nn_host(&daemon, "wit-classify", &guest).ok();
    let likeliest = coffee.stdout.lines().next().unwrap_or_default();
    assert!(likeliest.contains("espresso"), "{coffee:?}");
}

#[tokio::test]
async fn an_ir_of_two_files_is_one_version_and_survives_a_restart() {
    if !is_there() {
        return;
    }
    let mut daemon = daemon();
    let folder = tempfile::tempdir().unwrap();
    let xml = folder.path().join("scale.xml");
    let weights = scale::weights([2.0, 3.0, 4.0, 5.0]);
    fs::write(&xml, scale::XML).unwrap();
    let path = xml.to_str().unwrap();
    let alone = nnctl(&daemon, &["load", "scale", path]);
    assert_eq!(alone.code, Some(1), "{alone:?}");
    assert!(alone.stderr.contains("scale.bin"), "{alone:?}");
    fs::write(xml.with_extension("bin"), &weights).unwrap();
    let loaded = nnctl(&daemon, &["load", "scale", path]).ok();
    assert!(loaded.stdout.contains("(openvino)"), "{loaded:?}");
    let ones: Vec<u8> = 1_f32.to_le_bytes().repeat(4);
    let tensors = [("x", DType::Fp32, &[4][..], ones.as_slice())];
    let got = compute(&daemon.client(), "scale", &tensors, None)
        .await
        .unwrap();
    assert_eq!(f32s(&got[0]), [2.0, 3.0, 4.0, 5.0]);
    assert!(daemon.terminate(), "it leaves in time");
    daemon.restart();
    let got = compute(&daemon.client(), "scale", &tensors, None)
        .await
        .unwrap();
    assert_eq!(f32s(&got[0]), [2.0, 3.0, 4.0, 5.0]);
    let elsewhere = load(&daemon, "other", &xml, "onnxruntime");
    assert_eq!(elsewhere.code, Some(1), "{elsewhere:?}");
    assert!(
        elsewhere.stderr.contains("does not read this format"),
        "{elsewhere:?}"
    );
}

#[tokio::test]
async fn a_loop_that_goes_on_is_a_timeout_and_the_next_worker_serves() {
    if !is_there() {
        return;
    }
    let daemon = daemon();
    let _ = load(&daemon, "slow", &tiny_model("slow-f32"), "openvino").ok();
    let client = daemon.client();
    let deadline = Some(Duration::from_millis(300));
    let (most, one) = (i64::from(i32::MAX).to_le_bytes(), 1_f32.to_le_bytes());
    let tensors = [
        ("iterations", DType::I64, &[][..], &most[..]),
        ("value", DType::Fp32, &[1][..], &one[..]),
    ];
    for _ in 0..2 {
        let begun = Instant::now();
        let fault = compute(&client, "slow", &tensors, deadline)
            .await
            .unwrap_err();
        assert_eq!(fault.code, Code::Timeout, "{fault}");
        assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn integers_that_openvino_would_cut_are_refused_and_the_model_lives_on() {
    if !is_there() {
        return;
    }
    let daemon = daemon();
    let _ = load(&daemon, "identity", &tiny_model("identity-i64"), "openvino").ok();
    let client = daemon.client();
    let large = (1_i64 << 40).to_le_bytes();
    let tensors = [("input", DType::I64, &[1][..], &large[..])];
    let fault = compute(&client, "identity", &tensors, None)
        .await
        .unwrap_err();
    assert_eq!(fault.code, Code::InvalidArgument, "{fault}");
    assert!(fault.hint.contains("onnxruntime"), "{fault}");
    let small = (-7_i64).to_le_bytes();
    let tensors = [("input", DType::I64, &[1][..], &small[..])];
    let got = compute(&client, "identity", &tensors, None).await.unwrap();
    assert_eq!(got[0].slot.to_vec().unwrap(), small);
}

#[test]
fn without_openvino_its_models_are_refused_and_others_are_served() {
    if !is_there() {
        return;
    }
    let daemon = Daemon::start();
    let refused = load(&daemon, "add", &tiny_model("add-f32"), "openvino");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("no OpenVINO"), "{refused:?}");
    let _ = load(&daemon, "add", &tiny_model("add-f32"), "onnxruntime").ok();
}
