//! Requests that end before their compute does: the client leaves, the guest traps or has no time left, a deadline
//! passes. The compute ends in the daemon, and what was held in memory and descriptors goes back.

use std::time::Duration;

use nn_tests::{Daemon, HttpHost, HttpHostBuilder, require_backends, tiny_model, wait_until};

use super::base::{Base, SHORT_IDLE};
use super::{SOON, within};

/// More turns than anybody waits for.
const ENDLESS: &str = "/infer?iterations=9000000000000";

fn daemon() -> Daemon {
    let daemon = Daemon::builder().with_limits(SHORT_IDLE).start();
    daemon.load("slow", &tiny_model("slow-f32"));
    daemon
}

/// A host that has computed once, and what it and the daemon have then.
fn started(daemon: &Daemon, how: HttpHostBuilder) -> (HttpHost, Base) {
    let host = how.with_socket(daemon.socket()).start("http-cases");
    assert_eq!(host.get("/infer").status, 200);
    let base = Base::settled(&host, daemon);
    (host, base)
}

#[test]
fn a_client_that_leaves_in_mid_compute_ends_it() {
    require_backends!();
    let daemon = daemon();
    let (host, base) = started(&daemon, HttpHost::builder());
    let workers = daemon.workers();
    for _ in 0..5 {
        let begun = host.begin("GET", ENDLESS, b"");
        wait_until("it computes", SOON, || daemon.in_flight() == 1);
        begun.leave();
        wait_until("it has ended", SOON, || daemon.in_flight() == 0);
    }
    base.wait(&host, &daemon);
    // Whether a run had begun or not; only those that had are counted as stopped.
    assert_eq!(daemon.log().matches("not computed").count(), 5);
    assert_eq!(daemon.workers(), workers, "{}", daemon.log());
    assert_eq!(host.get("/infer").status, 200);
}

#[test]
fn a_request_whose_time_is_over_in_mid_compute_is_a_504_and_ends_it() {
    require_backends!();
    let daemon = daemon();
    let limits = HttpHost::builder().with_limit("request_timeout_ms = 500");
    let (host, base) = started(&daemon, limits);
    let late = within(SOON, || host.get(ENDLESS));
    assert_eq!(late.status, 504, "{late:?}");
    base.wait(&host, &daemon);
    assert_eq!(daemon.stopped("cancelled"), 1);
}

#[test]
fn a_compute_that_takes_longer_than_one_may_is_told_to_its_guest() {
    require_backends!();
    let daemon = daemon();
    let limits = HttpHost::builder().with_limit("compute_timeout_ms = 300");
    let (host, base) = started(&daemon, limits);
    let late = within(SOON, || host.get(ENDLESS));
    assert_eq!(late.status, 504, "{late:?}");
    assert!(late.body.contains("deadline"), "{late:?}");
    base.wait(&host, &daemon);
    assert_eq!(daemon.stopped("deadline"), 1);
}

#[test]
fn guests_that_trap_over_what_they_hold_leave_nothing_behind() {
    require_backends!();
    let daemon = daemon();
    let (host, base) = started(&daemon, HttpHost::builder());
    let statuses: Vec<u16> = (0..40).map(|_| host.get("/infer-trap").status).collect();
    assert_eq!(statuses, [500; 40]);
    base.wait(&host, &daemon);
    assert_eq!(host.get("/infer").status, 200);
}

#[test]
fn guests_that_use_up_their_processor_time_leave_nothing_behind() {
    require_backends!();
    let daemon = daemon();
    let limits = HttpHost::builder().with_limit("cpu_ms_max = 100");
    let (host, base) = started(&daemon, limits);
    let statuses: Vec<u16> = (0..10).map(|_| host.get("/infer-spin").status).collect();
    assert_eq!(statuses, [500; 10]);
    base.wait(&host, &daemon);
    assert_eq!(host.get("/infer").status, 200);
}

#[test]
fn a_drain_that_takes_too_long_ends_the_compute_as_well() {
    require_backends!();
    let daemon = daemon();
    let limits = HttpHost::builder().with_limit("drain_ms_max = 300");
    let (mut host, _) = started(&daemon, limits);
    let begun = host.begin("GET", ENDLESS, b"");
    wait_until("it computes", SOON, || daemon.in_flight() == 1);
    host.ask_to_end();
    assert_eq!(host.wait_end(), Some(0));
    assert!(!begun.finish().whole);
    wait_until("it has ended", Duration::from_secs(5), || {
        daemon.in_flight() == 0
    });
}

#[test]
fn large_bodies_slow_clients_and_traps_over_an_answer_leave_nothing_behind() {
    require_backends!();
    let daemon = daemon();
    let limits = HttpHost::builder().with_limit("body_bytes_max = 100");
    let (host, base) = started(&daemon, limits.with_limit("request_timeout_ms = 500"));
    let mut slow = Vec::new();
    for _ in 0..10 {
        let mut begun = host.connect();
        begun.send(b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf");
        slow.push(begun);
        let large = host.request("POST", "/echo", &[b'x'; 101]);
        let trapped = host.get("/late-trap");
        assert!(
            large.status == 413 && !trapped.whole,
            "{large:?} {trapped:?}"
        );
        let lingering = host.begin("GET", "/linger?ms=30000", b"");
        lingering.until("begun").leave();
    }
    let late = slow.into_iter().map(|begun| begun.finish().status);
    assert_eq!(late.collect::<Vec<_>>(), [408; 10]);
    base.wait(&host, &daemon);
    assert_eq!(host.get("/infer").status, 200);
}
