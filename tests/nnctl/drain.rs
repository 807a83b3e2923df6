//! An operator ends the daemon, and is told what became of what was in flight.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::{PermissionsExt, chown};

use nix::unistd::geteuid;
use nn_tests::{
    Daemon, is_running, nnctl, program, require_backends, slow, slow_daemon, tiny_model,
    until_computing, wait_until,
};
use serde_json::json;

use crate::{SOON, objects};

/// About a second.
const LONG: i64 = 150_000;

/// Longer than any test waits.
const ENDLESS: i64 = 10_000_000;

/// Who is nobody's operator.
const STRANGER: u32 = 65_534;

/// Ends with it, successfully.
fn ended(mut daemon: Daemon) {
    wait_until("the daemon ends by itself", SOON, || {
        !is_running(daemon.pid())
    });
    assert!(daemon.terminate(), "{}", daemon.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_waits_for_what_is_in_flight_and_then_the_daemon_ends() {
    require_backends!();
    let daemon = slow_daemon();
    let client = daemon.client();
    let computing = tokio::spawn(async move { slow(&client, LONG, None).await });
    until_computing(&daemon, SOON).await;
    let drained = tokio::task::block_in_place(|| daemon.json(&["drain"]));
    assert_eq!(drained, json!({ "in_flight": 1, "cut_off": 0 }));
    computing.await.unwrap().unwrap();
    let uid = geteuid().as_raw();
    let log = std::fs::read_to_string(daemon.state_dir().join("events.jsonl"));
    tokio::task::block_in_place(|| ended(daemon));
    let ending = objects(&log.unwrap());
    let ending = ending
        .iter()
        .find(|event| event["kind"] == "ending")
        .unwrap();
    assert_eq!(
        (&ending["uid"], &ending["detail"]),
        (&uid.into(), &"nnctl drain".into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_too_long_is_cut_off_and_counted() {
    require_backends!();
    let daemon = Daemon::builder()
        .with_limits("\ndrain_ms_max = 200")
        .start();
    daemon.load("slow", &tiny_model("slow-f32"));
    let client = daemon.client();
    let computing = tokio::spawn(async move { slow(&client, ENDLESS, None).await });
    until_computing(&daemon, SOON).await;
    let drained = tokio::task::block_in_place(|| nnctl(&daemon, &["drain"]).ok());
    let told = "drained: of 1 compute in flight 1 cut off; nn-daemon ends\n";
    assert_eq!(drained.stdout, told);
    assert!(computing.await.unwrap().is_err());
    tokio::task::block_in_place(|| ended(daemon));
}

#[test]
fn who_is_no_operator_neither_ends_the_daemon_nor_reads_what_it_keeps() {
    require_backends!();
    if !geteuid().is_root() {
        println!("skipped: only root can be a second user");
        return;
    }
    let daemon = slow_daemon();
    let run = daemon.socket().parent().unwrap().to_owned();
    let folder = run.parent().unwrap();
    let copy = folder.join("nnctl");
    std::fs::copy(program("nnctl"), &copy).unwrap();
    set_permissions(folder, Permissions::from_mode(0o711)).unwrap();
    chown(&run, None, Some(STRANGER)).unwrap();
    set_permissions(&run, Permissions::from_mode(0o755)).unwrap();
    set_permissions(daemon.socket(), Permissions::from_mode(0o666)).unwrap();
    let refused = [["drain", "--json"], ["logs", "slow"], ["metrics", "--json"]].map(|words| {
        #[expect(clippy::disallowed_methods, reason = "a program under test")]
        let mut command = std::process::Command::new("setpriv");
        let id = STRANGER.to_string();
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--"]);
        let output = command
            .arg(&copy)
            .arg("--socket")
            .arg(daemon.socket())
            .args(words)
            .output();
        let output = output.unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    });
    assert!(
        refused.iter().all(|(code, _)| *code == Some(5)),
        "{refused:?}"
    );
    // It has not ended, and tells its operator.
    nnctl(&daemon, &["logs", "slow"]).success();
}
