//! Swaps under load: guests that compute without a pause while versions come and go, workers are killed, models rest and
//! are loaded again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use nn_client::Client;
use nn_tensor::{Code, Fault};
use nn_tests::{Daemon, kill, nnctl, require_backends, soak_rounds, wait_until};

use super::{Files, SOON, asked, events, load, meant, states};

const GUESTS: usize = 8;

/// What all guests have seen.
#[derive(Debug, Default)]
struct Seen {
    stop: AtomicBool,
    computes: AtomicU64,
    /// Failures of calls in flight on a worker that was killed.
    killed: AtomicU64,
}

/// Resolves the name, holds the graph for some computes, and drops it; each answer is that of the version it holds.
async fn serve(client: Client, number: usize, seen: Arc<Seen>) -> Vec<Fault> {
    let mut failures = Vec::new();
    while !seen.stop.load(Ordering::Relaxed) {
        let graph = match client.resolve("foo").await {
            Ok(graph) => graph,
            Err(fault) => {
                failures.push(fault);
                continue;
            }
        };
        for _ in 0..=number * 3 {
            match asked(&graph).await {
                Ok(number) => {
                    // Version v adds v.
                    let version = f64::from(graph.version().get());
                    assert!(
                        (f64::from(number) - version).abs() < f64::EPSILON,
                        "{number} of {version}"
                    );
                    seen.computes.fetch_add(1, Ordering::Relaxed);
                }
                Err(fault) if fault.code == Code::BackendCrashed => {
                    seen.killed.fetch_add(1, Ordering::Relaxed);
                }
                Err(fault) => failures.push(fault),
            }
        }
    }
    failures
}

fn workers_of(daemon: &Daemon) -> BTreeMap<u64, u32> {
    let models = daemon.models();
    let pid = |model: &serde_json::Value| {
        let pid = model["instances"][0]["pid"].as_u64()?;
        Some((model["version"].as_u64()?, u32::try_from(pid).ok()?))
    };
    models.iter().filter_map(pid).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swaps_rollbacks_and_killed_workers_fail_no_call_but_those_on_a_killed_worker() {
    require_backends!();
    let (daemon, files) = (Daemon::start(), Files::new());
    daemon.load("foo", &files.adds(1));
    let rounds = u16::try_from(soak_rounds(10)).unwrap();
    let seen = Arc::new(Seen::default());
    let guests: Vec<_> = (0..GUESTS)
        .map(|number| tokio::spawn(serve(daemon.client(), number, Arc::clone(&seen))))
        .collect();
    tokio::task::block_in_place(|| {
        let mut kills = 0_u64;
        for version in 2..=rounds + 1 {
            daemon.load("foo", &files.adds(version));
            if version % 10 == 0 {
                nnctl(&daemon, &["rollback", "foo"]).success();
            }
            if version % 7 == 0 {
                let workers = workers_of(&daemon);
                let current = daemon.json(&["describe", "foo"])["model"]["version"].as_u64();
                if let Some(&worker) = current.and_then(|current| workers.get(&current)) {
                    kill(worker);
                    kills += 1;
                }
            }
            let before = seen.computes.load(Ordering::Relaxed);
            wait_until("everybody goes on", SOON, || {
                seen.computes.load(Ordering::Relaxed) > before + 50
            });
        }
        println!("{rounds} swaps, {kills} workers killed");
    });
    seen.stop.store(true, Ordering::Relaxed);
    for guest in guests {
        assert_eq!(guest.await.unwrap(), []);
    }
    let killed = seen.killed.load(Ordering::Relaxed);
    println!(
        "{} computes, {killed} on killed workers",
        seen.computes.load(Ordering::Relaxed)
    );
    // A worker has at most so many at a time.
    assert!(killed <= u64::from(rounds / 7 + 1) * 4, "{killed}");
    tokio::task::block_in_place(|| {
        wait_until("the old versions' processes have gone", SOON, || {
            daemon.workers().len() <= 2
        });
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_version_serves_who_holds_it_and_its_process_goes_with_the_last_graph() {
    require_backends!();
    let (daemon, files) = (Daemon::start(), Files::new());
    daemon.load("foo", &files.adds(1));
    let client = daemon.client();
    let held = client.resolve("foo").await.unwrap();
    daemon.load("foo", &files.adds(2));
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(
        states(&daemon, "foo"),
        ["ready", "ready"],
        "somebody holds the old one"
    );
    assert_eq!(asked(&held).await, Ok(1.0));

    drop(held);
    tokio::task::block_in_place(|| {
        wait_until("the old one rests", SOON, || {
            states(&daemon, "foo") == ["absent", "ready"]
        });
        wait_until("its process is gone", SOON, || daemon.workers().len() == 1);
    });
    assert_eq!(
        meant(&client, "foo@1").await,
        Ok(1.0),
        "it is loaded again at its next use"
    );
    let told = events(&daemon, "state");
    let details: Vec<&str> = told
        .iter()
        .map(|event| event["detail"].as_str().unwrap())
        .collect();
    assert!(details.contains(&"ready → absent"), "{details:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_is_not_used_rests_and_its_next_use_does_not_notice() {
    require_backends!();
    let (daemon, files) = (Daemon::start(), Files::new());
    let manifest = files.write("model.toml", "keep_alive_ms = 300\n");
    let words = ["--manifest", manifest.to_str().unwrap()];
    load(&daemon, "foo", &files.adds(1), &words).success();
    let client = daemon.client();
    let held = client.resolve("foo").await.unwrap();
    for _ in 0..3 {
        assert_eq!(asked(&held).await, Ok(1.0));
        tokio::task::block_in_place(|| {
            wait_until("it rests", SOON, || daemon.workers().is_empty());
        });
    }
    assert_eq!(asked(&held).await, Ok(1.0));

    nnctl(&daemon, &["pin", "foo"]).success();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(
        states(&daemon, "foo"),
        ["ready"],
        "a pinned one does not rest"
    );
    nnctl(&daemon, &["unpin", "foo"]).success();
    tokio::task::block_in_place(|| {
        wait_until("it rests again", SOON, || daemon.workers().is_empty());
    });
}

/// Many models, room for few, asked as such things are asked: some often, most seldom.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_models_than_there_is_room_for_are_all_served_and_the_pinned_one_never_goes() {
    require_backends!();
    const MIB: u64 = 1 << 20;
    let models = u16::try_from(soak_rounds(12)).unwrap();
    let room = 4;
    let limits = format!(
        "worker_memory_bytes = {}\nworkers_memory_bytes_max = {}\n",
        256 * MIB,
        // Four times a small model comes to each.
        room * 256 * MIB + MIB,
    );
    let (daemon, files) = (Daemon::builder().with_limits(&limits).start(), Files::new());
    for number in 1..=models {
        let pin: &[&str] = if number == 1 { &["--pin"] } else { &[] };
        load(&daemon, &format!("m{number}"), &files.adds(number), pin).success();
    }
    let pinned = daemon.json(&["describe", "m1"])["model"]["instances"][0]["pid"].clone();
    let client = daemon.client();
    let mut random = 12345_u32;
    let mut most = 0;
    for turn in 0..u32::from(models) * 6 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // Zipf, roughly: half of the calls go to the first few.
        let number = 1 + skewed(random >> 16, u32::from(models));
        let answer = meant(&client, &format!("m{number}")).await;
        assert_eq!(answer, Ok(f32::from(number)), "turn {turn}");
        most = most.max(daemon.workers().len());
    }
    println!("{models} models, at most {most} workers at a time, room for {room}");
    assert!(most <= usize::try_from(room).unwrap(), "{most}");
    let now = daemon.json(&["describe", "m1"])["model"]["instances"][0]["pid"].clone();
    assert_eq!(now, pinned);
}

/// A number below `below` of 16 random bits, the small ones far more often.
pub(super) fn skewed(random: u32, below: u32) -> u16 {
    let cubed = u64::from(random).pow(3) >> 32;
    u16::try_from((cubed * u64::from(below)) >> 16).unwrap()
}
