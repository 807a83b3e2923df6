//! What is made of models so that they load faster: by a worker of its own, kept over restarts, and given up where it is of no use.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail with it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nn_client::OutTensor;
use nn_tensor::DType;
use nn_tests::{
    Daemon, DaemonBuilder, available, compute, model_file, nnctl, openvino_library, picture,
    require_backends, tiny_model, wait_until,
};
use sha2::{Digest, Sha256};

/// For a worker to start, make something and end.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the daemon's log says of a load from what was prepared.
const FROM_IT: &str = "from what was prepared";

/// A daemon that prepares at once.
fn daemon() -> DaemonBuilder {
    Daemon::builder().with_limits("prepare_after_ms = 0")
}

/// What there is, the whole name of each.
fn prepared(daemon: &Daemon) -> Vec<PathBuf> {
    let files = fs::read_dir(daemon.state_dir().join("prepared")).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let is_whole = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        !name.unwrap().starts_with('.')
    };
    paths.filter(is_whole).collect()
}

fn is_told(daemon: &Daemon, detail: &str) -> bool {
    let told = nnctl(daemon, &["--json", "events", "--kind", "prepared"]).ok();
    told.stdout.contains(detail)
}

fn load(daemon: &Daemon, name: &str, path: &Path, flags: &[&str]) {
    let all = [&["load", name, path.to_str().unwrap()][..], flags].concat();
    nnctl(daemon, &all).success();
}

/// Loads a model and waits until something was made of it.
fn prepare(daemon: &Daemon, name: &str, path: &Path, flags: &[&str]) -> PathBuf {
    let before = prepared(daemon);
    load(daemon, name, path, flags);
    wait_until("it is prepared", PATIENCE, || {
        prepared(daemon).len() > before.len() && is_told(daemon, " bytes in ")
    });
    let mut new = prepared(daemon);
    new.retain(|path| !before.contains(path));
    new.pop().unwrap()
}

async fn add(daemon: &Daemon, name: &str) -> Vec<u8> {
    let ones = 1_f32.to_le_bytes();
    let tensors = [
        ("a", DType::Fp32, &[1][..], &ones[..]),
        ("b", DType::Fp32, &[1][..], &ones[..]),
    ];
    let out = compute(&daemon.client(), name, &tensors, None).await;
    out.unwrap().first().unwrap().slot.to_vec().unwrap()
}

async fn classify(daemon: &Daemon, name: &str) -> Vec<f32> {
    let picture = picture();
    let tensors = [(
        "images",
        DType::Fp32,
        &[1, 3, 224, 224][..],
        picture.as_slice(),
    )];
    let out = compute(&daemon.client(), name, &tensors, None).await;
    f32s(out.unwrap().first().unwrap())
}

fn f32s(tensor: &OutTensor) -> Vec<f32> {
    let bytes = tensor.slot.to_vec().unwrap();
    let (elements, _) = bytes.as_chunks();
    let each = elements.iter();
    each.map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// Ends it by SIGKILL, starts it again, and waits until a model answers.
fn restart(daemon: &mut Daemon) {
    daemon.kill();
    daemon.restart();
}

/// Same answers before and after a start that finds what was prepared.
async fn second_start_is_from_it(backend: &str) {
    let mut daemon = if backend == "openvino" {
        daemon().with_openvino().with_threads(2).start()
    } else {
        daemon().with_threads(2).start()
    };
    let flags = ["--backend", backend];
    prepare(&daemon, "lite", &model_file("efficientnet-lite0"), &flags);
    assert!(!daemon.log().contains(FROM_IT), "{}", daemon.log());
    let first = classify(&daemon, "lite").await;

    restart(&mut daemon);

    let second = classify(&daemon, "lite").await;
    assert!(daemon.log().contains(FROM_IT), "{}", daemon.log());
    assert_eq!(first, second);
}

#[tokio::test]
async fn the_second_start_on_onnx_runtime_is_from_what_was_prepared_and_answers_the_same() {
    require_backends!();
    second_start_is_from_it("onnxruntime").await;
}

#[tokio::test]
async fn the_second_start_on_openvino_is_from_what_was_prepared_and_answers_the_same() {
    if available() && openvino_library().is_file() {
        second_start_is_from_it("openvino").await;
    }
}

#[tokio::test]
async fn what_the_disk_has_damaged_goes_and_the_model_answers() {
    require_backends!();
    let mut daemon = daemon().start();
    let file = prepare(&daemon, "add", &tiny_model("add-f32"), &[]);
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, bytes).unwrap();

    restart(&mut daemon);

    assert_eq!(add(&daemon, "add").await, 2_f32.to_le_bytes());
    assert!(!daemon.log().contains(FROM_IT), "{}", daemon.log());
    assert!(daemon.log().contains("what was prepared cannot be read"));
}

#[tokio::test]
async fn what_a_worker_refuses_is_dropped_with_an_event_and_the_model_answers() {
    require_backends!();
    let mut daemon = daemon().start();
    let file = prepare(&daemon, "add", &tiny_model("add-f32"), &[]);
    // By its name it is whole: nobody but the framework can tell.
    let nonsense = b"no model of any framework";
    let digest = Sha256::digest(nonsense);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let name = file.file_name().unwrap().to_str().unwrap();
    let (rest, _) = name.rsplit_once('-').unwrap();
    fs::remove_file(&file).unwrap();
    let forged = file.with_file_name(format!("{rest}-{hex}"));
    fs::write(&forged, nonsense).unwrap();

    restart(&mut daemon);

    assert_eq!(add(&daemon, "add").await, 2_f32.to_le_bytes());
    wait_until("it is told", PATIENCE, || is_told(&daemon, "dropped"));
    wait_until("it is gone", PATIENCE, || !forged.exists());
}

#[test]
fn what_was_prepared_of_a_model_goes_with_it() {
    require_backends!();
    let daemon = daemon().start();
    let file = prepare(&daemon, "add", &tiny_model("add-f32"), &[]);
    nnctl(&daemon, &["unload", "add"]).success();
    assert!(!file.exists());
}

#[test]
fn another_number_of_threads_is_another_one_and_both_are_kept() {
    require_backends!();
    let daemon = daemon().start();
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("model.toml");
    fs::write(&manifest, "threads = 2").unwrap();
    prepare(&daemon, "add", &tiny_model("add-f32"), &[]);
    let flags = ["--manifest", manifest.to_str().unwrap()];
    prepare(&daemon, "add2", &tiny_model("add-f32"), &flags);
    assert_eq!(prepared(&daemon).len(), 2);
}

#[test]
fn nothing_is_kept_beyond_the_bound_and_that_is_said() {
    require_backends!();
    let daemon = daemon().with_limits("prepared_bytes_max = 16").start();
    load(&daemon, "add", &tiny_model("add-f32"), &[]);
    wait_until("it is said", PATIENCE, || {
        daemon.log().contains("limits.prepared_bytes_max")
    });
    assert!(prepared(&daemon).is_empty());
}

/// Whether OpenVINO has a faster type than f32 here.
fn has_bf16() -> bool {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    cpuinfo.contains("avx512_bf16") || cpuinfo.contains("amx_bf16")
}

#[tokio::test]
async fn native_precision_is_told_and_seen_where_the_processor_has_one() {
    if !(available() && openvino_library().is_file()) {
        return;
    }
    let daemon = daemon().with_openvino().with_threads(2).start();
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("model.toml");
    fs::write(&manifest, "backend = \"openvino\"\nprecision = \"native\"").unwrap();
    let path = model_file("efficientnet-lite0");
    load(&daemon, "f32", &path, &["--backend", "openvino"]);
    let flags = ["--manifest", manifest.to_str().unwrap()];
    load(&daemon, "native", &path, &flags);
    let told = |name: &str| daemon.json(&["describe", name])["card"]["precision"].clone();
    assert_eq!(
        (told("f32"), told("native")),
        ("f32".into(), "native".into())
    );
    let (f32, native) = (
        classify(&daemon, "f32").await,
        classify(&daemon, "native").await,
    );
    if has_bf16() {
        assert_ne!(f32, native);
    } else {
        println!("no bf16 on this processor: native is f32 here");
        assert_eq!(f32, native);
    }
}
