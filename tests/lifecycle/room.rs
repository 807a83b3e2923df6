//! More models than there is room for, and more clients than rooms. `cargo xtask soak room --rounds 1000`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nn_client::Client;
use nn_tests::{Daemon, Tensor, compute, nnctl, require_backends, soak_rounds, tiny_model, until};

use super::swap::skewed;
use super::{Files, SOON, load, meant};

const MIB: u64 = 1 << 20;

/// The budget of each worker, but for its model's.
const BUDGET: u64 = 256 * MIB;

const CLIENTS: u32 = 8;

/// Longer than any call may take that stands in line here.
const PATIENT: Duration = Duration::from_secs(60);

/// Room for so many workers with a small model each, by their memory.
fn room_for(workers: u64) -> Daemon {
    let max = workers * BUDGET + MIB;
    let limits = format!("worker_memory_bytes = {BUDGET}\nworkers_memory_bytes_max = {max}");
    Daemon::builder().with_limits(&limits).start()
}

/// What workers have of the machine's memory, by the daemon's account.
fn memory(daemon: &Daemon) -> u64 {
    let models = daemon.models();
    let instances = models
        .iter()
        .filter_map(|model| model["instances"].as_array());
    let bytes = |of: &serde_json::Value| of["memory_bytes"].as_u64().unwrap();
    instances.flatten().map(bytes).sum()
}

/// Asks for models as such things are asked: some often, most seldom.
async fn ask(client: Client, (number, models, turns): (u32, u16, u32), slowest_ms: Arc<AtomicU64>) {
    let mut random = number * 7919;
    for turn in 0..turns {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let of = 1 + skewed(random >> 16, u32::from(models));
        let begun = Instant::now();
        let answer = meant(&client, &format!("m{of}")).await;
        assert_eq!(answer, Ok(f32::from(of)), "client {number}, turn {turn}");
        let took = u64::try_from(begun.elapsed().as_millis()).unwrap();
        slowest_ms.fetch_max(took, Ordering::Relaxed);
    }
}

#[expect(clippy::print_stdout, reason = "what a soak has measured")]
async fn crowd(models: u16, room: u64, turns: u32) {
    let (daemon, files) = (room_for(room), Files::new());
    let idle = daemon.workers().len();
    for number in 1..=models {
        let pin: &[&str] = if number == 1 { &["--pin"] } else { &[] };
        load(&daemon, &format!("m{number}"), &files.adds(number), pin).success();
    }
    let pinned = daemon.json(&["describe", "m1"])["model"]["instances"][0]["pid"].clone();
    let slowest_ms = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            tokio::spawn(ask(
                daemon.client(),
                (number, models, turns),
                Arc::clone(&slowest_ms),
            ))
        })
        .collect();
    let (mut workers, mut bytes) = (0, 0);
    while !clients.iter().all(tokio::task::JoinHandle::is_finished) {
        tokio::task::block_in_place(|| {
            workers = workers.max(daemon.workers().len());
            bytes = bytes.max(memory(&daemon));
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for client in clients {
        client.await.unwrap();
    }
    let slowest = slowest_ms.load(Ordering::Relaxed);
    println!(
        "{models} models, room for {room}: at most {workers} workers with {} MiB; the slowest of {} calls took {slowest} ms",
        bytes / MIB,
        CLIENTS * turns,
    );
    assert!(workers <= usize::try_from(room).unwrap(), "{workers}");
    let max = room * BUDGET + MIB;
    assert!(bytes <= max + max / 20, "{bytes} of {max}");
    let now = daemon.json(&["describe", "m1"])["model"]["instances"][0]["pid"].clone();
    assert_eq!(now, pinned, "the pinned one stays");
    assert!(daemon.log().contains("rests to make room"));
    for number in 1..=models {
        nnctl(&daemon, &["unload", &format!("m{number}")]).success();
    }
    until("all workers have gone", SOON, || {
        daemon.workers().len() == idle
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_less_room_than_clients_every_call_gets_its_turn() {
    require_backends!();
    crowd(8, 3, soak_rounds(8)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes: `cargo xtask soak room`"]
async fn forty_models_in_room_for_ten_are_all_served() {
    require_backends!();
    crowd(40, 10, soak_rounds(100)).await;
}

/// Keeps a worker busy for about so long.
async fn busy(client: Client, name: String, iterations: i64) {
    let (iterations, value) = (iterations.to_le_bytes(), 1_f32.to_le_bytes());
    let tensors: [Tensor<'_>; 2] = [
        ("iterations", nn_tensor::DType::I64, &[], &iterations),
        ("value", nn_tensor::DType::Fp32, &[1], &value),
    ];
    let ended = compute(&client, &name, &tensors, None).await;
    assert!(ended.is_ok(), "{name}: {ended:?}");
}

/// About 300 ms.
const ITERATIONS: i64 = 40_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_every_worker_computes_a_load_waits_for_room_and_nobody_is_cut_off() {
    require_backends!();
    let daemon = Daemon::builder().with_limits("workers_max = 2").start();
    let names: Vec<String> = (1..=6).map(|number| format!("slow{number}")).collect();
    for name in &names {
        daemon.load(name, &tiny_model("slow-f32"));
    }
    let begun = Instant::now();
    let calls: Vec<_> = names
        .iter()
        .cycle()
        .take(18)
        .map(|name| tokio::spawn(busy(daemon.client(), name.clone(), ITERATIONS)))
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    println!(
        "18 calls of 6 models in 2 workers took {:?}",
        begun.elapsed()
    );
    assert!(begun.elapsed() < PATIENT);
    assert_eq!(daemon.ended("killed") + daemon.ended("other"), 0);
}

#[test]
fn where_nothing_can_rest_a_load_is_refused_at_once() {
    require_backends!();
    let (daemon, files) = (
        Daemon::builder().with_limits("workers_max = 1").start(),
        Files::new(),
    );
    load(&daemon, "foo", &files.adds(1), &["--pin"]).success();
    let begun = Instant::now();
    let refused = load(&daemon, "bar", &files.adds(2), &[]);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("no worker can be started now"),
        "{}",
        refused.stderr
    );
    assert!(begun.elapsed() < Duration::from_secs(10));
    nnctl(&daemon, &["unpin", "foo"]).success();
    daemon.load("bar", &files.adds(2));
}
