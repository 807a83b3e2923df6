//! A panic, a violation, a want of memory, a crash, an overrun deadline and a kill are told apart: in the guest's error, the log, a counter.

use std::time::Duration;

use nn_tensor::Code;
use nn_tests::{fake_model, kill, require_backends, tiny_model, wait_until};

use super::*;

/// Dies in that way; gives what the caller is told.
async fn die(client: &Client, how: i64) -> Fault {
    let how = how.to_le_bytes();
    let answer = compute(client, "crash", &[("how", DType::I64, &[], &how)]).await;
    answer.err().unwrap()
}

async fn is_told(how: i64, words: &str, cause: &str) {
    let daemon = Daemon::builder().with_worker("nn-worker-fake").start();
    daemon.load("crash", &fake_model("crash"));
    let fault = die(&daemon.client(), how).await;
    assert_eq!(fault.code, Code::BackendCrashed, "{fault}");
    assert!(fault.message.contains(words), "{fault}");
    assert!(daemon.log().contains(words), "{}", daemon.log());
    assert_eq!(ends(&daemon), one(cause));
}

/// Every cause that `nnctl status` knows.
const CAUSES: [&str; 8] = [
    "panic",
    "violation",
    "out_of_memory",
    "crash",
    "timeout",
    "protocol",
    "killed",
    "other",
];

fn ends(daemon: &Daemon) -> [(&'static str, u64); 8] {
    CAUSES.map(|cause| (cause, daemon.ended(cause)))
}

/// One end by this cause, and none by another.
fn one(cause: &str) -> [(&'static str, u64); 8] {
    CAUSES.map(|c| (c, u64::from(c == cause)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compute_that_will_not_stop_is_reported_as_a_timeout() {
    require_backends!();
    let daemon = Daemon::builder()
        .with_worker("nn-worker-fake")
        .with_limits("compute_ms_max = 300")
        .start();
    daemon.load("crash", &fake_model("crash"));
    let fault = die(&daemon.client(), 4).await;
    assert_eq!(fault.code, Code::Timeout, "{fault}");
    assert_eq!(ends(&daemon), one("timeout"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_from_outside_is_reported_as_one() {
    require_backends!();
    let daemon = Daemon::builder().with_worker("nn-worker-fake").start();
    daemon.load("crash", &fake_model("crash"));
    let before = daemon.workers();
    kill(before[0]);
    wait_until("another has come", Duration::from_secs(10), || {
        let now = daemon.workers();
        now.len() == 1 && now != before
    });
    assert_eq!(ends(&daemon), one("killed"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_leaves_unasked_is_counted_among_the_others() {
    require_backends!();
    is_told(2, "gave up with status 3", "other").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_is_reported_as_a_panic() {
    require_backends!();
    is_told(3, "(panic)", "panic").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forbidden_call_is_reported_as_a_violation() {
    require_backends!();
    is_told(5, "(violation)", "violation").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_allocation_that_cannot_be_answered_is_reported_as_out_of_memory() {
    require_backends!();
    is_told(6, "ran out of memory", "out_of_memory").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_is_reported_as_a_crash() {
    require_backends!();
    is_told(1, "crashed (SIGSEGV)", "crash").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_is_a_crash_and_no_violation() {
    require_backends!();
    is_told(0, "crashed (SIGSEGV)", "crash").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_asks_for_too_much_is_refused_and_lives_on() {
    require_backends!();
    let daemon = Daemon::builder()
        .with_limits("worker_memory_bytes = 268435456")
        .start();
    daemon.load("zeros", &tiny_model("zeros-f32"));
    let client = daemon.client();
    let workers = daemon.workers();
    let ask = async |count: i64| {
        let count = count.to_le_bytes();
        compute(&client, "zeros", &[("shape", DType::I64, &[1], &count)]).await
    };
    // 1 GiB of zeros in 256 MiB, below what any output may have... so that it is the budget that says no.
    let fault = ask(60 << 20).await.err().unwrap();
    assert_eq!(fault.code, Code::TooLarge, "{fault}");
    assert!(fault.message.contains("memory budget"), "{fault}");
    assert!(fault.hint.contains("worker_memory_bytes"), "{fault}");
    assert_eq!(ask(4).await.unwrap().len(), 1);
    assert_eq!(daemon.workers(), workers);
    assert_eq!(daemon.ended("out_of_memory"), 1);
    assert!(
        daemon.log().contains("out of its memory budget"),
        "{}",
        daemon.log()
    );
}
