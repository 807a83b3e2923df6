//! Where a layer is missing: refused, or said.

use nn_tests::{require_backends, tiny_model};

use super::*;

const NO_SECCOMP: &str = "[sandbox]\nwithout = [\"seccomp\"]\n";

#[test]
fn without_a_required_layer_the_daemon_does_not_start_and_says_why() {
    let (status, log) = Daemon::builder().with_sections(NO_SECCOMP).start_and_end();
    assert_eq!(status, Some(1));
    assert!(
        log.contains("seccomp: left out by sandbox.without"),
        "{log}"
    );
    assert!(log.contains("--allow-degraded"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_it_and_by_leave_the_daemon_starts_and_shouts() {
    require_backends!();
    let daemon = Daemon::builder()
        .with_sections(NO_SECCOMP)
        .with_flag("--allow-degraded")
        .start();
    let status = daemon.status();
    assert!(daemon.log().contains("DEGRADED"), "{}", daemon.log());
    assert_eq!(status["degraded"], true);
    assert!(
        nnctl(&daemon, &["status"])
            .ok()
            .stdout
            .starts_with("DEGRADED")
    );
    daemon.load("add", &tiny_model("add-f32"));
    assert_eq!(add(&daemon.client()).await, Ok(3.0));
    let state = std::fs::read_to_string(format!("/proc/{}/status", daemon.workers()[0])).unwrap();
    assert!(
        state.contains("Seccomp:\t0") && state.contains("NoNewPrivs:\t1"),
        "{state}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_preferred_layer_the_daemon_starts_and_says_so() {
    require_backends!();
    let daemon = Daemon::builder()
        .with_sections("[sandbox]\nwithout = [\"landlock\"]\n")
        .start();
    let status = daemon.status();
    assert!(
        daemon.log().contains("workers have no landlock"),
        "{}",
        daemon.log()
    );
    assert_eq!(status["degraded"], false);
    let isolation = status["isolation"].as_array().unwrap();
    let landlock = isolation
        .iter()
        .find(|layer| layer["layer"] == "landlock")
        .unwrap();
    assert_eq!(landlock["active"], false);
    daemon.load("add", &tiny_model("add-f32"));
    assert_eq!(add(&daemon.client()).await, Ok(3.0));
}

/// Whatever is left out, what is left works.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_any_one_layer_workers_start_and_answer() {
    require_backends!();
    for layer in nn_sandbox::Layer::ALL {
        let daemon = Daemon::builder()
            .with_sections(&format!("[sandbox]\nwithout = [\"{layer}\"]\n"))
            .with_flag("--allow-degraded")
            .start();
        daemon.load("add", &tiny_model("add-f32"));
        assert_eq!(add(&daemon.client()).await, Ok(3.0), "without {layer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_all_layers_workers_start_and_answer() {
    require_backends!();
    let names = nn_sandbox::Layer::ALL.map(nn_sandbox::Layer::name);
    let daemon = Daemon::builder()
        .with_sections(&format!("[sandbox]\nwithout = {names:?}\n"))
        .with_flag("--allow-degraded")
        .start();
    daemon.load("add", &tiny_model("add-f32"));
    assert_eq!(add(&daemon.client()).await, Ok(3.0));
}
