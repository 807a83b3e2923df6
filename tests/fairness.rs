//! Tenants that share a model take turns by what their computes run; who calls much does not keep others from it. What is
//! asserted is the order of runs, as the model counts them, and never a time.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail with it")]

use std::sync::Arc;
use std::time::Duration;

use nn_client::{Client, Graph};
use nn_tensor::{Code, DType, Fault, Tenant};
use nn_tests::{Daemon, compute_of, fake_model, nnctl, require_backends, until};
use tokio::task::JoinHandle;

const SOON: Duration = Duration::from_secs(20);

/// Until it is cancelled.
const HOUR_MS: i64 = 3_600_000;

/// A compute that is on its way: which run of the model it was.
type Call = JoinHandle<Result<i64, Fault>>;

/// A daemon with a model that sleeps as it is told, and says which of its runs a call was.
fn daemon(workers: &str, limits: &str, sections: &str) -> Daemon {
    let builder = Daemon::builder().with_worker("nn-worker-fake");
    let builder = builder.with_workers(workers).with_limits(limits);
    let daemon = builder.with_sections(sections).start();
    daemon.load("count", &fake_model("count"));
    daemon
}

async fn graph(daemon: &Daemon, tenant: &str) -> Arc<Graph> {
    let client = Client::new(daemon.socket(), tenant.parse::<Tenant>().unwrap());
    client.resolve("count").await.unwrap()
}

async fn call(graph: Arc<Graph>, ms: i64) -> Result<i64, Fault> {
    let ms = ms.to_le_bytes();
    let outputs = compute_of(&graph, &[("ms", DType::I64, &[], &ms)], None).await?;
    let run = outputs[0].slot.to_vec().unwrap();
    Ok(i64::from_le_bytes(run.try_into().unwrap()))
}

fn calls(graph: &Arc<Graph>, count: usize, ms: i64) -> Vec<Call> {
    (0..count)
        .map(|_| tokio::spawn(call(Arc::clone(graph), ms)))
        .collect()
}

/// The worker computes this one until it is let go.
async fn hold(daemon: &Daemon, graph: &Arc<Graph>) -> Call {
    let held = tokio::spawn(call(Arc::clone(graph), HOUR_MS));
    until("the worker has it", SOON, || daemon.in_flight() == 1).await;
    held
}

async fn all_wait(daemon: &Daemon, count: usize) {
    let count = u64::try_from(count).unwrap();
    until("all are there", SOON, || daemon.in_flight() == count).await;
}

/// Which runs they were, in order.
async fn runs(calls: Vec<Call>) -> Vec<i64> {
    let mut runs = Vec::new();
    for call in calls {
        runs.push(call.await.unwrap().unwrap());
    }
    runs.sort_unstable();
    runs
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_behind_a_full_queue_is_next() {
    require_backends!();
    let daemon = daemon("", "", "");
    let (noisy, victim) = (
        graph(&daemon, "noisy").await,
        graph(&daemon, "victim").await,
    );
    // So that it is known how long a run is: long enough that a worker has one in hand.
    let known = runs(calls(&noisy, 3, 10)).await;
    let held = hold(&daemon, &noisy).await;
    let crowd = calls(&noisy, 40, 10);
    all_wait(&daemon, 41).await;
    let few = calls(&victim, 4, 10);
    all_wait(&daemon, 45).await;
    held.abort();
    let (few, crowd) = (runs(few).await, runs(crowd).await);
    println!("known {known:?}; victim {few:?}; noisy {crowd:?}");
    // Before them ran those that were known and the one that was held; each has at most one of the others' before it.
    let most: Vec<i64> = (1..=4).map(|n| 4 + 2 * n).collect();
    assert!(few.iter().zip(&most).all(|(run, most)| run <= most));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn short_runs_in_a_workers_hands_are_few() {
    require_backends!();
    let daemon = daemon("", "", "");
    let (noisy, victim) = (
        graph(&daemon, "noisy").await,
        graph(&daemon, "victim").await,
    );
    runs(calls(&noisy, 20, 0)).await;
    let held = hold(&daemon, &noisy).await;
    let crowd = calls(&noisy, 40, 0);
    all_wait(&daemon, 41).await;
    let one = calls(&victim, 1, 0);
    all_wait(&daemon, 42).await;
    held.abort();
    let one = runs(one).await[0];
    println!("victim {one}; noisy {:?}", runs(crowd).await);
    // Behind the 20, the one that was held, and three that the worker had besides (`limits.worker_window`).
    assert!(one <= 20 + 1 + 3 + 1, "{one}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_get_run_time_by_their_weights() {
    require_backends!();
    let weights = "[tenants.heavy]\nweight = 3\n";
    let daemon = daemon("", "", weights);
    let other = graph(&daemon, "other").await;
    let (heavy, light) = (graph(&daemon, "heavy").await, graph(&daemon, "light").await);
    let held = hold(&daemon, &other).await;
    let (of_heavy, of_light) = (calls(&heavy, 45, 20), calls(&light, 45, 20));
    all_wait(&daemon, 91).await;
    held.abort();
    let (of_heavy, of_light) = (runs(of_heavy).await, runs(of_light).await);
    println!("heavy {of_heavy:?}; light {of_light:?}");
    let first = |runs: &[i64]| runs.iter().filter(|&&run| run <= 41).count();
    // 30 and 10; what a pause of the machine lengthens is charged to whom it meets.
    let part = (first(&of_heavy), first(&of_light));
    assert!((25..=35).contains(&part.0), "{part:?}");
    assert_eq!(part.0 + part.1, 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_more_to_compute_gets_fewer_turns() {
    require_backends!();
    let daemon = daemon("", "", "");
    let other = graph(&daemon, "other").await;
    let (large, small) = (graph(&daemon, "large").await, graph(&daemon, "small").await);
    let held = hold(&daemon, &other).await;
    let (of_large, of_small) = (calls(&large, 12, 80), calls(&small, 40, 20));
    all_wait(&daemon, 53).await;
    held.abort();
    let (of_large, of_small) = (runs(of_large).await, runs(of_small).await);
    println!("large {of_large:?}; small {of_small:?}");
    // By counts it would be half and half.
    let first = of_large.iter().filter(|&&run| run <= 31).count();
    assert!((4..=9).contains(&first), "{first} of 30");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn computes_that_are_cancelled_give_their_places_back_at_once() {
    require_backends!();
    let daemon = daemon("", "queue_per_model_max = 8", "");
    let tenant = graph(&daemon, "one").await;
    let held = hold(&daemon, &tenant).await;
    for _ in 0..3 {
        let waiting = calls(&tenant, 4, 0);
        all_wait(&daemon, 5).await;
        let fault = call(Arc::clone(&tenant), 0).await.unwrap_err();
        assert_eq!(fault.code, Code::Busy, "{fault}");
        assert!(fault.got.starts_with("4 jobs waiting"), "{fault}");
        waiting.iter().for_each(JoinHandle::abort);
        all_wait(&daemon, 1).await;
    }
    held.abort();
    assert!(call(tenant, 0).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_has_its_part_of_a_queue_leaves_places_to_others() {
    require_backends!();
    let daemon = daemon("", "queue_per_model_max = 12", "");
    let other = graph(&daemon, "other").await;
    let held = hold(&daemon, &other).await;
    let mut taken = Vec::new();
    // However many sessions it has: each client is one.
    for _ in 0..4 {
        let session = graph(&daemon, "greedy").await;
        taken.extend(calls(&session, 12, 0));
    }
    until("all are answered, or wait", SOON, || {
        let answered = taken.iter().filter(|call| call.is_finished()).count();
        answered + usize::try_from(daemon.in_flight()).unwrap() == taken.len() + 1
    })
    .await;
    let waiting = usize::try_from(daemon.in_flight()).unwrap() - 1;
    println!("{waiting} of 12 places");
    assert!((6..=8).contains(&waiting), "{waiting}");
    let honest = graph(&daemon, "honest").await;
    let calls = calls(&honest, 1, 0);
    all_wait(&daemon, waiting + 2).await;
    held.abort();
    runs(calls).await;
    for call in taken {
        let code = call.await.unwrap().map_err(|fault| fault.code);
        assert!(matches!(code, Ok(_) | Err(Code::Busy)), "{code:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_worker_of_its_own_a_tenant_waits_for_nobody() {
    require_backends!();
    let daemon = daemon("isolation = \"tenant\"", "", "");
    let (noisy, victim) = (
        graph(&daemon, "noisy").await,
        graph(&daemon, "victim").await,
    );
    let held = hold(&daemon, &noisy).await;
    let crowd = calls(&noisy, 40, 0);
    all_wait(&daemon, 41).await;
    for run in 1..=5 {
        assert_eq!(call(Arc::clone(&victim), 5).await.unwrap(), run);
    }
    assert_eq!(daemon.in_flight(), 41, "they still wait");
    held.abort();
    runs(crowd).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unloaded_model_answers_all_that_wait() {
    require_backends!();
    let daemon = daemon("", "drain_ms_max = 100", "");
    let (one, other) = (graph(&daemon, "one").await, graph(&daemon, "other").await);
    let held = hold(&daemon, &one).await;
    let mut waiting = calls(&one, 5, 0);
    waiting.extend(calls(&other, 5, 0));
    all_wait(&daemon, 11).await;
    nnctl(&daemon, &["unload", "count"]).success();
    for call in waiting {
        assert_eq!(call.await.unwrap().unwrap_err().code, Code::NotFound);
    }
    drop(held.await);
}
