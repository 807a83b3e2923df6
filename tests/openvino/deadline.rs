//! Loads that go on for ever: OpenVINO computes what depends on no input while it prepares a model, and so a loop without
//! end. Such a load ends once, at its deadline, with its worker, and is held against nobody.

use std::time::{Duration, Instant};

use nn_tests::{Daemon, Output, nnctl, tiny_model, wait_until};

use super::{PATIENCE, is_there, load};

/// Long enough for any load of these tests that has an end.
const DEADLINE: Duration = Duration::from_secs(8);

fn timed(daemon: &Daemon, arguments: &[&str]) -> (Output, Duration) {
    let endless = tiny_model("endless-f32");
    let of = [
        "load",
        "endless",
        endless.to_str().unwrap(),
        "--backend",
        "openvino",
    ];
    let begun = Instant::now();
    let ended = nnctl(daemon, &[&of, arguments].concat());
    (ended, begun.elapsed())
}

fn assert_ended_once(daemon: &Daemon, (ended, took): &(Output, Duration), parts: &[&str]) {
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let told = |part: &&str| ended.stderr.contains(*part);
    assert!(parts.iter().all(told), "{ended:?}");
    assert!((DEADLINE..DEADLINE + PATIENCE).contains(took), "{took:?}");
    wait_until("its worker is gone", PATIENCE, || {
        daemon.workers().is_empty()
    });
    assert_eq!(daemon.ended("timeout"), 1, "one worker, once");
    assert!(daemon.models().is_empty());
    let held = nnctl(daemon, &["--json", "quarantine", "list"]).ok();
    assert!(!held.stdout.contains("sha256"), "{held:?}");
}

#[test]
fn a_load_without_end_ends_once_at_the_daemons_deadline_and_the_next_load_works() {
    if !is_there() {
        return;
    }
    let limit = format!("load_ms_max = {}", DEADLINE.as_millis());
    let builder = Daemon::builder().with_openvino().with_threads(2);
    let daemon = builder.with_limits(&limit).start();
    let ended = timed(&daemon, &[]);
    let parts = [
        "loading the model took too long",
        "at most 8s",
        "limits.load_ms_max",
    ];
    assert_ended_once(&daemon, &ended, &parts);
    let _ = load(&daemon, "add", &tiny_model("add-f32"), "openvino").ok();
    // The other framework computes the same when it is asked, not before.
    let _ = load(&daemon, "other", &tiny_model("endless-f32"), "onnxruntime").ok();
}

#[test]
fn a_load_without_end_ends_once_at_the_deadline_of_its_own_model_toml() {
    if !is_there() {
        return;
    }
    let daemon = super::daemon();
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("model.toml");
    let text = format!("load_ms_max = {}\n", DEADLINE.as_millis());
    std::fs::write(&manifest, text).unwrap();
    let ended = timed(&daemon, &["--manifest", manifest.to_str().unwrap()]);
    let parts = [
        "loading the model took too long",
        "at most 8s",
        "load_ms_max of its model.toml",
    ];
    assert_ended_once(&daemon, &ended, &parts);
}
