//! Engines that end, hang and come back; deadlines and cancelled calls.

use std::time::{Duration, Instant};

use nn_tensor::{Code, Reason};
use nn_tests::{Daemon, nnctl, require_backends, slow, tiny_model, until};

use super::{SOON, add, beside, engine, is_one_of, place, place_with_file, said};

/// Takes longer than anybody waits.
const ENDLESS: i64 = i64::MAX;

/// A breaker that is quick either way.
const QUICK: &str = "connect_ms = 300\n[kserve.breaker]\nfailures = 1\nopen_ms = 400\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_and_a_cancel_reach_the_engine() {
    require_backends!();
    let engine = engine(&["slow-f32"]);
    let daemon = beside(&engine).start();
    place(&daemon, "slow", &said(&engine, "slow-f32", ""));
    let client = daemon.client();
    let begun = Instant::now();
    let late = slow(&client, ENDLESS, Some(Duration::from_millis(500))).await;
    assert_eq!(late.err().unwrap().code, Code::Timeout);
    assert!(begun.elapsed() < SOON);
    until("the engine has stopped it", SOON, || {
        engine.daemon.in_flight() == 0
    })
    .await;
    let call = {
        let client = client.clone();
        tokio::spawn(async move { slow(&client, ENDLESS, None).await.map(drop) })
    };
    until("the engine has it", SOON, || engine.daemon.in_flight() == 1).await;
    call.abort();
    until("the engine has it no more", SOON, || {
        engine.daemon.in_flight() == 0
    })
    .await;
    // The relay is the one that it was, and answers.
    slow(&client, 10, None).await.unwrap();
    assert_eq!(daemon.instances()[0]["restarts"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_goes_in_mid_call_ends_that_call_alone() {
    require_backends!();
    let mut engine = engine(&["slow-f32"]);
    let daemon = beside(&engine).start();
    place(&daemon, "slow", &said(&engine, "slow-f32", QUICK));
    daemon.load("here", &tiny_model("add-f32"));
    let client = daemon.client();
    let call = {
        let client = client.clone();
        tokio::spawn(async move { slow(&client, ENDLESS, None).await.map(drop) })
    };
    until("the engine has it", SOON, || engine.daemon.in_flight() == 1).await;
    engine.leave();
    let fault = call.await.unwrap().unwrap_err();
    let of_remote = fault
        .reason
        .is_some_and(|reason| reason.row().id.starts_with("remote-"));
    assert!(of_remote, "{fault}");
    // It was sent: nobody may compute it again.
    assert!(
        !is_one_of(&fault, &[Reason::RemoteUnreachable, Reason::RemoteRefused]),
        "{fault}"
    );
    assert_eq!(
        add(&client, "here", (&[1.0], &[2.0]), None).await.unwrap(),
        [3.0]
    );
    let fault = slow(&client, 10, None).await.err().unwrap();
    assert!(
        is_one_of(&fault, &[Reason::RemoteUnreachable, Reason::RemoteRefused]),
        "{fault}"
    );
    engine.come_back();
    until("it is asked again", SOON, || {
        let calls = tokio::runtime::Handle::current();
        calls.block_on(slow(&client, 10, None)).is_ok()
    })
    .await;
    let is_told = |word: &str| {
        let told = daemon.json_lines(&["events", "--kind", "endpoint"]);
        let begin = format!("{}: {word}", engine.address());
        let mut details = told.iter().map(|of| of["detail"].as_str().unwrap());
        details.any(|detail| detail.starts_with(&begin))
    };
    until("both are told", SOON, || {
        is_told("open") && is_told("closed")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_hangs_costs_nobody_more_than_a_deadline() {
    require_backends!();
    let engine = engine(&["add-f32"]);
    let daemon = beside(&engine).start();
    place(&daemon, "add", &said(&engine, "add-f32", ""));
    daemon.load("here", &tiny_model("add-f32"));
    let client = daemon.client();
    engine.hold(true);
    let wait = Some(Duration::from_millis(400));
    let (there, here) = tokio::join!(
        add(&client, "add", (&[1.0], &[2.0]), wait),
        add(&client, "here", (&[1.0], &[2.0]), wait),
    );
    assert_eq!(here.unwrap(), [3.0]);
    let fault = there.unwrap_err();
    assert_eq!(fault.code, Code::Timeout, "{fault}");
    engine.hold(false);
    until("it answers again", SOON, || {
        let calls = tokio::runtime::Handle::current();
        calls
            .block_on(add(&client, "add", (&[1.0], &[2.0]), None))
            .is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_sent_is_computed_here_where_that_is_said() {
    require_backends!();
    let mut engine = engine(&["add-f32"]);
    let daemon = beside(&engine).start();
    let manifest = said(
        &engine,
        "add-f32",
        &format!("fallback = \"local\"\n{QUICK}"),
    );
    place_with_file(&daemon, "add", (&manifest, "add-f32"));
    let client = daemon.client();
    assert_eq!(
        add(&client, "add", (&[1.0], &[2.0]), None).await.unwrap(),
        [3.0]
    );
    engine.leave();
    let mut taken_over = 0;
    for call in 0..5 {
        match add(&client, "add", (&[1.0], &[2.0]), None).await {
            Ok(sum) => {
                assert_eq!(sum, [3.0]);
                taken_over += 1;
            }
            // It was sent before the relay had read that the connection had ended.
            Err(fault) => assert!(call == 0 && fault.reason == Some(Reason::RemoteLost)),
        }
    }
    let fallbacks = || daemon.models()[0]["fallbacks"].as_u64().unwrap();
    assert_eq!(fallbacks(), taken_over);
    let told = daemon.json_lines(&["events", "--kind", "fell-back"]);
    assert!(!told.is_empty());
    engine.come_back();
    let before = engine.daemon.models()[0]["computes_ok"].clone();
    until("the engine is asked again", SOON, || {
        let calls = tokio::runtime::Handle::current();
        calls
            .block_on(add(&client, "add", (&[1.0], &[2.0]), None))
            .unwrap();
        engine.daemon.models()[0]["computes_ok"] != before
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_is_killed_is_replaced_and_its_bytes_are_held_against_nobody() {
    require_backends!();
    let engine = engine(&["add-f32"]);
    let daemon = beside(&engine).start();
    place(&daemon, "add", &said(&engine, "add-f32", ""));
    let client = daemon.client();
    for _ in 0..4 {
        assert_eq!(
            add(&client, "add", (&[1.0], &[2.0]), None).await.unwrap(),
            [3.0]
        );
        let relay = daemon.workers();
        relay.iter().copied().for_each(nn_tests::kill);
        let is_another = || !daemon.workers().is_empty() && daemon.workers() != relay;
        until("there is another", SOON, is_another).await;
        until("it is ready", SOON, || {
            daemon.models()[0]["state"] == "ready"
        })
        .await;
    }
    assert_eq!(daemon.models()[0]["quarantined"], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_dialer_a_daemon_says_so_and_serves_what_is_here() {
    require_backends!();
    let engine = engine(&["add-f32"]);
    let daemon = beside(&engine).start();
    daemon.load("here", &tiny_model("add-f32"));
    let pid = daemon.status()["remote"]["pid"].as_u64().unwrap();
    nn_tests::kill(u32::try_from(pid).unwrap());
    until("it is told", SOON, || {
        daemon.status()["remote"]["available"] == false
    })
    .await;
    let address = engine.address();
    let args = [
        "load",
        "add",
        "--placement",
        "kserve",
        "--endpoint",
        &address,
    ];
    let refused = tokio::task::block_in_place(|| nnctl(&daemon, &args));
    assert!(
        refused.stderr.contains("placement-away"),
        "{}",
        refused.stderr
    );
    assert_eq!(
        add(&daemon.client(), "here", (&[1.0], &[2.0]), None)
            .await
            .unwrap(),
        [3.0]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_relay_and_engine_calls_are_taken_over_or_told_why() {
    require_backends!();
    let mut engine = engine(&["add-f32"]);
    let daemon = beside(&engine).start();
    let both = said(
        &engine,
        "add-f32",
        &format!("fallback = \"local\"\n{QUICK}"),
    );
    place_with_file(&daemon, "both", (&both, "add-f32"));
    place(&daemon, "there", &said(&engine, "add-f32", QUICK));
    let client = daemon.client();
    engine.leave();
    let relays = daemon.workers();
    relays.iter().copied().for_each(nn_tests::kill);
    until("they have gone", SOON, || {
        !daemon.workers().iter().any(|of| relays.contains(of))
    })
    .await;
    assert_eq!(
        add(&client, "both", (&[1.0], &[2.0]), None).await.unwrap(),
        [3.0]
    );
    let fault = add(&client, "there", (&[1.0], &[2.0]), None).await;
    let fault = fault.unwrap_err();
    assert!(is_one_of(&fault, &[Reason::RemoteUnreachable]), "{fault}");
    engine.come_back();
    until("it is asked again", SOON, || {
        let calls = tokio::runtime::Handle::current();
        let answer = calls.block_on(add(&client, "there", (&[1.0], &[2.0]), None));
        answer.is_ok_and(|answer| answer == [3.0])
    })
    .await;
    // Nor can one be started once nobody connects for it.
    let pid = daemon.status()["remote"]["pid"].as_u64().unwrap();
    nn_tests::kill(u32::try_from(pid).unwrap());
    until("it is told", SOON, || {
        daemon.status()["remote"]["available"] == false
    })
    .await;
    let relays = daemon.workers();
    relays.iter().copied().for_each(nn_tests::kill);
    until("they have gone", SOON, || {
        !daemon.workers().iter().any(|of| relays.contains(of))
    })
    .await;
    let fault = add(&client, "there", (&[1.0], &[2.0]), None).await;
    let fault = fault.unwrap_err();
    assert!(is_one_of(&fault, &[Reason::PlacementAway]), "{fault}");
    assert_eq!(
        add(&client, "both", (&[1.0], &[2.0]), None).await.unwrap(),
        [3.0]
    );
}

/// What nnctl prints in lines.
trait Lines {
    fn json_lines(&self, command: &[&str]) -> Vec<serde_json::Value>;
}

impl Lines for Daemon {
    fn json_lines(&self, command: &[&str]) -> Vec<serde_json::Value> {
        let printed = tokio::task::block_in_place(|| {
            nnctl(self, &[&["--json"], command].concat()).ok().stdout
        });
        let lines = printed.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}
