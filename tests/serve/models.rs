//! Models that routes list: ready before anything is served, and found without asking the daemon from then on.

use std::time::Duration;

use nn_tests::{
    Daemon, HttpHost, guest_wasm, require_backends, serve_and_end, slow_daemon, wait_until,
};

use super::SOON;

/// A line of the daemon's log for each graph that it is asked for.
const ASKED: &str = "asked for a graph";

fn asked(daemon: &Daemon) -> usize {
    daemon.log().matches(ASKED).count()
}

fn listing(daemon: &Daemon) -> HttpHost {
    let host = HttpHost::builder().with_socket(daemon.socket());
    host.with_top("models = [\"slow\"]").start("http-cases")
}

#[test]
fn a_listed_model_is_asked_for_once_before_the_first_request_and_never_for_one() {
    require_backends!();
    let daemon = slow_daemon();
    assert_eq!(asked(&daemon), 0, "{}", daemon.log());
    let host = listing(&daemon);
    assert_eq!(asked(&daemon), 1, "{}", daemon.log());
    let statuses: Vec<u16> = (0..20).map(|_| host.get("/infer").status).collect();
    assert_eq!(statuses, [200; 20]);
    assert_eq!(asked(&daemon), 1, "{}", daemon.log());
}

#[test]
fn nothing_is_served_before_the_listed_models_are_ready() {
    require_backends!();
    let mut daemon = slow_daemon();
    daemon.kill();
    let host = HttpHost::builder().with_socket(daemon.socket());
    let component = format!("component = {:?}", guest_wasm("http-cases"));
    let mut host = host
        .with_top("models = [\"slow\"]")
        .with_top(&component)
        .spawn();
    host.wait_log("waiting for models");
    assert_eq!(host.times_logged("serving"), 0, "{}", host.log());
    daemon.restart();
    host.wait_serving();
    assert_eq!(host.get("/infer").status, 200);
}

#[test]
fn a_listed_model_that_is_not_there_ends_the_start_at_once_and_is_named() {
    require_backends!();
    let daemon = slow_daemon();
    let (socket, guest) = (daemon.socket(), guest_wasm("http-cases"));
    let told = |models: &str, sockets: &str| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("site.toml");
        let text = format!(
            "listen = \"127.0.0.1:0\"\nsocket = {sockets}\n[limits]\nready_ms_max = 1500\n\
             [[routes]]\npath = \"/a\"\ncomponent = {guest:?}\nmodels = {models}\n"
        );
        std::fs::write(&path, text).unwrap();
        serve_and_end(&["--config", path.to_str().unwrap()])
    };
    let absent = told("[\"slow\", \"slwo\"]", &format!("{socket:?}"));
    assert_eq!(absent.code, Some(4), "{absent:?}");
    assert!(
        absent
            .stderr
            .contains("the model slwo of the route */a/ is not ready"),
        "{absent:?}"
    );
    assert!(
        absent.stderr.contains("there is no model slwo"),
        "{absent:?}"
    );
    let nobody = told("[\"slow\"]", "\"/nowhere/nn.sock\"");
    assert_eq!(nobody.code, Some(1), "{nobody:?}");
    assert!(nobody.stderr.contains("waited 1.5 s"), "{nobody:?}");
}

#[test]
fn after_a_restart_of_the_daemon_the_models_are_known_again_before_a_guest_asks() {
    require_backends!();
    let mut daemon = slow_daemon();
    let host = listing(&daemon);
    daemon.kill();
    daemon.restart();
    wait_until("the host has asked again", SOON * 4, || asked(&daemon) == 2);
    assert_eq!(host.get("/infer").status, 200);
    assert_eq!(asked(&daemon), 2, "{}", daemon.log());
}

#[test]
fn a_model_that_a_tenant_may_not_use_looks_like_one_that_is_not_there() {
    require_backends!();
    let daemon = slow_daemon();
    let host = HttpHost::builder().with_socket(daemon.socket());
    let host = host.with_sections("[tenants.default]\nmodels = [\"slow\", \"nobody\"]\n");
    let host = host.start("http-cases");
    daemon.load("other", &nn_tests::tiny_model("slow-f32"));
    let (allowed, absent) = (host.get("/infer"), host.get("/infer?model=nobody"));
    let (denied, numbered) = (
        host.get("/infer?model=other"),
        host.get("/infer?model=other@1"),
    );
    assert_eq!(
        (allowed.status, absent.status, denied.status),
        (200, 404, 404),
        "{denied:?}"
    );
    assert_eq!(absent.body.replace("nobody", "other"), denied.body);
    assert_eq!(absent.body.replace("nobody", "other@1"), numbered.body);
    let log = daemon.log();
    let mut lines = log.lines().filter(|line| line.contains(ASKED));
    assert!(!lines.any(|line| line.contains("model=other")), "{log}");
}

#[test]
fn a_model_that_is_unloaded_while_it_is_listed_is_told_in_the_log_and_its_return_too() {
    require_backends!();
    let daemon = slow_daemon();
    let host = listing(&daemon);
    nn_tests::nnctl(&daemon, &["unload", "slow"]).success();
    host.wait_log("a model that a route lists is not ready");
    daemon.load("slow", &nn_tests::tiny_model("slow-f32"));
    host.wait_log("ready again");
    wait_until("it is served", Duration::from_secs(5), || {
        host.get("/infer").status == 200
    });
}
