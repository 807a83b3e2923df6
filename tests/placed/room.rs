//! What a relay takes of a machine and of its daemon: the memory that it is admitted for, and no place of what is loaded here.

use std::time::Duration;

use nn_tests::{nnctl, require_backends, tiny_model, until};

use super::{SOON, add, beside, engine, place, said};

/// Longer than a test waits for anything.
const PATIENT: &str = "connect_ms = 60000\n";

#[test]
fn a_relay_is_admitted_by_what_its_messages_may_take() {
    require_backends!();
    let engine = engine(&["add-f32"]);
    // Enough for a worker with a tiny model, which has 1 GiB; a relay may have 16 messages of 64 MiB each way.
    let daemon = beside(&engine).with_limits("workers_memory_bytes_max = 1610612736");
    let daemon = daemon.start();
    let address = engine.address();
    let args = [
        "load",
        "add",
        "--placement",
        "kserve",
        "--endpoint",
        &address,
    ];
    let refused = nnctl(&daemon, &args);
    for word in ["worker-too-large", "2214592512"] {
        assert!(
            refused.stderr.contains(word),
            "{word:?}: {}",
            refused.stderr
        );
    }
    assert_eq!(engine.connections(), 0);
    let less = "message_bytes_max = 1048576\nin_flight_max = 4\n";
    place(&daemon, "less", &said(&engine, "add-f32", less));
    let metrics = nnctl(&daemon, &["metrics"]).ok().stdout;
    let budget = "nn_worker_memory_budget_bytes 75497472\n";
    assert!(metrics.contains(budget), "{metrics}");
    // What is left is enough for a worker.
    daemon.load("here", &tiny_model("add-f32"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engines_that_do_not_answer_keep_no_model_from_being_loaded_here() {
    require_backends!();
    let engine = engine(&["add-f32"]);
    let daemon = beside(&engine).with_limits("loads_at_once_max = 1").start();
    let manifest = said(&engine, "add-f32", PATIENT);
    engine.hold(true);
    std::thread::scope(|scope| {
        let loading = scope.spawn(|| place(&daemon, "there", &manifest));
        nn_tests::wait_until("the engine is asked", SOON, || engine.connections() > 0);
        let here = scope.spawn(|| daemon.load("here", &tiny_model("add-f32")));
        let begun = std::time::Instant::now();
        while !here.is_finished() && begun.elapsed() < SOON {
            std::thread::sleep(Duration::from_millis(20));
        }
        let is_loaded = here.is_finished();
        engine.hold(false);
        here.join().unwrap();
        loading.join().unwrap();
        assert!(is_loaded);
    });
    let client = daemon.client();
    for model in ["here", "there"] {
        let answer = add(&client, model, (&[1.0], &[2.0]), None).await;
        assert_eq!(answer.unwrap(), [3.0], "{model}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_says_nothing_keeps_no_other_from_being_asked() {
    require_backends!();
    let (silent, good) = (engine(&["add-f32"]), engine(&["add-f32"]));
    silent.hold(true);
    let both = format!("endpoints = [{:?}, {:?}]", silent.address(), good.address());
    let daemon = nn_tests::Daemon::builder().with_sections(&format!("\n[remote]\n{both}\n"));
    let daemon = daemon.start();
    let manifest =
        format!("placement = \"kserve\"\n[kserve]\n{both}\nmodel = \"add-f32\"\n{PATIENT}");
    std::thread::scope(|scope| {
        let loading = scope.spawn(|| place(&daemon, "add", &manifest));
        let begun = std::time::Instant::now();
        while !loading.is_finished() && begun.elapsed() < SOON {
            std::thread::sleep(Duration::from_millis(20));
        }
        let is_loaded = loading.is_finished();
        silent.hold(false);
        loading.join().unwrap();
        assert!(is_loaded);
    });
    let client = daemon.client();
    until("it answers", SOON, || {
        let calls = tokio::runtime::Handle::current();
        let answer = calls.block_on(add(&client, "add", (&[1.0], &[2.0]), None));
        answer.is_ok_and(|answer| answer == [3.0])
    })
    .await;
}
