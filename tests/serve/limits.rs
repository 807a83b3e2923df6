//! What each tenant may have in the host: beyond its own bounds it is told 429 or busy, and the others do not notice.

use std::time::Duration;

use nn_tests::{
    HttpHost, HttpHostBuilder, Reply, guest_wasm, require_backends, slow_daemon, wait_until,
};

use super::base::{Base, SHORT_IDLE};
use super::{SOON, within};

/// Two tenants, one of them bound by rules.
fn two(rules: &str) -> HttpHostBuilder {
    let guest = guest_wasm("http-cases");
    let route = |tenant: &str| {
        format!("[[routes]]\npath = \"/{tenant}\"\ntenant = {tenant:?}\ncomponent = {guest:?}\n")
    };
    let sections = format!(
        "[tenants.bound]\n{rules}\n{}{}",
        route("bound"),
        route("free")
    );
    HttpHost::builder().with_sections(&sections)
}

#[test]
fn a_tenant_with_as_many_requests_as_it_may_have_is_told_so_and_another_is_served() {
    let host = two("requests_max = 1").start_routes();
    let first = host
        .begin("GET", "/bound/linger?ms=2000", b"")
        .until("begun");
    let refused = within(Duration::from_secs(1), || host.get("/bound/world"));
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (429, "1"),
        "{refused:?}"
    );
    assert_eq!(host.get("/free/world").status, 200);
    assert!(first.finish().whole);
    wait_until("there is room again", SOON, || {
        host.get("/bound/world").status == 200
    });
}

#[test]
fn a_tenant_with_more_requests_a_second_than_it_may_have_is_told_so() {
    let host = two("requests_per_second_max = 2").start_routes();
    let replies = |path: &str| -> Vec<Reply> {
        let begun: Vec<_> = (0..12).map(|_| host.begin("GET", path, b"")).collect();
        begun.into_iter().map(nn_tests::Begun::finish).collect()
    };
    let bound = replies("/bound/world");
    let refused: Vec<_> = bound.iter().filter(|reply| reply.status == 429).collect();
    let served = bound.iter().filter(|reply| reply.status == 200).count();
    assert!(!refused.is_empty() && served >= 2, "{bound:?}");
    assert_eq!(refused.len() + served, 12, "{bound:?}");
    assert!(
        refused
            .iter()
            .all(|reply| reply.header("retry-after") == "1"),
        "{refused:?}"
    );
    assert!(
        replies("/free/world")
            .iter()
            .all(|reply| reply.status == 200)
    );
    wait_until("the next second has more", SOON, || {
        host.get("/bound/world").status == 200
    });
}

#[test]
fn a_guest_is_stopped_for_what_it_computes_and_not_for_what_it_waits() {
    let host = two("cpu_ms_max = 300").start_routes();
    let waits = host.get("/bound/sleep?ms=1500");
    let computes = within(SOON, || host.get("/bound/spin"));
    assert_eq!((waits.status, computes.status), (200, 500), "{waits:?}");
    assert!(computes.body.contains("processor time"), "{computes:?}");
    let many: Vec<_> = (0..4)
        .map(|_| host.begin("GET", "/bound/spin", b""))
        .collect();
    let statuses = many.into_iter().map(|begun| begun.finish().status);
    assert_eq!(statuses.collect::<Vec<_>>(), [500; 4]);
    host.wait_log("used all its processor time");
}

#[test]
fn memory_and_bodies_are_bound_for_a_tenant_as_it_is_said_of_it() {
    let host = two("memory_max = 33554432\nbody_bytes_max = 10").start_routes();
    let grown = ["/bound/grow?mib=64", "/free/grow?mib=64"].map(|path| host.get(path).status);
    assert_eq!(grown, [507, 200]);
    let sent = ["/bound/echo", "/free/echo"].map(|path| host.request("POST", path, &[b'x'; 11]));
    assert_eq!(sent.map(|reply| reply.status), [413, 200]);
}

#[test]
fn a_tenants_computes_and_tensors_are_counted_over_all_its_guests() {
    require_backends!();
    let daemon = slow_daemon();
    let host = two("computes_max = 1")
        .with_socket(daemon.socket())
        .start_routes();
    let first = host.begin("GET", "/bound/infer?iterations=9000000000000", b"");
    wait_until("it computes", SOON, || daemon.in_flight() == 1);
    let refused = within(SOON, || host.get("/bound/infer"));
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(
        refused
            .body
            .contains("too many computes in flight together"),
        "{refused:?}"
    );
    assert!(refused.body.contains("at most 1"), "{refused:?}");
    first.leave();
    wait_until("there is room again", SOON, || {
        host.get("/bound/infer").status == 200
    });
}

#[test]
fn a_tenant_at_its_bound_of_tensors_is_busy_and_holds_nothing_afterwards() {
    require_backends!();
    let daemon = nn_tests::Daemon::builder().with_limits(SHORT_IDLE).start();
    daemon.load("slow", &nn_tests::tiny_model("slow-f32"));
    // A compute has two inputs, of 8 bytes and 4.
    let host = two("tensor_bytes_max = 8")
        .with_socket(daemon.socket())
        .start_routes();
    assert_eq!(host.get("/free/infer").status, 200);
    assert_eq!(host.get("/bound/infer").status, 503);
    let base = Base::settled(&host, &daemon);
    let refused = [(); 5].map(|()| host.get("/bound/infer"));
    assert_eq!(
        refused.each_ref().map(|reply| reply.status),
        [503; 5],
        "{refused:?}"
    );
    assert!(
        refused[0].body.contains("bytes of tensors together"),
        "{refused:?}"
    );
    base.wait(&host, &daemon);
}
