//! Restarts: the daemon goes and comes back while clients and guests compute without a pause. What had not begun goes
//! to the next daemon by itself; what had is answered, or ends in a typed error. The tests play the service manager
//! that keeps the sockets, and the operator who does not.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail with it")]

#[path = "restart/load.rs"]
mod load;
#[path = "restart/refusals.rs"]
mod refusals;

use std::time::{Duration, Instant};

use nn_client::{Client, Graph, Input, OutTensor};
use nn_tensor::{Code, DType, Fault, Tenant};
use nn_tests::{Daemon, DaemonBuilder, input, require_backends, tiny_model, wait_until};

const SOON: Duration = Duration::from_secs(10);

/// Takes about a quarter of an hour: no compute of it ends by itself.
const ENDLESS: i64 = 100_000_000;

fn daemon(builder: DaemonBuilder) -> Daemon {
    let daemon = builder.start();
    daemon.load("slow", &tiny_model("slow-f32"));
    daemon
}

/// The input `value` in the graph's arena.
async fn value(graph: &Graph, value: f32) -> Result<Input, Fault> {
    input(graph, ("value", DType::Fp32, &[1], &value.to_le_bytes())).await
}

/// The input `iterations`, at about 7 µs each.
async fn iterations(graph: &Graph, count: i64) -> Result<Input, Fault> {
    input(graph, ("iterations", DType::I64, &[], &count.to_le_bytes())).await
}

/// One compute of `slow-f32`, which gives `number` back.
async fn slow(graph: &Graph, count: i64, number: f32) -> Result<Vec<u8>, Fault> {
    let inputs = vec![iterations(graph, count).await?, value(graph, number).await?];
    bytes(&graph.compute(inputs, None).await?)
}

fn bytes(outputs: &[OutTensor]) -> Result<Vec<u8>, Fault> {
    outputs.first().unwrap().slot.to_vec()
}

fn until_in_flight(daemon: &Daemon, jobs: u64) {
    tokio::task::block_in_place(|| {
        wait_until("jobs are in flight", SOON, || daemon.in_flight() >= jobs);
    });
}

/// As `systemctl restart` has it: SIGTERM, the end, the next start.
fn restart(daemon: &mut Daemon) -> Duration {
    let asked = Instant::now();
    tokio::task::block_in_place(|| {
        assert!(daemon.terminate(), "{}", daemon.log());
        daemon.restart();
    });
    asked.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_graph_and_inputs_made_before_a_restart_serve_after_it() {
    require_backends!();
    let mut daemon = daemon(Daemon::builder().with_kept_sockets());
    let client = daemon.client();
    let graph = client.resolve("slow").await.unwrap();
    let inputs = vec![
        iterations(&graph, 10).await.unwrap(),
        value(&graph, 2.5).await.unwrap(),
    ];
    let before = graph.compute(inputs.clone(), None).await.unwrap();

    restart(&mut daemon);

    let after = graph.compute(inputs, None).await.unwrap();
    assert_eq!(bytes(&after).unwrap(), 2.5_f32.to_le_bytes());
    // What was answered before stays readable.
    assert_eq!(bytes(&before).unwrap(), 2.5_f32.to_le_bytes());
    assert_eq!(client.stats().sessions, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_during_a_drain_waits_for_the_next_daemon_while_the_old_one_answers() {
    require_backends!();
    let mut daemon = daemon(Daemon::builder().with_kept_sockets());
    let client = daemon.client();
    let graph = client.resolve("slow").await.unwrap();
    let long = tokio::spawn({
        let graph = graph.clone();
        // Longer than any single step of a connection may take, were the door not kept.
        async move { (slow(&graph, 400_000, 1.0).await, Instant::now()) }
    });
    until_in_flight(&daemon, 1);
    daemon.ask_to_end();
    // What it takes before it has heard is answered by it, as the long one is.
    tokio::task::block_in_place(|| {
        wait_until("it has heard", SOON, || {
            daemon.log().contains("ending: SIGTERM")
        });
    });
    let short = tokio::spawn({
        let (client, graph) = (client.clone(), graph.clone());
        async move {
            let told = Instant::now();
            // Until the client has heard, its calls are refused by the old daemon and go the same way.
            let answer = slow(&graph, 10, 2.0).await;
            (answer, Instant::now(), told.elapsed(), client.stats())
        }
    });
    restart(&mut daemon);

    let (long, long_at) = long.await.unwrap();
    let (short, short_at, waited, stats) = short.await.unwrap();
    println!("the short compute waited {waited:?}");
    assert_eq!(long.unwrap(), 1_f32.to_le_bytes());
    assert_eq!(short.unwrap(), 2_f32.to_le_bytes());
    assert!(long_at < short_at);
    assert_eq!(stats.sessions, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compute_beyond_the_drain_ends_in_its_error_and_the_one_behind_it_goes_on() {
    require_backends!();
    let limits = "drain_ms_max = 300\nworker_window = 1";
    let mut daemon = daemon(Daemon::builder().with_kept_sockets().with_limits(limits));
    let client = daemon.client();
    let graph = client.resolve("slow").await.unwrap();
    let spawn = |count, number| {
        let graph = graph.clone();
        tokio::spawn(async move { slow(&graph, count, number).await })
    };
    let running = spawn(ENDLESS, 1.0);
    until_in_flight(&daemon, 1);
    // It waits in the daemon's queue: no worker has begun it.
    let queued = spawn(10, 2.0);
    tokio::task::block_in_place(|| {
        wait_until("two are in flight", SOON, || client.stats().in_flight == 2);
    });

    let took = restart(&mut daemon);

    let fault = running.await.unwrap().unwrap_err();
    println!("the restart took {took:?}; told: {fault}");
    assert_eq!(fault.code, Code::RuntimeError, "{fault}");
    assert!(
        fault.message.contains("ended before the compute"),
        "{fault}"
    );
    assert_eq!(queued.await.unwrap().unwrap(), 2_f32.to_le_bytes());
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_is_killed_fails_what_it_had_begun_and_nothing_else() {
    require_backends!();
    let mut daemon = daemon(Daemon::builder().with_kept_sockets());
    let client = daemon.client();
    let graph = client.resolve("slow").await.unwrap();
    let running = tokio::spawn({
        let graph = graph.clone();
        async move { slow(&graph, ENDLESS, 1.0).await }
    });
    until_in_flight(&daemon, 1);

    tokio::task::block_in_place(|| daemon.kill());
    let told = running.await.unwrap().unwrap_err();
    let next = tokio::spawn({
        let graph = graph.clone();
        async move { slow(&graph, 10, 2.0).await }
    });
    let found = tokio::spawn(async move { client.resolve("slow").await });
    tokio::task::block_in_place(|| daemon.restart());

    assert_eq!(told.code, Code::RuntimeError, "{told}");
    assert!(told.message.contains("was lost"), "{told}");
    assert_eq!(next.await.unwrap().unwrap(), 2_f32.to_le_bytes());
    assert_eq!(found.await.unwrap().unwrap().version().get(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_kept_sockets_a_call_waits_for_the_daemon_to_be_started_again() {
    require_backends!();
    let mut daemon = daemon(Daemon::builder());
    let client = daemon.client();
    let graph = client.resolve("slow").await.unwrap();
    slow(&graph, 10, 1.0).await.unwrap();

    assert!(tokio::task::block_in_place(|| daemon.terminate()));
    let waiting = tokio::spawn({
        let graph = graph.clone();
        async move { slow(&graph, 10, 2.0).await }
    });
    tokio::task::block_in_place(|| daemon.restart());

    assert_eq!(waiting.await.unwrap().unwrap(), 2_f32.to_le_bytes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_without_a_daemon_ends_when_its_wait_is_over() {
    require_backends!();
    let mut daemon = daemon(Daemon::builder());
    let wait = Duration::from_millis(300);
    let client = Client::builder(daemon.socket(), Tenant::default())
        .wait(wait)
        .build();
    let graph = client.resolve("slow").await.unwrap();
    tokio::task::block_in_place(|| daemon.kill());
    wait_until("the client has noticed", SOON, || {
        graph.try_reserve(4).is_err()
    });
    let began = Instant::now();

    let fault = slow(&graph, 10, 1.0).await.unwrap_err();

    let took = began.elapsed();
    assert_eq!(fault.code, Code::RuntimeError, "{fault}");
    assert!(fault.message.contains("cannot be reached"), "{fault}");
    assert!(took >= wait && took < wait * 4, "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_was_loaded_from_bytes_must_be_loaded_again_after_a_restart() {
    require_backends!();
    let mut daemon = Daemon::builder().with_kept_sockets().start();
    let client = daemon.client();
    let model = vec![std::fs::read(tiny_model("slow-f32")).unwrap()];
    let graph = client.load(nn_client::Format::Onnx, &model).await.unwrap();
    assert!(slow(&graph, 10, 1.0).await.is_ok());

    restart(&mut daemon);

    let fault = slow(&graph, 10, 2.0).await.unwrap_err();
    assert_eq!(fault.code, Code::NotFound, "{fault}");
    assert!(fault.hint.contains("load it again"), "{fault}");
    let again = client.load(nn_client::Format::Onnx, &model).await.unwrap();
    assert_eq!(slow(&again, 10, 3.0).await.unwrap(), 3_f32.to_le_bytes());
}
