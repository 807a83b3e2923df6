//! Computes that do not listen: their worker is killed, which costs those behind them a moment and nobody an answer.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nn_proto::v1;
use nn_proto::v1::{infer_request, infer_response};
use nn_tensor::{Code, DType};
use nn_tests::{Daemon, compute, fake_model, require_backends, wait_until};

use crate::raw::{Raw, RawGraph, RawStream, runtime};

const SOON: Duration = Duration::from_secs(20);

/// How often a compute is cancelled until one has begun by then, and how soon one that had not is answered.
const ATTEMPTS: u64 = 20;
const MOMENT: Duration = Duration::from_millis(500);

const AN_HOUR_MS: i64 = 3_600_000;

/// How many jobs a worker has at a time (`limits.worker_window`).
const WINDOW: u64 = 4;

fn deaf_daemon(limits: &str) -> Daemon {
    let builder = Daemon::builder().with_worker("nn-worker-fake");
    let daemon = builder.with_limits(limits).start();
    daemon.load("deaf", &fake_model("deaf"));
    daemon
}

/// A compute that takes so long whatever it hears, with an input of its own.
fn deaf(graph: &RawGraph, place: u64, ms: i64, timeout_us: u64) -> infer_request::Body {
    let offset = 64 * place;
    let input = graph.input.slice(offset, 8).unwrap();
    input.copy_from(&ms.to_le_bytes()).unwrap();
    let mut compute = graph.compute("ms", v1::DType::I64, &[], 8);
    compute.inputs[0].slot.as_mut().unwrap().offset = offset;
    compute.timeout_us = timeout_us;
    infer_request::Body::Compute(compute)
}

/// How each compute was answered; none was twice.
fn answers(stream: &mut RawStream, raw: &Raw, count: u64) -> BTreeMap<u64, Option<v1::Code>> {
    let mut answers = BTreeMap::new();
    for _ in 0..count {
        let (id, body) = stream.answer(raw).unwrap();
        let code = match body {
            infer_response::Body::Outputs(_) => None,
            infer_response::Body::Error(error) => Some(error.code()),
            other => panic!("{other:?}"),
        };
        assert_eq!(answers.insert(id, code), None, "{id} was answered twice");
    }
    answers
}

#[test]
fn computes_behind_one_that_never_ends_are_done_by_the_next_worker() {
    require_backends!();
    const JOBS: u64 = WINDOW + 3;
    let daemon = deaf_daemon("");
    let workers = daemon.workers();
    let raw = Raw::open(&daemon);
    let graph = raw.graph("deaf");
    let mut stream = raw.stream();
    stream.send(1, deaf(&graph, 0, AN_HOUR_MS, 500_000));
    for id in 2..=JOBS {
        stream.send(id, deaf(&graph, id, 0, 0));
    }
    let began = Instant::now();
    let answered = answers(&mut stream, &raw, JOBS);
    println!(
        "all were answered after {:?}: {answered:?}",
        began.elapsed()
    );
    assert_eq!(answered[&1], Some(v1::Code::Timeout));
    assert!(
        answered.values().skip(1).all(Option::is_none),
        "{answered:?}"
    );
    // One more answer that nobody is owed would come before this one.
    stream.send(JOBS + 1, deaf(&graph, 1, 0, 0));
    assert_eq!(
        answers(&mut stream, &raw, 1).into_keys().next(),
        Some(JOBS + 1)
    );
    assert_ne!(daemon.workers(), workers);
    assert_eq!(daemon.in_flight(), 0);
}

#[test]
fn a_cancelled_compute_that_never_ends_is_killed_at_its_deadline_and_leaves_no_slot() {
    require_backends!();
    let daemon = deaf_daemon("compute_ms_max = 2000");
    let runtime = runtime();
    let client = daemon.client();
    let run = |ms: i64| {
        let client = client.clone();
        async move {
            let input = ("ms", DType::I64, &[][..], &ms.to_le_bytes()[..]);
            compute(&client, "deaf", &[input], None).await.map(drop)
        }
    };
    runtime.block_on(run(0)).unwrap();
    let workers = daemon.workers();
    // One that is dropped before its worker has begun it is gone at once, and so does not serve here.
    let has_begun = (0..ATTEMPTS).any(|_| {
        let dropped = runtime.spawn(run(AN_HOUR_MS));
        wait_until("the worker has the job", SOON, || daemon.in_flight() == 1);
        dropped.abort();
        let end = Instant::now() + MOMENT;
        let mut looks = std::iter::from_fn(|| (Instant::now() < end).then(|| daemon.in_flight()));
        looks.all(|in_flight| in_flight == 1)
    });
    assert!(has_begun);
    let behind = (0..WINDOW).map(|_| runtime.spawn(run(0)));
    for one in behind.collect::<Vec<_>>() {
        let outcome = runtime.block_on(one).unwrap();
        // What came more than its own longest time before the kill ran out of it; nothing else may go wrong.
        let code = outcome.as_ref().err().map(|fault| fault.code);
        assert!(matches!(code, None | Some(Code::Timeout)), "{outcome:?}");
    }
    wait_until("slots are free", SOON, || {
        let stats = client.stats();
        (stats.in_slots, stats.out_slots, stats.in_flight) == (0, 0, 0)
    });
    runtime.block_on(run(0)).unwrap();
    assert_ne!(daemon.workers(), workers);
}

#[test]
fn a_cancelled_compute_that_never_ends_does_not_hold_up_the_daemons_end() {
    require_backends!();
    let mut daemon = deaf_daemon("drain_ms_max = 100");
    let raw = Raw::open(&daemon);
    let graph = raw.graph("deaf");
    let mut stream = raw.stream();
    // One that is cancelled before its worker has begun it is answered at once, and so does not serve here.
    let begun = (1..=ATTEMPTS).find(|&id| {
        stream.send(id, deaf(&graph, 0, AN_HOUR_MS, 0));
        wait_until("the worker has the job", SOON, || daemon.in_flight() == 1);
        stream.send(id, infer_request::Body::Cancel(v1::Cancel {}));
        stream.is_silent(&raw, MOMENT)
    });
    let ended = daemon.terminate();
    let log = daemon.log();
    assert!(ended, "{log}");
    assert!(!log.contains("stay unanswered"), "{log}");
    assert!(log.contains("overstayed"), "{log}");
    let told = std::iter::from_fn(|| stream.answer(&raw));
    let told: Vec<u64> = told.map(|(id, _)| id).filter(|&id| id > 0).collect();
    assert_eq!(told, [begun.unwrap()]);
}
