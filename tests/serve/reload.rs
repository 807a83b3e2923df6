//! SIGHUP: another configuration, other guests, and not one request that notices.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nn_tests::{HttpHost, Reply, guest_wasm, wait_until};

use super::SOON;
use super::base::{fds, wait_fds};

const READ: &str = "the configuration was read again";

fn with_mode(mode: &str) -> HttpHost {
    let env = format!("[env]\nMODE = \"{mode}\"\n");
    HttpHost::builder().with_sections(&env).start("http-cases")
}

#[test]
fn reloads_under_load_drop_no_request_and_leave_nothing_behind() {
    let host = with_mode("0");
    assert_eq!(host.get("/world").body, "env MODE=0\n");
    let before = fds(&host);
    let done = AtomicBool::new(false);
    let replies: Vec<Reply> = thread::scope(|scope| {
        let ask = || {
            let mut replies = Vec::new();
            while !done.load(Ordering::Relaxed) {
                replies.push(host.get("/world"));
            }
            replies
        };
        let asking: Vec<_> = (0..3).map(|_| scope.spawn(ask)).collect();
        for round in 0..8 {
            let (from, to) = (
                format!("MODE = \"{round}\""),
                format!("MODE = \"{}\"", round + 1),
            );
            host.reconfigure(&from, &to);
            wait_until("it is read", SOON, || host.times_logged(READ) == round + 1);
        }
        done.store(true, Ordering::Relaxed);
        asking
            .into_iter()
            .flat_map(|asked| asked.join().unwrap())
            .collect()
    });
    let good = |reply: &&Reply| reply.status == 200 && reply.whole;
    let bad: Vec<_> = replies.iter().filter(|reply| !good(reply)).collect();
    assert!(
        bad.is_empty() && replies.len() > 8,
        "{bad:?} of {}",
        replies.len()
    );
    assert_eq!(host.get("/world").body, "env MODE=8\n");
    wait_fds(&host, before);
}

#[test]
fn a_guest_whose_file_is_another_is_served_from_then_on_and_the_old_one_ends_its_request() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("guest.wasm");
    std::fs::copy(guest_wasm("http-cases"), &path).unwrap();
    let component = format!("component = {path:?}");
    let host = HttpHost::builder().with_top(&component).start_routes();
    let threads = || {
        std::fs::read_dir(format!("/proc/{}/task", host.pid()))
            .unwrap()
            .count()
    };
    let begun = host.begin("GET", "/linger?ms=1500", b"").until("begun");
    let before = threads();
    std::fs::copy(guest_wasm("http-classify"), &path).unwrap();
    host.reconfigure("[limits]", "[limits]");
    host.wait_log(READ);
    assert!(host.get("/").body.contains("POST a PNG"));
    assert!(begun.finish().whole);
    // The old guest's engine has a clock, which ends with its last request.
    wait_until("the old guest is gone", SOON, || threads() <= before);
}

#[test]
fn a_configuration_that_is_wrong_changes_nothing() {
    let host = with_mode("good");
    host.reconfigure("MODE = \"good\"", "MODE = 3");
    host.wait_log("the configuration stays as it was");
    assert!(
        host.log().contains("env.MODE is 3; expected a text"),
        "{}",
        host.log()
    );
    assert_eq!(host.get("/world").body, "env MODE=good\n");
    host.reconfigure("MODE = 3", "MODE = \"better\"");
    host.wait_log(READ);
    assert_eq!(host.get("/world").body, "env MODE=better\n");
}

#[test]
fn bounds_that_have_changed_hold_from_then_on() {
    let host = HttpHost::builder()
        .with_limit("requests_max = 1")
        .start("http-cases");
    let first = host.begin("GET", "/linger?ms=3000", b"").until("begun");
    assert_eq!(host.get("/world").status, 503);
    host.reconfigure("requests_max = 1", "requests_max = 2");
    host.wait_log(READ);
    assert_eq!(host.get("/world").status, 200);
    assert!(first.finish().whole);
}
