//! The daemon's own jail and the spawner's: that they are up in every thread, what they leave, and what happens where
//! a layer of them is missing.

use std::fs;

use nn_tests::{require_backends, tiny_model, wait_until};
use serde_json::Value;

use super::*;

/// Longer than a reload takes on a busy machine.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// No capability, as the kernel writes it.
const NONE: &str = "0000000000000000";

/// What each thread of a process says of this field.
fn of_threads(pid: u64, name: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let value = |status: String| {
        let mut lines = status.lines();
        let of = |line: &str| {
            Some(
                line.strip_prefix(name)?
                    .strip_prefix(':')?
                    .trim()
                    .to_owned(),
            )
        };
        lines.find_map(of)
    };
    let statuses = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("status")));
    // A thread may end while it is looked at.
    statuses.flatten().filter_map(value).collect()
}

/// The process of this name, as the daemon tells it.
fn jail<'a>(status: &'a Value, process: &str) -> &'a Value {
    let jails = status["jails"].as_array().unwrap();
    jails
        .iter()
        .find(|jail| jail["process"] == process)
        .unwrap()
}

fn all_are(values: &[String], expected: &str) -> bool {
    !values.is_empty() && values.iter().all(|value| value == expected)
}

#[test]
fn every_thread_of_the_daemon_is_jailed() {
    require_backends!();
    let daemon = Daemon::start();
    // Work with files, so that there are threads which began after the jail.
    daemon.load("add", &tiny_model("add-f32"));
    let pid = u64::from(daemon.pid());
    let walls = [
        ("Seccomp", "2"),
        ("NoNewPrivs", "1"),
        ("CapEff", NONE),
        ("CapPrm", NONE),
        ("CapInh", NONE),
        ("CapAmb", NONE),
    ];
    let threads = of_threads(pid, "Seccomp").len();
    assert!(threads > 1, "{threads}");
    let down = walls.map(|(field, expected)| (field, all_are(&of_threads(pid, field), expected)));
    assert!(down.iter().all(|(_, up)| *up), "{down:?}");
    let bounds = of_threads(pid, "CapBnd");
    assert!(!is_root() || all_are(&bounds, NONE), "{bounds:?}");
}

#[test]
fn the_spawner_is_jailed_and_keeps_what_gives_workers_their_uids() {
    require_backends!();
    let daemon = Daemon::start();
    let told = daemon.status();
    let pid = jail(&told, "nn-spawner")["pid"].as_u64().unwrap();
    let walls = ["Seccomp", "NoNewPrivs"].map(|field| of_threads(pid, field));
    assert_eq!(walls, [["2"], ["1"]]);
    let kept = if is_root() { "00000000000000c0" } else { NONE };
    assert_eq!(of_threads(pid, "CapEff"), [kept]);
}

#[test]
fn what_the_kernel_says_of_both_is_told() {
    require_backends!();
    let daemon = Daemon::start();
    let told = daemon.status();
    for process in ["nn-daemon", "nn-spawner"] {
        let kernel = jail(&told, process)["kernel"].as_str().unwrap();
        assert!(
            kernel.contains("NoNewPrivs: 1") && kernel.contains("Seccomp: 2"),
            "{process}: {kernel}"
        );
    }
    let explained = nnctl(&daemon, &["sandbox", "explain", "broker"])
        .ok()
        .stdout;
    assert!(
        explained.contains("any other call ends nn-daemon"),
        "{explained}"
    );
}

#[test]
fn a_repository_that_was_not_named_at_the_start_is_out_of_reach_and_that_is_said() {
    require_backends!();
    let elsewhere = tempfile::tempdir().unwrap();
    let version = elsewhere.path().join("secret/1");
    fs::create_dir_all(&version).unwrap();
    fs::copy(tiny_model("add-f32"), version.join("model.onnx")).unwrap();
    let elsewhere = elsewhere.path().to_str().unwrap();
    let daemon = Daemon::start();
    let named = format!("model_repository = [{elsewhere:?}]\n[runtimes]");
    daemon.reconfigure("[runtimes]", &named);
    let told = format!("model_repository {elsewhere}");
    wait_until("the reload is told of", PATIENCE, || {
        daemon.log().contains(&told)
    });
    let list = nnctl(&daemon, &["list"]).ok().stdout;
    assert!(!list.contains("secret"), "{list}");
}

#[test]
fn a_daemon_without_its_own_filter_needs_leave_and_shouts() {
    const LEFT_OUT: &str = "[sandbox]\nwithout_broker = [\"seccomp\"]\n";
    let (code, log) = Daemon::builder().with_sections(LEFT_OUT).start_and_end();
    assert_eq!(code, Some(1));
    assert!(
        log.contains("cannot jail nn-daemon as profile broker requires")
            && log.contains("left out by sandbox.without_broker"),
        "{log}"
    );
    let daemon = Daemon::builder()
        .with_sections(LEFT_OUT)
        .with_flag("--allow-degraded")
        .start();
    assert!(daemon.log().contains("DEGRADED: nn-daemon is NOT jailed"));
    assert_eq!(daemon.status()["degraded"], true);
    let text = nnctl(&daemon, &["status"]).ok().stdout;
    assert!(
        text.starts_with("DEGRADED: nn-daemon runs without seccomp, which profile broker requires"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_any_own_layer_daemon_and_workers_go_on() {
    require_backends!();
    let all = "[sandbox]\nwithout_broker = [\"landlock\", \"no_new_privs\", \"seccomp\"]\n\
               without_spawner = [\"no_new_privs\", \"seccomp\"]\n";
    let daemon = Daemon::builder()
        .with_sections(all)
        .with_flag("--allow-degraded")
        .start();
    daemon.load("add", &tiny_model("add-f32"));
    assert_eq!(add(&daemon.client()).await, Ok(3.0));
}

#[test]
fn a_dialer_without_its_layers_takes_leave_and_is_told() {
    require_backends!();
    let sections = "[sandbox]\nwithout_dialer = [\"landlock\", \"seccomp\"]\n\
                    [remote]\nendpoints = [\"127.0.0.1:9\"]\n";
    let (status, log) = Daemon::builder().with_sections(sections).start_and_end();
    assert_eq!(status, Some(1), "{log}");
    assert!(log.contains("left out by sandbox.without_dialer"), "{log}");
    let daemon = Daemon::builder()
        .with_sections(sections)
        .with_flag("--allow-degraded")
        .start();
    let told = daemon.status();
    let kernel = jail(&told, "nn-dialer")["kernel"].as_str().unwrap();
    assert!(
        kernel.contains("NoNewPrivs: 1") && kernel.contains("Seccomp: 0"),
        "{kernel}"
    );
    assert!(told["remote"]["available"] == true, "{told}");
}
