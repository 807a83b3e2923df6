//! The client against a daemon of these tests' own, over real sockets and real shared memory.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

#[path = "fake/server.rs"]
mod server;
#[path = "fake/world.rs"]
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nn_client::{Client, ConnectError, Graph, Input, OutTensor};
use nn_tensor::{Code, DType, Fault, Shape, Tenant, TensorName};
use server::{Fake, SEGMENT_BYTES};
use tempfile::TempDir;

const LEN: usize = 1000;

fn setup() -> (TempDir, Fake, Client) {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start(dir.path());
    let client = client(&dir, "default");
    (dir, fake, client)
}

fn client(dir: &TempDir, tenant: &str) -> Client {
    Client::new(dir.path().join("nn.sock"), tenant.parse().unwrap())
}

fn pattern(len: usize) -> Vec<u8> {
    (0..=255).cycle().take(len).collect()
}

async fn input(graph: &Graph, bytes: &[u8]) -> Result<Input, Fault> {
    let slot = graph.reserve(bytes.len().try_into().unwrap()).await?;
    slot.copy_from(bytes)?;
    Ok(Input {
        name: TensorName::new("x")?,
        dtype: DType::U8,
        shape: Shape::new(&[bytes.len().try_into().unwrap()]).unwrap(),
        slot,
    })
}

async fn compute(graph: &Graph, bytes: &[u8]) -> Result<Vec<OutTensor>, Fault> {
    let input = input(graph, bytes).await?;
    graph.compute(vec![input], None).await
}

/// Waits for a condition on the client's counters.
async fn until(client: &Client, ready: impl Fn(&nn_client::Stats) -> bool) {
    let waiting = async {
        while !ready(&client.stats()) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(5), waiting).await;
    assert!(waited.is_ok(), "{:?}", client.stats());
}

/// Starts a compute of `hold` and waits until the daemon has it.
async fn held(
    fake: &Fake,
    graph: &Arc<Graph>,
) -> tokio::task::JoinHandle<Result<Vec<OutTensor>, Fault>> {
    let before = fake.seen(|seen| seen.computes);
    let graph = Arc::clone(graph);
    let task = tokio::spawn(async move { compute(&graph, &pattern(LEN)).await });
    fake.until(|seen| seen.computes > before).await;
    task
}

#[tokio::test]
async fn one_inference_copies_its_payload_twice_and_leaves_nothing_behind() {
    let (_dir, fake, client) = setup();
    let graph = client.resolve("echo").await.unwrap();
    let outputs = compute(&graph, &pattern(LEN)).await.unwrap();
    let mut bytes = vec![0; LEN];
    outputs[0].slot.copy_to(&mut bytes).unwrap();
    assert_eq!(bytes, pattern(LEN));
    let stats = client.stats();
    assert_eq!(
        (stats.copies, stats.bytes_copied_in, stats.bytes_copied_out),
        (2, 1000, 1000)
    );
    assert_eq!(
        (stats.in_slots, stats.out_slots, stats.in_flight),
        (0, 1, 0)
    );
    drop(outputs);
    fake.until(|seen| seen.released_slots == 1).await;
    assert_eq!(fake.out_slots_in_use(), 0);
    assert_eq!(client.stats().out_slots, 0);
}

#[tokio::test]
async fn a_warm_resolve_costs_no_round_trip_until_the_model_changes() {
    let (_dir, fake, client) = setup();
    let (first, second) = tokio::join!(client.resolve("echo"), client.resolve("echo"));
    assert_eq!(first.unwrap().version().get(), 7);
    second.unwrap();
    assert_eq!(client.stats().resolves, 1);
    fake.change("echo").await;
    let asked_again = async {
        while client.stats().resolves == 1 {
            client.resolve("echo").await.unwrap();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), asked_again)
        .await
        .unwrap();
}

#[tokio::test]
async fn malformed_names_are_refused_without_asking() {
    let (_dir, _fake, client) = setup();
    let fault = client.resolve("a/b").await.unwrap_err();
    assert_eq!(fault.code, Code::InvalidArgument);
    assert_eq!(client.stats().sessions, 0);
    let fault = client.resolve("nosuch").await.unwrap_err();
    assert_eq!(fault, Fault::not_found("no such model"));
}

#[tokio::test]
async fn a_tensor_larger_than_the_arena_makes_it_grow() {
    let (_dir, _fake, client) = setup();
    let graph = client.resolve("echo").await.unwrap();
    let large = pattern(usize::try_from(3 * SEGMENT_BYTES).unwrap());
    let outputs = compute(&graph, &large).await.unwrap();
    assert_eq!(outputs[0].slot.to_vec().unwrap(), large);
    let fault = graph.reserve(4 * SEGMENT_BYTES + 1).await.unwrap_err();
    assert_eq!(fault.code, Code::TooLarge);
}

#[tokio::test]
async fn inputs_that_do_not_fit_the_model_are_refused_here() {
    let (_dir, fake, client) = setup();
    let graph = client.resolve("echo").await.unwrap();
    let mut wrong = input(&graph, &pattern(LEN)).await.unwrap();
    wrong.name = TensorName::new("y").unwrap();
    let fault = graph.compute(vec![wrong], None).await.unwrap_err();
    assert_eq!(fault.code, Code::InvalidArgument);
    let mut wrong = input(&graph, &pattern(LEN)).await.unwrap();
    wrong.shape = Shape::new(&[1001]).unwrap();
    let fault = graph.compute(vec![wrong], None).await.unwrap_err();
    assert_eq!(fault.got, "1000 bytes");
    assert_eq!(fake.seen(|seen| seen.computes), 0);
    assert_eq!(client.stats().in_slots, 0);
}

#[tokio::test]
async fn a_dropped_compute_is_cancelled_and_keeps_its_slots_until_its_answer() {
    let (_dir, fake, client) = setup();
    let graph = client.resolve("hold").await.unwrap();
    let task = held(&fake, &graph).await;
    task.abort();
    fake.until(|seen| seen.cancels.len() == 1).await;
    assert_eq!((client.stats().in_slots, client.stats().in_flight), (1, 1));
    fake.answer_held();
    until(&client, |stats| {
        (stats.in_slots, stats.out_slots, stats.in_flight) == (0, 0, 0)
    })
    .await;
    fake.until(|seen| seen.released_slots == 1).await;
}

#[tokio::test]
async fn a_deadline_is_kept_even_if_the_daemon_forgets_it() {
    let (_dir, fake, client) = setup();
    let graph = client.resolve("hold").await.unwrap();
    let input = input(&graph, &pattern(LEN)).await.unwrap();
    let fault = graph
        .compute(vec![input], Some(Duration::from_millis(10)))
        .await
        .unwrap_err();
    assert_eq!(fault.code, Code::Timeout);
    fake.until(|seen| seen.cancels.len() == 1).await;
    assert_eq!(client.stats().in_slots, 1);
}

#[tokio::test]
async fn more_computes_than_the_session_allows_are_busy_at_once() {
    let (_dir, fake, client) = setup();
    let graph = client.resolve("hold").await.unwrap();
    let mut tasks = Vec::new();
    for _ in 0..4 {
        tasks.push(held(&fake, &graph).await);
    }
    let fault = compute(&graph, &pattern(LEN)).await.unwrap_err();
    assert_eq!(fault.code, Code::Busy);
    fake.answer_held();
    for task in tasks {
        assert!(task.await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn a_lost_daemon_ends_calls_at_once_and_the_next_call_finds_the_new_one() {
    let (dir, fake, client) = setup();
    let graph = client.resolve("hold:canary").await.unwrap();
    let echo = client.resolve("echo").await.unwrap();
    let kept = compute(&echo, &pattern(LEN)).await.unwrap();
    let old_slot = input(&echo, &pattern(LEN)).await.unwrap();
    let task = held(&fake, &graph).await;

    let broken = Instant::now();
    drop(fake);
    let fault = task.await.unwrap().unwrap_err();
    assert!(broken.elapsed() < Duration::from_secs(1));
    assert_eq!(fault.code, Code::RuntimeError);
    assert!(fault.message.contains("was lost"), "{fault}");

    let fake = Fake::start(dir.path());
    // A slot of the old connection is copied over; what was delivered stays readable.
    let outputs = echo.compute(vec![old_slot], None).await.unwrap();
    assert_eq!(outputs[0].slot.to_vec().unwrap(), pattern(LEN));
    assert_eq!(kept[0].slot.to_vec().unwrap(), pattern(LEN));
    assert_eq!(fake.seen(|seen| seen.resolves.clone()), ["echo@7"]);
    assert_eq!(client.stats().sessions, 2);
    drop(kept);
    assert_eq!(fake.seen(|seen| seen.releases), 0);
}

#[tokio::test]
async fn what_is_new_goes_to_the_next_daemon_while_the_one_that_is_ending_still_answers() {
    let (dir, first, client) = setup();
    let hold = client.resolve("hold").await.unwrap();
    let echo = client.resolve("echo").await.unwrap();
    let placed = input(&echo, &pattern(LEN)).await.unwrap();
    let held = held(&first, &hold).await;
    first.say_leaving().await;
    until_ended(&echo).await;
    let second = Fake::start(dir.path());

    let outputs = echo.compute(vec![placed], None).await.unwrap();

    assert_eq!(outputs[0].slot.to_vec().unwrap(), pattern(LEN));
    assert_eq!(second.seen(|seen| seen.computes), 1);
    assert!(first.stream_open());
    first.answer_held();
    let answered = held.await.unwrap().unwrap();
    assert_eq!(answered[0].slot.to_vec().unwrap(), pattern(LEN));
    // Nothing is left to be answered there.
    let closed = async {
        while first.stream_open() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), closed)
        .await
        .unwrap();
    assert_eq!(first.seen(|seen| seen.computes), 1);
}

#[tokio::test]
async fn a_compute_that_was_refused_by_a_daemon_that_is_ending_goes_to_the_next_with_its_inputs() {
    let (dir, first, client) = setup();
    let echo = client.resolve("echo").await.unwrap();
    first.refuse();
    let second = Fake::start(dir.path());

    let outputs = compute(&echo, &pattern(LEN)).await.unwrap();

    assert_eq!(outputs[0].slot.to_vec().unwrap(), pattern(LEN));
    assert_eq!(first.seen(|seen| seen.computes), 1);
    assert_eq!(second.seen(|seen| seen.computes), 1);
    assert_eq!(client.stats().in_flight, 0);
}

#[tokio::test]
async fn a_compute_that_everybody_refuses_is_given_up_after_three_moves() {
    let (_dir, fake, client) = setup();
    fake.refuse();
    let echo = client.resolve("echo").await.unwrap();
    let fault = compute(&echo, &pattern(LEN)).await.unwrap_err();
    assert_eq!(fault.code, Code::Leaving, "{fault}");
    assert_eq!(fake.seen(|seen| seen.computes), 4);
    assert_eq!(client.stats().sessions, 4);
    assert_eq!(client.stats().in_slots, 0);
}

#[tokio::test]
async fn the_descriptor_connection_is_the_sessions_life() {
    let (_dir, fake, client) = setup();
    let graph = client.resolve("hold").await.unwrap();
    let task = held(&fake, &graph).await;
    fake.break_fd_socket();
    let fault = task.await.unwrap().unwrap_err();
    assert!(fault.message.contains("was lost"), "{fault}");
}

#[tokio::test]
async fn without_a_daemon_a_call_fails_within_its_bound_and_says_what_to_do() {
    let (dir, fake, _) = setup();
    let socket = dir.path().join("nn.sock");
    let wait = Duration::from_millis(500);
    let client = Client::builder(socket.clone(), Tenant::default());
    let client = client.wait(wait).build();
    let graph = client.resolve("echo").await.unwrap();
    drop(fake);
    until_ended(&graph).await;
    std::fs::remove_file(socket).unwrap();
    let begun = Instant::now();
    let fault = client.resolve("echo").await.unwrap_err();
    assert!(begun.elapsed() >= wait && begun.elapsed() < 4 * wait);
    assert_eq!(fault.code, Code::RuntimeError);
    assert!(fault.hint.contains("nn-daemon must be running"), "{fault}");
    let error = client.connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::NoSocket { .. }), "{error}");
}

async fn until_ended(graph: &Graph) {
    let ended = async {
        while graph.try_reserve(1).is_ok() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), ended)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_reply_may_overtake_the_memory_it_names() {
    let (_dir, _fake, client) = setup();
    let graph = client.resolve("slow-grant").await.unwrap();
    let outputs = compute(&graph, &pattern(LEN)).await.unwrap();
    assert_eq!(outputs[0].slot.to_vec().unwrap(), pattern(LEN));
}

#[tokio::test]
async fn slots_that_cannot_be_are_refused_and_nothing_is_read_there() {
    let (_dir, _fake, client) = setup();
    let outside = client.resolve("outside").await.unwrap();
    let fault = compute(&outside, &pattern(LEN)).await.unwrap_err();
    assert!(fault.message.contains("breaks the protocol"), "{fault}");
    let echo = client.resolve("echo").await.unwrap();
    let mut held = Vec::new();
    // Until the slot at offset 0 is among those held, whichever the lies above left in use.
    for _ in 0..3 {
        held.push(compute(&echo, &pattern(LEN)).await.unwrap());
    }
    let overlap = client.resolve("overlap").await.unwrap();
    let first = compute(&overlap, &pattern(LEN)).await;
    let second = compute(&overlap, &pattern(LEN)).await;
    assert!(first.is_err() || second.is_err());
    let begun = Instant::now();
    let unknown = client.resolve("unknown").await.unwrap();
    assert!(compute(&unknown, &pattern(LEN)).await.is_err());
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert_eq!(held[0][0].slot.to_vec().unwrap(), pattern(LEN));
}

/// Writes all of the outputs' memory, in turns, until it is dropped.
struct Flipper {
    stop: Arc<AtomicBool>,
    writing: Option<JoinHandle<()>>,
}

const FLIPS: [u8; 2] = [0x5a, 0xa5];

impl Flipper {
    fn start(fake: &Fake) -> Self {
        let (memory, stop) = (fake.outputs(), Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let write = move || {
            let all = u64::try_from(memory.len()).unwrap();
            while !stopped.load(Ordering::Relaxed) {
                for byte in FLIPS {
                    let bytes = vec![byte; memory.len()];
                    memory.slice(0, all).unwrap().copy_from(&bytes).unwrap();
                }
            }
        };
        let writing = std::thread::Builder::new().spawn(write).unwrap();
        Self {
            stop,
            writing: Some(writing),
        }
    }
}

impl Drop for Flipper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.writing.take().unwrap().join().unwrap();
    }
}

#[tokio::test]
async fn outputs_that_flip_while_they_are_read_are_garbage_at_most() {
    let (_dir, fake, client) = setup();
    let graph = client.resolve("echo").await.unwrap();
    compute(&graph, &pattern(LEN)).await.unwrap();
    let flipper = Flipper::start(&fake);
    let mut flipped = 0;
    for _ in 0..500 {
        let outputs = compute(&graph, &pattern(LEN)).await.unwrap();
        // Name, type, shape and length came by value, and what is read is read once.
        assert_eq!((outputs[0].dtype, outputs[0].slot.len()), (DType::U8, 1000));
        let read = outputs[0].slot.to_vec().unwrap();
        let is_old_or_new = |(&byte, was)| byte == was || FLIPS.contains(&byte);
        assert!(read.iter().zip(pattern(LEN)).all(is_old_or_new));
        flipped += usize::from(read != pattern(LEN));
    }
    drop(flipper);
    assert!(flipped > 0, "nothing was ever changed under the reader");
    let outputs = compute(&graph, &pattern(LEN)).await.unwrap();
    assert_eq!(outputs[0].slot.to_vec().unwrap(), pattern(LEN));
}

#[tokio::test]
async fn a_call_whose_connections_are_turned_away_waits_for_a_place() {
    const TURNED_AWAY: usize = 3;
    let dir = tempfile::tempdir().unwrap();
    let door = tokio::net::UnixListener::bind(dir.path().join("nn.sock")).unwrap();
    let turning_away = tokio::spawn(async move {
        for _ in 0..TURNED_AWAY {
            let (turned_away, _) = door.accept().await.unwrap();
            // By then the client takes itself for connected, and has asked.
            tokio::time::sleep(Duration::from_millis(50)).await;
            drop(turned_away);
        }
    });
    let client = client(&dir, "default");
    let calling = tokio::spawn(async move { client.resolve("echo").await.map(drop) });
    let all_turned_away = tokio::time::timeout(Duration::from_secs(5), turning_away).await;
    all_turned_away.unwrap().unwrap();
    let _fake = Fake::start(dir.path());
    calling.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_tenant_that_is_refused_is_told_so() {
    let (dir, _fake, _client) = setup();
    let client = client(&dir, "forbidden");
    let error = client.connect().await.unwrap_err();
    assert!(matches!(&error, ConnectError::Refused(fault) if fault.code == Code::Security));
    let begun = Instant::now();
    let fault = client.resolve("echo").await.unwrap_err();
    assert_eq!(fault.code, Code::Security);
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn the_session_ends_with_the_last_client_and_graph() {
    let (_dir, fake, client) = setup();
    let graph = client.resolve("hold").await.unwrap();
    drop(client);
    assert!(graph.try_reserve(1).is_ok());
    drop(graph);
    // The fake's event channel closes with the stream.
    let closed = async {
        while fake.stream_open() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), closed)
        .await
        .unwrap();
}
