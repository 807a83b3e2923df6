//! Deaths: of a worker, a host, the daemon. Who waits is told, what was held is freed, and the next
//! call works.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail with it")]

use std::time::{Duration, Instant};

use nn_client::Client;
use nn_tensor::{Code, DType, Fault, Tenant};
use nn_tests::{
    Daemon, ProcState, Talking, compute, cpu_ticks, descendants, fake_model, is_running, kill,
    require_backends, slow, slow_daemon, until_computing, wait_until,
};

const SOON: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_killed_in_mid_compute_is_reported_at_once_and_replaced() {
    require_backends!();
    let daemon = slow_daemon();
    let client = daemon.client();
    slow(&client, 10, None).await.unwrap();
    let before = ProcState::of(daemon.pid()).unwrap();

    let running = tokio::spawn({
        let client = client.clone();
        async move { (slow(&client, 10_000_000, None).await, Instant::now()) }
    });
    until_computing(&daemon, SOON).await;
    let killed = Instant::now();
    kill(daemon.workers()[0]);
    let (result, answered) = running.await.unwrap();
    let fault = result.unwrap_err();
    println!(
        "answered {:?} after the kill",
        answered.duration_since(killed)
    );
    assert_eq!(fault.code, Code::BackendCrashed, "{fault}");
    assert!(fault.message.contains("was killed"), "{fault}");
    assert!(answered.duration_since(killed) < Duration::from_secs(1));

    let again = Instant::now();
    slow(&client, 10, None).await.unwrap();
    println!("the next call took {:?}", again.elapsed());
    wait_until("descriptors are back where they were", SOON, || {
        ProcState::of(daemon.pid()).is_some_and(|now| now.fds <= before.fds)
    });
    let after = ProcState::of(daemon.pid()).unwrap();
    assert!(
        after.anonymous_kib < before.anonymous_kib + 4096,
        "{before:?} {after:?}"
    );
    assert_eq!(client.stats().in_slots, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compute_beyond_its_deadline_times_out_and_the_next_works() {
    require_backends!();
    let daemon = slow_daemon();
    let client = daemon.client();
    let began = Instant::now();
    let late = slow(&client, 10_000_000, Some(Duration::from_millis(200)))
        .await
        .unwrap_err();
    let took = began.elapsed();
    println!("a deadline of 200 ms was answered after {took:?}");
    assert_eq!(late.code, Code::Timeout, "{late}");
    assert!(took < Duration::from_secs(3));
    slow(&client, 10, None).await.unwrap();
    assert_eq!(client.stats().in_slots, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_deadline_behind_a_long_run_costs_nobody_the_worker() {
    require_backends!();
    let daemon = slow_daemon();
    let client = daemon.client();
    slow(&client, 10, None).await.unwrap();
    let worker = daemon.workers();
    let long = tokio::spawn({
        let client = client.clone();
        async move { slow(&client, 300_000, None).await }
    });
    until_computing(&daemon, SOON).await;

    let short = slow(&client, 10, Some(Duration::from_millis(50)))
        .await
        .unwrap_err();

    assert_eq!(short.code, Code::Timeout, "{short}");
    assert!(long.await.unwrap().is_ok());
    assert_eq!(daemon.workers(), worker);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_is_asked_to_end_lets_computes_in_flight_end_first() {
    require_backends!();
    let mut daemon = slow_daemon();
    let client = Client::builder(daemon.socket(), Tenant::default())
        .wait(Duration::from_millis(100))
        .build();
    let running = tokio::spawn({
        let client = client.clone();
        async move {
            slow(&client, 100_000, None)
                .await
                .map(|outputs| outputs.len())
        }
    });
    until_computing(&daemon, SOON).await;

    assert!(
        tokio::task::block_in_place(|| daemon.terminate()),
        "{}",
        daemon.log()
    );

    assert_eq!(running.await.unwrap(), Ok(1));
    let after = slow(&client, 10, None).await.unwrap_err();
    assert_eq!(after.code, Code::RuntimeError, "{after}");
}

/// All of this client runs on the thread that waits here, so it neither closes its session nor its connection.
#[tokio::test(flavor = "current_thread")]
async fn a_client_that_hears_nothing_does_not_keep_the_daemon_from_its_end() {
    require_backends!();
    let mut daemon = slow_daemon();
    let client = daemon.client();
    slow(&client, 10, None).await.unwrap();
    let asked = Instant::now();
    assert!(daemon.terminate(), "{}", daemon.log());
    println!("ended after {:?}", asked.elapsed());
    assert_eq!(client.stats().sessions, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_compute_frees_its_inputs_only_after_the_answer() {
    require_backends!();
    let daemon = slow_daemon();
    let client = daemon.client();
    let dropped = tokio::spawn({
        let client = client.clone();
        async move { slow(&client, 100_000, None).await }
    });
    until_computing(&daemon, SOON).await;
    dropped.abort();
    let _ = dropped.await;
    let at_once = client.stats();
    assert_eq!((at_once.in_slots, at_once.in_flight), (2, 1));
    wait_until("the job has ended", SOON, || client.stats().in_flight == 0);
    assert_eq!(client.stats().in_slots, 0);
}

#[test]
fn a_guest_is_told_that_its_worker_was_killed_and_goes_on() {
    require_backends!();
    let daemon = slow_daemon();
    let mut host = Talking::hold(
        &daemon,
        "slow",
        &["iterations=i64:scalar:300000", "value=fp32:1:1"],
    )
    .unwrap();
    let worker = daemon.workers()[0];
    let idle = cpu_ticks(worker);
    host.tell("go").unwrap();
    wait_until("the worker computes", SOON, || cpu_ticks(worker) > idle + 1);
    let killed = Instant::now();
    kill(worker);
    let told = host.line().unwrap();
    println!("the guest was told {:?} after the kill", killed.elapsed());
    assert!(
        told.starts_with("error runtime-error") && told.contains("was killed"),
        "{told}"
    );
    let next = host.ask("go").unwrap();
    assert!(next.starts_with("ok output"), "{next}");
}

/// What a worker's crash is called, by how the fake is told to crash.
async fn crash(client: &Client, how: i64) -> Fault {
    let how = how.to_le_bytes();
    let how = ("how", DType::I64, [].as_slice(), how.as_slice());
    compute(client, "crash", &[how], None).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_way_to_crash_is_called_by_its_name() {
    require_backends!();
    // More crashes than are held against a model otherwise.
    let daemon = Daemon::builder()
        .with_worker("nn-worker-fake")
        .with_limits("quarantine_crashes = 9")
        .start();
    daemon.load("crash", &fake_model("crash"));
    let client = daemon.client();
    let mut told = Vec::new();
    for how in 0..4 {
        told.push(crash(&client, how).await);
    }
    let codes: Vec<Code> = told.iter().map(|fault| fault.code).collect();
    let messages: Vec<&str> = told.iter().map(|fault| fault.message.as_str()).collect();
    let expected = [
        // Process 1 of a namespace cannot die of SIGABRT: the C library then ends it by a fault.
        "the model's worker crashed (SIGSEGV)",
        "the model's worker crashed (SIGSEGV)",
        "the model's worker gave up with status 3",
        "the model's worker failed by a defect of its own (panic)",
    ];
    assert_eq!(messages, expected);
    assert_eq!(codes, [Code::BackendCrashed; 4]);
}

#[test]
fn a_killed_hosts_arenas_are_gone_within_a_second() {
    require_backends!();
    let daemon = slow_daemon();
    let before = ProcState::of(daemon.pid()).unwrap();
    let mut host = Talking::hold(
        &daemon,
        "slow",
        &["iterations=i64:scalar:10", "value=fp32:1:1"],
    )
    .unwrap();
    assert!(host.ask("go").unwrap().starts_with("ok output"));
    let worker = daemon.workers()[0];
    let mapped = ProcState::of(worker).unwrap().arena_maps;

    kill(host.pid());
    wait_until(
        "descriptors and mappings are gone",
        Duration::from_secs(1),
        || {
            ProcState::of(daemon.pid()).is_some_and(|now| now.fds <= before.fds)
                && ProcState::of(worker).is_some_and(|now| now.arena_maps < mapped)
        },
    );
    let status = daemon.status();
    assert_eq!(
        status["sessions"].as_array().map(Vec::len),
        Some(0),
        "{status}"
    );
}

#[test]
fn a_killed_daemon_leaves_no_process_and_hosts_find_the_next_one() {
    require_backends!();
    let mut daemon = slow_daemon();
    let mut host = Talking::hold(
        &daemon,
        "slow",
        &["iterations=i64:scalar:10", "value=fp32:1:1"],
    )
    .unwrap();
    let first = host.ask("go").unwrap();
    assert!(first.starts_with("ok output"), "{first}");
    let below = descendants(daemon.pid());
    assert!(below.len() >= 2, "{below:?}");

    daemon.kill();
    wait_until("spawner and workers have ended", SOON, || {
        !below.iter().any(|&pid| is_running(pid))
    });
    // It waits for the next one.
    host.tell("go").unwrap();
    daemon.restart();
    assert_eq!(host.line().unwrap(), first);
}
