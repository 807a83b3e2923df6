//! What operators are told of workers of OpenVINO: status, the jail, the doctor.

use nn_tests::{Daemon, nnctl, tiny_model};
use serde_json::Value;

use super::{daemon, is_there, load};

fn runtime(daemon: &Daemon, backend: &str) -> Value {
    let status = daemon.status();
    let runtimes = status["runtimes"].as_array().unwrap();
    let mut found = runtimes.iter().filter(|one| one["backend"] == backend);
    found.next().unwrap().clone()
}

#[test]
fn status_names_each_frameworks_profile_its_calls_and_its_workers() {
    if !is_there() {
        return;
    }
    let daemon = daemon();
    let _ = load(&daemon, "add", &tiny_model("add-f32"), "openvino").ok();
    let (ort, openvino) = (
        runtime(&daemon, "onnxruntime"),
        runtime(&daemon, "openvino"),
    );
    assert_eq!(
        (&ort["profile"], &openvino["profile"]),
        (&"worker-ort".into(), &"worker-openvino".into())
    );
    assert_eq!(
        (&ort["workers"], &openvino["workers"]),
        (&0.into(), &1.into())
    );
    let calls = |of: &Value| of["system_calls"].as_u64().unwrap();
    assert!(
        calls(&ort) > 10 && calls(&ort) < calls(&openvino),
        "{ort} {openvino}"
    );
    assert!(calls(&openvino) <= 45, "{openvino}");
    let text = nnctl(&daemon, &["status"]).ok().stdout;
    assert!(
        text.contains("profiles worker-ort, worker-openvino"),
        "{text}"
    );
}

#[test]
fn the_daemon_answers_for_the_jail_of_its_workers_of_openvino() {
    if !is_there() {
        return;
    }
    let daemon = daemon();
    let explained = daemon.json(&["sandbox", "explain", "worker-openvino"]);
    assert_eq!(explained["source"]["kind"], "daemon", "{explained}");
    assert_eq!(explained["source"]["pid"], daemon.pid());
    let doctor = nnctl(&daemon, &["doctor"]).stdout;
    assert!(
        doctor.contains("runtimes.openvino") && doctor.contains("libopenvino_c.so.2641, in use"),
        "{doctor}"
    );
}
