//! Computes that are to end before they are done: by their deadline, their caller, their client's death, the daemon's
//! end. The run ends, its worker stays and answers the next call, what was held is free, and nobody is answered twice.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test's helpers fail with it, and say what they have seen"
)]

use std::time::{Duration, Instant};

use nn_client::Client;
use nn_tensor::{Code, DType, Fault};
use nn_tests::{
    Daemon, GuestHost, ProcState, Talking, compute, fake_model, guest_wasm, nnctl,
    require_backends, run, slow, slow_daemon, tiny_model, until_computing, wait_until,
};

#[path = "cancel/raw.rs"]
mod raw;

use raw::Raw;

const SOON: Duration = Duration::from_secs(5);

/// What a framework may need to look up, and a busy machine to come back to it.
const MOMENT: Duration = Duration::from_secs(2);

/// How often a deadline is run into, and what an answer may take beside it in half of those rounds: one round that the
/// machine has held up says nothing of the daemon.
const ROUNDS: u64 = 7;
const OVERSTAY: Duration = Duration::from_millis(100);

/// More turns than anybody waits for: each takes some 7 µs.
const ENDLESS: i64 = i64::MAX;

/// The longest that a guest's arguments can say.
const ENDLESS_RUN: [&str; 5] = [
    "run",
    "slow",
    "1",
    "iterations=i64:scalar:1000000000000",
    "value=fp32:1:1",
];

/// One run of a model of the fake, which takes a number.
async fn number(client: &Client, model: &str, value: i64, timeout: Duration) -> Result<(), Fault> {
    let value = value.to_le_bytes();
    let ms = ("ms", DType::I64, [].as_slice(), value.as_slice());
    compute(client, model, &[ms], Some(timeout)).await.map(drop)
}

/// Waits without holding up the executor.
async fn until(what: &str, holds: impl Fn() -> bool) {
    nn_tests::until(what, SOON, holds).await;
}

/// The worker is the one that it was, it answers, and nothing is held by anybody.
async fn assert_at_base(daemon: &Daemon, client: &Client, workers: &[u32]) {
    until("the worker is idle", || daemon.in_flight() == 0).await;
    slow(client, 10, None).await.unwrap();
    assert_eq!(daemon.workers(), workers, "{}", daemon.log());
    until("slots are free", || {
        let stats = client.stats();
        (stats.in_slots, stats.out_slots, stats.in_flight) == (0, 0, 0)
    })
    .await;
}

/// When an endless run is answered, beyond its deadline, from round to round.
#[derive(Debug, Default)]
struct Overstays(Vec<Duration>);

impl Overstays {
    /// An answer to what began then.
    fn add(&mut self, began: Instant, deadline: Duration) {
        let took = began.elapsed();
        assert!(took >= deadline && took < deadline + MOMENT, "{took:?}");
        self.0.push(took.saturating_sub(deadline));
    }

    /// In half of the rounds it was in time.
    fn judge(&mut self) {
        self.0.sort_unstable();
        let median = self.0[self.0.len() / 2];
        assert!(median <= OVERSTAY, "{:?}", self.0);
    }
}

// === one run without end ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_without_end_ends_at_its_deadline_and_its_worker_answers_the_next_call() {
    require_backends!();
    let daemon = slow_daemon();
    let client = daemon.client();
    slow(&client, 10, None).await.unwrap();
    let workers = daemon.workers();
    let deadline = Duration::from_millis(200);
    let mut overstays = Overstays::default();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let fault = slow(&client, ENDLESS, Some(deadline)).await.unwrap_err();
        overstays.add(began, deadline);
        assert_eq!(fault.code, Code::Timeout, "{fault}");
        assert_at_base(&daemon, &client, &workers).await;
    }
    overstays.judge();
    println!("answered so long after the deadline: {:?}", overstays.0);
    assert_eq!(daemon.stopped("deadline"), ROUNDS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_never_ends_holds_no_worker() {
    require_backends!();
    let daemon = Daemon::start();
    daemon.load("endless", &tiny_model("endless-f32"));
    let client = daemon.client();
    let graph = client.resolve("endless").await.unwrap();
    let workers = daemon.workers();
    let deadline = Duration::from_millis(100);
    let mut overstays = Overstays::default();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let fault = graph.compute(Vec::new(), Some(deadline)).await.unwrap_err();
        overstays.add(began, deadline);
        assert_eq!(fault.code, Code::Timeout, "{fault}");
    }
    overstays.judge();
    println!("answered so long after the deadline: {:?}", overstays.0);
    assert_eq!(daemon.workers(), workers, "{}", daemon.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compute_that_its_caller_drops_ends_at_once() {
    require_backends!();
    let daemon = slow_daemon();
    let client = daemon.client();
    slow(&client, 10, None).await.unwrap();
    let workers = daemon.workers();
    let dropped = tokio::spawn({
        let client = client.clone();
        async move { slow(&client, ENDLESS, None).await }
    });
    until_computing(&daemon, SOON).await;
    dropped.abort();
    let _ = dropped.await;
    assert_at_base(&daemon, &client, &workers).await;
    assert_eq!(daemon.stopped("cancelled"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_dropped_in_mid_compute_ends_the_run() {
    require_backends!();
    let daemon = slow_daemon();
    let client = daemon.client();
    slow(&client, 10, None).await.unwrap();
    let workers = daemon.workers();
    let guest = GuestHost::new(&client).guest("wit-cases");
    let dropped = tokio::time::timeout(Duration::from_millis(300), guest.run(&ENDLESS_RUN)).await;
    assert!(dropped.is_err(), "{dropped:?}");
    assert_at_base(&daemon, &client, &workers).await;
    assert_eq!(daemon.stopped("cancelled"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_whose_time_is_over_in_mid_compute_ends_the_run() {
    require_backends!();
    let daemon = slow_daemon();
    let client = daemon.client();
    slow(&client, 10, None).await.unwrap();
    let workers = daemon.workers();
    let (socket, guest) = (daemon.socket(), guest_wasm("wit-cases"));
    let mut arguments = vec![
        "run",
        "--socket",
        socket.to_str().unwrap(),
        "--timeout",
        "1",
    ];
    arguments.push(guest.to_str().unwrap());
    arguments.extend(ENDLESS_RUN);
    let output = tokio::task::block_in_place(|| run("nn-host", &arguments));
    assert_eq!(output.code, Some(1), "{output:?}");
    assert_at_base(&daemon, &client, &workers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_killed_in_mid_compute_ends_the_run() {
    require_backends!();
    let daemon = slow_daemon();
    let client = daemon.client();
    slow(&client, 10, None).await.unwrap();
    let workers = daemon.workers();
    let before = ProcState::of(daemon.pid()).unwrap();
    let mut host = Talking::hold(&daemon, "slow", &ENDLESS_RUN[3..]).unwrap();
    host.tell("go").unwrap();
    until_computing(&daemon, SOON).await;

    host.kill().unwrap();

    assert_at_base(&daemon, &client, &workers).await;
    until("the host's descriptors are gone", || {
        ProcState::of(daemon.pid()).is_some_and(|now| now.fds <= before.fds)
    })
    .await;
    assert_eq!(daemon.stopped("session_ended"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_ends_stops_what_still_runs_and_says_so() {
    require_backends!();
    let mut daemon = Daemon::builder().with_limits("drain_ms_max = 100").start();
    daemon.load("slow", &tiny_model("slow-f32"));
    let client = daemon.client();
    let running = tokio::spawn({
        let client = client.clone();
        async move { slow(&client, ENDLESS, None).await }
    });
    until_computing(&daemon, SOON).await;
    assert!(tokio::task::block_in_place(|| daemon.terminate()));
    let fault = running.await.unwrap().unwrap_err();
    assert!(fault.message.contains("ended before"), "{fault}");
    assert!(
        !daemon.log().contains("killing a worker"),
        "{}",
        daemon.log()
    );
}

// === those behind it ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn computes_behind_one_that_is_stopped_are_answered_right() {
    require_backends!();
    let daemon = slow_daemon();
    let client = daemon.client();
    slow(&client, 10, None).await.unwrap();
    let workers = daemon.workers();
    let task = |iterations: i64, timeout: Option<Duration>| {
        let client = client.clone();
        tokio::spawn(async move { slow(&client, iterations, timeout).await })
    };
    let endless = task(ENDLESS, Some(Duration::from_millis(300)));
    until("the worker has the job", || daemon.in_flight() == 1).await;
    let behind = [task(10, None), task(10, None), task(10, None)];
    assert_eq!(endless.await.unwrap().unwrap_err().code, Code::Timeout);
    for one in behind {
        assert!(one.await.unwrap().is_ok(), "{}", daemon.log());
    }
    assert_at_base(&daemon, &client, &workers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_does_not_listen_is_killed_a_grace_after_the_deadline_and_replaced() {
    require_backends!();
    let daemon = Daemon::builder().with_worker("nn-worker-fake").start();
    daemon.load("deaf", &fake_model("deaf"));
    let client = daemon.client();
    let deadline = Duration::from_millis(200);
    number(&client, "deaf", 1, MOMENT).await.unwrap();
    let workers = daemon.workers();
    let began = Instant::now();
    let fault = number(&client, "deaf", 3_600_000, deadline)
        .await
        .unwrap_err();
    let took = began.elapsed();
    println!("answered after {took:?}");
    assert_eq!(fault.code, Code::Timeout, "{fault}");
    assert!(took < deadline + MOMENT, "{took:?}");
    number(&client, "deaf", 1, SOON).await.unwrap();
    assert_ne!(daemon.workers(), workers);
    assert_eq!(daemon.stopped("deadline"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_that_is_not_heard_costs_nobody_the_worker_before_the_deadline() {
    require_backends!();
    let daemon = Daemon::builder().with_worker("nn-worker-fake").start();
    daemon.load("deaf", &fake_model("deaf"));
    let client = daemon.client();
    number(&client, "deaf", 1, MOMENT).await.unwrap();
    let workers = daemon.workers();
    let dropped = tokio::spawn({
        let client = client.clone();
        async move { number(&client, "deaf", 1500, SOON).await }
    });
    until("the worker has the job", || daemon.in_flight() == 1).await;
    dropped.abort();
    assert!(number(&client, "deaf", 1, SOON).await.is_ok());
    assert_eq!(daemon.workers(), workers, "{}", daemon.log());
}

// === many ===

/// Four sessions on one connection, a quarter each.
const SESSIONS: u64 = 4;
const EACH: u64 = 250;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_computes_cancelled_at_once_are_answered_once_each_and_the_connection_lives() {
    require_backends!();
    let daemon = Daemon::builder()
        .with_limits("queue_per_model_max = 2000")
        .start();
    daemon.load("endless", &tiny_model("endless-f32"));
    let workers = daemon.workers();
    let channel = nn_client::channel(&daemon.socket()).await.unwrap();
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        sessions.push(Raw::open(&daemon, &channel, "endless").await);
    }
    for id in 1..=EACH {
        for session in &sessions {
            session.compute(id, 0).await;
        }
    }
    // One is on its way from the queue to the worker.
    until("all wait or run", || {
        daemon.in_flight() >= SESSIONS * EACH - 1
    })
    .await;
    let began = Instant::now();
    for id in 1..=EACH {
        for session in &sessions {
            session.cancel(id).await;
        }
    }
    for session in &mut sessions {
        let tally = session.tally(usize::try_from(EACH).unwrap()).await;
        assert!((1..=EACH).all(|id| tally.get(&id) == Some(&1)), "{tally:?}");
    }
    println!(
        "all were answered {:?} after the first cancel",
        began.elapsed()
    );
    // The same streams, on the same connection, before the same worker.
    for session in &mut sessions {
        session.compute(EACH + 1, 100_000).await;
        let (id, error) = session.answer().await.unwrap();
        assert_eq!((id, error.code()), (EACH + 1, nn_proto::v1::Code::Timeout));
    }
    assert_eq!(daemon.workers(), workers, "{}", daemon.log());
    until("nothing is in flight", || daemon.in_flight() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_computes_dropped_at_once_leave_no_slot_behind() {
    require_backends!();
    let daemon = Daemon::builder()
        .with_limits("queue_per_model_max = 2000")
        .start();
    daemon.load("slow", &tiny_model("slow-f32"));
    let clients: Vec<Client> = (0..SESSIONS).map(|_| daemon.client()).collect();
    for client in &clients {
        slow(client, 10, None).await.unwrap();
    }
    let workers = daemon.workers();
    let mut computes = Vec::new();
    for _ in 0..EACH {
        for client in &clients {
            let client = client.clone();
            computes.push(tokio::spawn(async move {
                slow(&client, ENDLESS, None).await.map(drop)
            }));
        }
    }
    let in_flight = |client: &Client| client.stats().in_flight;
    until("all are in flight", || {
        clients.iter().all(|client| in_flight(client) == EACH)
    })
    .await;
    computes.iter().for_each(tokio::task::JoinHandle::abort);
    for client in &clients {
        assert_at_base(&daemon, client, &workers).await;
        assert_eq!(client.stats().sessions, 1);
    }
}

// === what breaks the protocol, and what nobody can wait for ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_id_that_is_in_flight_ends_the_stream_and_is_not_answered_twice() {
    require_backends!();
    let daemon = Daemon::start();
    daemon.load("endless", &tiny_model("endless-f32"));
    let channel = nn_client::channel(&daemon.socket()).await.unwrap();
    let mut raw = Raw::open(&daemon, &channel, "endless").await;
    raw.compute(7, 0).await;
    raw.compute(7, 0).await;
    assert!(raw.answer().await.is_none(), "an answer to a broken stream");
    drop(raw);
    until("nothing is in flight", || daemon.in_flight() == 0).await;
}

/// As long as a load may take in the next tests; a worker of theirs is ready for a model much sooner.
const LOAD: Duration = Duration::from_secs(3);

fn impatient_daemon() -> Daemon {
    let limit = format!("load_ms_max = {}", LOAD.as_millis());
    let builder = Daemon::builder().with_worker("nn-worker-fake");
    builder.with_limits(&limit).start()
}

#[test]
fn a_load_that_never_ends_is_ended_once() {
    require_backends!();
    let daemon = impatient_daemon();
    let path = fake_model("stuck");
    let began = Instant::now();
    let failed = nnctl(&daemon, &["load", "stuck", path.to_str().unwrap()]);
    println!("refused after {:?}", began.elapsed());
    assert_eq!(failed.code, Some(1), "{failed:?}");
    let told = ["took too long", "at most 3s", "limits.load_ms_max"];
    assert!(
        told.iter().all(|part| failed.stderr.contains(part)),
        "{failed:?}"
    );
    wait_until("its worker is gone", SOON, || daemon.workers().is_empty());
    assert_eq!(daemon.ended("timeout"), 1, "it was tried once");
    daemon.load("echo", &fake_model("echo"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guests_load_that_never_ends_is_ended_once_and_held_against_nobody() {
    let daemon = impatient_daemon();
    let client = daemon.client();
    let stuck = [std::fs::read(fake_model("stuck")).unwrap()];
    for round in 1..=4 {
        let loaded = client.load(nn_client::Format::Onnx, &stuck).await;
        let fault = loaded.map(|_| ()).unwrap_err();
        // Not `busy`, and never refused unasked: a deadline is no crash.
        assert_eq!(fault.code, Code::Timeout, "{fault}");
        assert!(fault.hint.contains("limits.load_ms_max"), "{fault}");
        assert_eq!(daemon.ended("timeout"), round);
    }
    wait_until("its worker is gone", SOON, || daemon.workers().is_empty());
    assert!(daemon.models().is_empty());
}

#[test]
fn a_time_that_no_clock_can_hold_is_refused_at_the_start() {
    let builder = Daemon::builder().with_limits("compute_ms_max = 9223372036854775807");
    let (code, log) = builder.start_and_end();
    assert_ne!(code, Some(0));
    assert!(log.contains("compute_ms_max"), "{log}");
}

#[test]
fn an_idle_worker_that_is_stopped_is_replaced() {
    require_backends!();
    let daemon = Daemon::builder().with_worker("nn-worker-fake").start();
    daemon.load("echo", &fake_model("echo"));
    let [worker] = daemon.workers()[..] else {
        panic!("one worker: {:?}", daemon.workers());
    };
    nn_tests::stop(worker);
    let began = Instant::now();
    wait_until(
        "another worker is there",
        Duration::from_secs(30),
        || matches!(daemon.workers()[..], [other] if other != worker),
    );
    println!("replaced after {:?}", began.elapsed());
    let log = daemon.log();
    assert!(log.contains("it has no job and does not answer"), "{log}");
}
