//! More models than there is room for, and more clients than rooms. `cargo xtask soak room --rounds 1000`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nn_client::Client;
use nn_onnx_writer::{FLOAT, graph, model, node, tensor, value};
use nn_tests::{
    Daemon, Tensor, compute, nnctl, require_backends, soak_rounds, tiny_model, until, wait_until,
};

use super::swap::skewed;
use super::{Files, SOON, load, meant, states};

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

/// What workers have of the machine's memory, by the kernel's account: what is each one's own, and what all of them share.
fn measured(pids: impl Iterator<Item = u32>) -> (u64, u64) {
    let of = |pid: u32| {
        // One that has just ended has nothing.
        let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let kib = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.map_or(0, |line| {
                let number = line.split_whitespace().next().unwrap();
                number.parse::<u64>().unwrap()
            })
        };
        let own = kib("Private_Clean:") + kib("Private_Dirty:");
        (own << 10, (kib("Pss:") - own) << 10)
    };
    pids.map(of)
        .fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1))
}

/// What a worker has of its own, and what all share, where nothing bounds them.
async fn of_one(files: &Files) -> (u64, u64) {
    let daemon = Daemon::start();
    let idle = daemon.workers();
    for number in 1..=3 {
        daemon.load(&format!("m{number}"), &files.adds(number));
    }
    let client = daemon.client();
    for number in 1..=3 {
        meant(&client, &format!("m{number}")).await.unwrap();
    }
    let pids = daemon.workers().into_iter();
    let (own, shared) = measured(pids.filter(|pid| !idle.contains(pid)));
    (own / 3, shared)
}

/// More models than there is memory for, as it is measured.
#[expect(clippy::print_stdout, reason = "what a soak has measured")]
async fn measured_crowd(models: u16, room: u64, turns: u32) {
    let files = Files::new();
    let (own, shared) = of_one(&files).await;
    let max = shared + own * room;
    let limits = format!("models_memory_bytes_max = {max}");
    let daemon = Daemon::builder().with_limits(&limits).start();
    let idle = daemon.workers();
    for number in 1..=models {
        let pin: &[&str] = if number == 1 { &["--pin"] } else { &[] };
        load(&daemon, &format!("m{number}"), &files.adds(number), pin).success();
    }
    let pinned = daemon.json(&["describe", "m1"])["model"]["instances"][0]["pid"].clone();
    let slowest_ms = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let of = (number, models, turns);
            tokio::spawn(ask(daemon.client(), of, Arc::clone(&slowest_ms)))
        })
        .collect();
    let (mut most, mut workers) = (0, 0);
    while !clients.iter().all(tokio::task::JoinHandle::is_finished) {
        tokio::task::block_in_place(|| {
            let mut pids = daemon.workers();
            pids.retain(|pid| !idle.contains(pid));
            workers = workers.max(pids.len());
            let (own, shared) = measured(pids.into_iter());
            most = most.max(own + shared);
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for client in clients {
        client.await.unwrap();
    }
    let slowest = slowest_ms.load(Ordering::Relaxed);
    println!(
        "{models} models, {} MiB for workers of {} MiB and {} MiB together: at most {workers} of them with {} MiB; the \
         slowest of {} calls took {slowest} ms",
        max / MIB,
        own / MIB,
        shared / MIB,
        most / MIB,
        CLIENTS * turns,
    );
    assert!(most <= max + max / 20, "{most} of {max}");
    assert!(workers >= 3, "{workers}: there is room for {room}");
    let now = daemon.json(&["describe", "m1"])["model"]["instances"][0]["pid"].clone();
    assert_eq!(now, pinned, "the pinned one stays");
    assert!(daemon.log().contains("rests to make room"));
    for number in 1..=models {
        nnctl(&daemon, &["unload", &format!("m{number}")]).success();
    }
    let left = || daemon.workers().len() == idle.len();
    until("all workers have gone", SOON, left).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_memory_is_bounded_as_it_is_measured_every_call_gets_its_turn_within_it() {
    require_backends!();
    measured_crowd(8, 4, soak_rounds(8)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes: `cargo xtask soak room`"]
async fn forty_models_in_memory_measured_for_ten_are_all_served() {
    require_backends!();
    measured_crowd(40, 10, soak_rounds(100)).await;
}

/// A model like `adds`, of inputs of any shape.
fn wide(number: u16) -> Vec<u8> {
    let content = [
        graph::node(&node::of(&["x", "number"], &["y"], "Add")),
        graph::name("wide"),
        graph::initializer(&tensor::floats("number", &[f32::from(number)])),
        graph::input(&value::of("x", FLOAT, None)),
        graph::output(&value::of("y", FLOAT, None)),
    ];
    model::of(&content.concat(), 17)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_memory_grows_beyond_its_bound_what_was_used_least_recently_rests() {
    const ELEMENTS: u32 = 16 << 20;
    require_backends!();
    let files = Files::new();
    let (own, shared) = of_one(&files).await;
    let max = shared + 4 * own;
    let limits = format!("models_memory_bytes_max = {max}");
    let daemon = Daemon::builder().with_limits(&limits).start();
    load(&daemon, "pinned", &files.adds(1), &["--pin"]).success();
    daemon.load("other", &files.adds(2));
    daemon.load("wide", &files.write("wide.onnx", wide(3)));
    assert_eq!(states(&daemon, "other"), ["ready"]);
    // Its input and its output are in the worker's memory too, 64 MiB each.
    let client = daemon.client();
    let values = vec![0; 4 * usize::try_from(ELEMENTS).unwrap()];
    let tensors: [Tensor<'_>; 1] = [("x", nn_tensor::DType::Fp32, &[ELEMENTS], &values)];
    let _held = compute(&client, "wide", &tensors, None).await.unwrap();
    let rests = || states(&daemon, "other") == ["absent"];
    until("it rests", SOON, rests).await;
    assert_eq!(states(&daemon, "pinned"), ["ready"]);
    assert!(daemon.log().contains("limits.models_memory_bytes_max"));
    until("there is room again", SOON, || {
        states(&daemon, "wide") == ["absent"]
    })
    .await;
    assert_eq!(meant(&daemon.client(), "other").await, Ok(2.0));
}

fn memory_is_as_the_kernel_says(daemon: &Daemon) {
    let files = Files::new();
    daemon.load("m1", &files.adds(1));
    let told = || daemon.json(&["describe", "m1"])["model"]["instances"][0].clone();
    let is_measured = || {
        let told = told();
        let pid = u32::try_from(told["pid"].as_u64().unwrap()).unwrap();
        let (own, shared) = measured(std::iter::once(pid));
        let bytes = told["memory_bytes"].as_u64().unwrap();
        // Another may have come, or gone, that has the same libraries.
        bytes.abs_diff(own + shared) < 2 * MIB
    };
    wait_until("it is measured", 2 * SOON, is_measured);
}

#[test]
fn what_a_worker_has_is_told_as_the_kernel_says() {
    require_backends!();
    memory_is_as_the_kernel_says(&Daemon::start());
}

#[test]
fn what_a_worker_has_is_told_by_a_daemon_without_rights_too() {
    require_backends!();
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: not root, so that every other test here shows it");
        return;
    }
    memory_is_as_the_kernel_says(&Daemon::builder().as_nobody().start());
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
