//! The command lines: exit codes, errors that help, data on stdout and talk on stderr.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail with it")]

use nn_tests::{
    Daemon, guest_wasm, model_file, nnctl, require_backends, run, tiny_model, wait_until,
};

fn path(path: &std::path::Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn without_a_daemon_both_tools_say_so_and_exit_3() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("nn.sock");
    let guest = guest_wasm("wit-classify");
    let list = run("nnctl", &["--socket", path(&socket), "list"]);
    let host = run(
        "nn-host",
        &["run", "--socket", path(&socket), path(&guest), "foo"],
    );
    assert_eq!(
        (list.code, host.code),
        (Some(3), Some(3)),
        "{list:?} {host:?}"
    );
    assert!(
        list.stderr.contains("hint:") && list.stderr.contains("nn-daemon"),
        "{list:?}"
    );
    assert!(
        host.stderr.contains("hint:") && host.stderr.contains("nn-daemon"),
        "{host:?}"
    );
    assert_eq!((list.stdout.as_str(), host.stdout.as_str()), ("", ""));
}

#[test]
fn a_file_that_is_no_model_is_refused_and_leaves_nothing() {
    require_backends!();
    let daemon = Daemon::start();
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let load = nnctl(&daemon, &["load", "foo", manifest]);
    assert_eq!(load.code, Some(1), "{load:?}");
    assert!(
        load.stderr.contains("expected: ") && load.stderr.contains("got: "),
        "{load:?}"
    );
    assert_eq!(nnctl(&daemon, &["describe", "foo"]).code, Some(4));
}

#[test]
fn a_model_that_the_framework_refuses_leaves_nothing() {
    require_backends!();
    let daemon = Daemon::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("empty-graph.onnx");
    // A ModelProto with a version and an empty graph: it looks right and is not.
    std::fs::write(&file, [0x08, 0x08, 0x3a, 0x00]).unwrap();
    let load = nnctl(&daemon, &["load", "foo", path(&file)]);
    assert_eq!(load.code, Some(1), "{load:?}");
    assert!(load.stderr.contains("hint: "), "{load:?}");
    assert_eq!(nnctl(&daemon, &["describe", "foo"]).code, Some(4));
}

#[test]
fn models_are_loaded_listed_described_and_unloaded() {
    require_backends!();
    let daemon = Daemon::start();
    let echo = tiny_model("identity-fp32");
    let first = nnctl(&daemon, &["load", "foo", path(&echo)]).ok();
    let second = nnctl(&daemon, &["load", "foo", path(&echo)]).ok();
    assert!(first.stdout.starts_with("foo@1 ready"), "{first:?}");
    assert!(second.stdout.starts_with("foo@2 ready"), "{second:?}");

    let list = nnctl(&daemon, &["--json", "list"]).ok();
    let list: serde_json::Value = serde_json::from_str(&list.stdout).unwrap();
    let current: Vec<bool> = list["models"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["current"].as_bool().unwrap())
        .collect();
    assert_eq!(current, [false, true]);

    let describe = nnctl(&daemon, &["describe", "foo"]).ok();
    assert!(
        describe.stdout.contains("foo@2") && describe.stdout.contains("fp32"),
        "{describe:?}"
    );
    nnctl(&daemon, &["unload", "foo@2"]).success();
    nnctl(&daemon, &["unload", "foo"]).success();
    assert_eq!(nnctl(&daemon, &["unload", "foo"]).code, Some(4));
}

#[test]
fn an_older_version_that_loads_longer_does_not_replace_a_newer_one() {
    require_backends!();
    let daemon = Daemon::start();
    let (slow, quick) = (model_file("minilm-l6-int8"), tiny_model("identity-fp32"));
    nnctl(&daemon, &["load", "race", path(&slow), "--no-wait"]).success();
    nnctl(&daemon, &["load", "race", path(&quick)]).success();
    let ready = || {
        nnctl(&daemon, &["describe", "race@1"])
            .stdout
            .contains("state        ready")
    };
    wait_until(
        "the older one is ready",
        std::time::Duration::from_secs(30),
        ready,
    );
    let current = nnctl(&daemon, &["describe", "race"]).ok();
    assert!(current.stdout.contains("race@2, current"), "{current:?}");
}

#[test]
fn a_model_without_a_worker_is_busy_and_not_failed() {
    require_backends!();
    let daemon = Daemon::builder().with_limits("workers_max = 1").start();
    let echo = tiny_model("identity-fp32");
    // What is not pinned would rest.
    nnctl(&daemon, &["load", "one", path(&echo), "--pin"]).success();
    let two = nnctl(&daemon, &["load", "two", path(&echo)]);
    assert_eq!(two.code, Some(1), "{two:?}");
    assert!(
        two.stderr.contains("no worker can be started now"),
        "{two:?}"
    );
    nnctl(&daemon, &["unload", "one"]).success();
    let again = || nnctl(&daemon, &["load", "two", path(&echo)]).code == Some(0);
    wait_until(
        "its worker has left",
        std::time::Duration::from_secs(5),
        again,
    );
}

#[test]
fn uploaded_models_survive_a_restart() {
    require_backends!();
    let mut daemon = Daemon::start();
    daemon.load("foo", &tiny_model("identity-fp32"));
    daemon.load("foo", &tiny_model("add-f32"));
    assert!(
        daemon.terminate(),
        "the daemon left with an error:\n{}",
        daemon.log()
    );
    daemon.restart();
    let describe = nnctl(&daemon, &["describe", "foo"]).ok();
    assert!(describe.stdout.contains("foo@2, current"), "{describe:?}");
    nnctl(&daemon, &["describe", "foo@1"]).success();
}

#[test]
fn status_names_every_limit_and_every_missing_protection() {
    require_backends!();
    let daemon = Daemon::start();
    let status = nnctl(&daemon, &["--json", "status"]).ok();
    let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    let limits = status["limits"].as_array().map_or(0, Vec::len);
    assert!(limits >= 21, "{status}");
    assert!(
        status["isolation"].to_string().contains("seccomp"),
        "{status}"
    );
    assert_eq!(status["sandbox_profile"], "worker-ort", "{status}");
    assert_eq!(status["degraded"], false, "{status}");
    let causes = status["worker_ends"].as_array().map_or(0, Vec::len);
    assert_eq!(causes, 8, "{status}");
}

#[test]
fn the_jail_is_explained_as_the_daemon_found_it() {
    require_backends!();
    let daemon = Daemon::start();
    let text = nnctl(&daemon, &["sandbox", "explain"]).ok().stdout;
    let source = format!("as nn-daemon pid {} found them\n", daemon.pid());
    assert!(text.contains(&source), "{text}");
    let json = nnctl(&daemon, &["--json", "sandbox", "explain"])
        .ok()
        .stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let layers = json["layers"].as_array().unwrap();
    let seccomp = layers.iter().find(|layer| layer["layer"] == "seccomp");
    assert_eq!(seccomp.unwrap()["state"], "active", "{json}");
    assert_eq!(json["unmet"], serde_json::json!([]), "{json}");
}

#[test]
fn a_second_daemon_in_the_same_directory_is_refused() {
    require_backends!();
    let daemon = Daemon::start();
    let socket = daemon.socket();
    let dir = socket.parent().unwrap();
    let state = tempfile::tempdir().unwrap();
    let second = run(
        "nn-daemon",
        &[
            "--runtime-dir",
            path(dir),
            "--state-dir",
            path(state.path()),
        ],
    );
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(second.stderr.contains("another nn-daemon"), "{second:?}");
    nnctl(&daemon, &["status"]).success();
}

#[test]
fn a_second_daemon_on_the_same_state_is_refused() {
    require_backends!();
    let daemon = Daemon::start();
    let (state, runtime) = (daemon.state_dir(), tempfile::tempdir().unwrap());
    let dirs = [
        "--runtime-dir",
        path(runtime.path()),
        "--state-dir",
        path(&state),
    ];
    let second = run("nn-daemon", &dirs);
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(second.stderr.contains("another nn-daemon"), "{second:?}");
}

#[test]
fn silent_connections_do_not_lock_their_uid_out() {
    require_backends!();
    let daemon = Daemon::start();
    let connect = |_| std::os::unix::net::UnixStream::connect(daemon.socket()).unwrap();
    let _silent: Vec<_> = (0..64).map(connect).collect();
    let answers = || nnctl(&daemon, &["list"]).code == Some(0);
    wait_until(
        "they are closed",
        std::time::Duration::from_secs(15),
        answers,
    );
}

#[test]
fn the_daemon_maps_no_framework_and_its_worker_does() {
    require_backends!();
    let daemon = Daemon::start();
    daemon.load("echo", &tiny_model("identity-fp32"));
    let maps = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let daemons = maps(daemon.pid());
    assert!(!daemons.contains("onnxruntime") && !daemons.contains("nn-library"));
    let workers = daemon.workers();
    assert_eq!(workers.len(), 1);
    assert!(maps(workers[0]).contains("memfd:nn-library"));
}

#[test]
fn a_worker_sees_no_environment_and_can_gain_no_privileges() {
    require_backends!();
    let daemon = Daemon::start();
    daemon.load("echo", &tiny_model("identity-fp32"));
    let worker = daemon.workers()[0];
    let environ = std::fs::read(format!("/proc/{worker}/environ")).unwrap();
    let status = std::fs::read_to_string(format!("/proc/{worker}/status")).unwrap();
    assert_eq!(
        String::from_utf8_lossy(&environ),
        "ORT_DISABLE_TELEMETRY=1\0"
    );
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
}
