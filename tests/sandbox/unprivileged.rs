//! As a user without any rights, as well as as root.

use std::fs;

use nn_tests::{model_file, require_backends, tiny_model};

use super::*;

/// The value of a field of /proc/PID/status.
fn field(pid: u32, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value
        .unwrap()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_without_rights_jails_its_workers_all_the_same() {
    require_backends!();
    if !is_root() {
        println!("skipped: not root, so that every other test here shows it");
        return;
    }
    let daemon = Daemon::builder().as_nobody().start();
    daemon.load("add", &tiny_model("add-f32"));
    daemon.load("efficientnet", &model_file("efficientnet-lite0"));
    assert_eq!(add(&daemon.client()).await, Ok(3.0));
    assert_eq!(field(daemon.pid(), "Uid"), "65534 65534 65534 65534");
    let worker = daemon.workers()[0];
    let walls =
        ["CapEff", "CapPrm", "CapBnd", "Seccomp", "NoNewPrivs"].map(|name| field(worker, name));
    let none = "0000000000000000";
    assert_eq!(walls, [none, none, none, "2", "1"]);
    assert_eq!(daemon.status()["degraded"], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_of_root_have_uids_of_their_own() {
    require_backends!();
    if !is_root() {
        println!("skipped: not root, so workers share the daemon's uid outside");
        return;
    }
    let daemon = Daemon::start();
    daemon.load("one", &tiny_model("add-f32"));
    daemon.load("two", &tiny_model("add-f32"));
    let mut uids: Vec<String> = daemon
        .workers()
        .into_iter()
        .map(|pid| field(pid, "Uid"))
        .collect();
    uids.sort();
    let of = |uid: u32| format!("{uid} {uid} {uid} {uid}");
    assert_eq!(uids, [of(1_900_000_000), of(1_900_000_001)]);
}
