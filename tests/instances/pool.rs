//! Several workers of one model: each computes, and what happens to one of them is not the others' end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nn_client::{Client, Graph};
use nn_tensor::{Code, DType, Fault, Tenant};
use nn_tests::{
    Daemon, compute_of, fake_model, kill, nnctl, require_backends, slow, tiny_model, until,
    wait_until,
};
use tokio::task::JoinHandle;

use super::{SOON, load, load_as, serving};

/// How many jobs a worker has at a time (`limits.worker_window`).
const WINDOW: u64 = 4;

/// About 15 ms.
const ITERATIONS: i64 = 2000;

const THREE: &str = "instances = 3\nthreads = 1\n";

/// What clients that call without a pause have seen.
#[derive(Debug, Default)]
struct Seen {
    is_over: AtomicBool,
    ok: AtomicU64,
    crashed: AtomicU64,
}

/// So many clients that call until it is over. Other errors than that of a worker that has gone end the test.
fn crowd(daemon: &Daemon, clients: usize, seen: &Arc<Seen>) -> Vec<JoinHandle<()>> {
    let call = |client: Client, seen: Arc<Seen>| async move {
        while !seen.is_over.load(Ordering::Relaxed) {
            match slow(&client, ITERATIONS, None).await {
                Ok(_) => &seen.ok,
                Err(fault) if fault.code == Code::BackendCrashed => &seen.crashed,
                Err(fault) => panic!("{fault}"),
            }
            .fetch_add(1, Ordering::Relaxed);
        }
    };
    (0..clients)
        .map(|_| tokio::spawn(call(daemon.client(), Arc::clone(seen))))
        .collect()
}

async fn over(seen: &Seen, clients: Vec<JoinHandle<()>>) {
    seen.is_over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
}

/// What a process has taken of the processors, in the kernel's ticks.
fn ticks(pid: u64) -> u64 {
    nn_tests::cpu_ticks(u32::try_from(pid).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_instances_compute_and_one_that_is_killed_fails_only_what_it_had() {
    require_backends!();
    let daemon = Daemon::start();
    load(&daemon, THREE);
    until("three serve", SOON, || serving(&daemon).len() == 3).await;
    let before = serving(&daemon);
    let seen = Arc::new(Seen::default());
    let clients = crowd(&daemon, 12, &seen);
    let (pids, idle) = (before.clone(), before.clone().into_iter().map(ticks));
    let idle: Vec<u64> = idle.collect();
    until("each of them computes", SOON, || {
        let all = pids.iter().zip(&idle);
        all.clone().all(|(pid, idle)| ticks(*pid) > idle + 5)
    })
    .await;

    let killed = before[1];
    kill(u32::try_from(killed).unwrap());
    let at = seen.ok.load(Ordering::Relaxed);
    until("a third is back", SOON, || {
        let now = serving(&daemon);
        now.len() == 3 && !now.contains(&killed)
    })
    .await;
    over(&seen, clients).await;
    let (ok, crashed) = (
        seen.ok.load(Ordering::Relaxed),
        seen.crashed.load(Ordering::Relaxed),
    );
    assert!(ok > at + 12, "the others went on: {ok} after {at}");
    assert!((1..=WINDOW).contains(&crashed), "{crashed} of {ok}");
    let after = serving(&daemon);
    assert_eq!((after[0], after[2]), (before[0], before[2]));
    let restarts: Vec<_> = daemon.instances();
    let restarts: Vec<_> = restarts.iter().map(|of| of["restarts"].as_u64()).collect();
    assert_eq!(restarts, [Some(0), Some(1), Some(0)]);
    let states = daemon.models();
    assert_eq!(states[0]["state"], "ready");
    assert_eq!(daemon.ended("killed"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_one_serves_the_model_is_ready_and_its_last_end_makes_it_restart() {
    require_backends!();
    let daemon = Daemon::builder().with_worker("nn-worker-fake").start();
    load_as(&daemon, "echo", &fake_model("echo"), "instances = 2\n");
    until("both serve", SOON, || serving(&daemon).len() == 2).await;
    let first = serving(&daemon);
    for pid in first.clone() {
        kill(u32::try_from(pid).unwrap());
    }
    until("both are others", SOON, || {
        let now = serving(&daemon);
        now.len() == 2 && now.iter().all(|pid| !first.contains(pid))
    })
    .await;
    let events = nnctl(&daemon, &["--json", "events"]).ok().stdout;
    let told = |what: &str| events.lines().filter(|line| line.contains(what)).count();
    assert_eq!(told("\"crashed\""), 2, "{events}");
    assert_eq!(told("ready → restarting"), 1, "{events}");
    assert_eq!(told("restarting → ready"), 1, "{events}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_and_an_unload_end_every_instance() {
    require_backends!();
    let daemon = Daemon::start();
    let base = daemon.workers().len();
    load(&daemon, THREE);
    until("three serve", SOON, || serving(&daemon).len() == 3).await;
    slow(&daemon.client(), 10, None).await.unwrap();
    let old = serving(&daemon);
    load(&daemon, "instances = 2\n");
    until(
        "the old ones have gone, and two new ones serve",
        SOON,
        || {
            let workers = daemon.workers();
            let lives = |pid: &u64| workers.contains(&u32::try_from(*pid).unwrap());
            workers.len() == base + 2 && !old.iter().any(lives)
        },
    )
    .await;
    nnctl(&daemon, &["unload", "slow"]).success();
    until("none is left", SOON, || daemon.workers().len() == base).await;
    assert_eq!(daemon.ended("killed") + daemon.ended("other"), 0);
}

#[test]
fn a_spare_takes_the_place_of_the_first_that_dies() {
    require_backends!();
    let daemon = Daemon::builder().with_worker("nn-worker-fake");
    let daemon = daemon.with_workers("warm_spare = true").start();
    load_as(&daemon, "echo", &fake_model("echo"), "instances = 2\n");
    let spare = || {
        let instances = daemon.instances();
        let spare = instances.iter().find(|of| of["spare"] == true)?;
        spare["pid"].as_u64()
    };
    wait_until("two serve and one waits", SOON, || {
        serving(&daemon).len() == 2 && spare().is_some()
    });
    let (before, waits) = (serving(&daemon), spare().unwrap());
    kill(u32::try_from(before[0]).unwrap());
    wait_until("it has taken over", SOON, || {
        serving(&daemon) == [waits, before[1]]
    });
    wait_until("another waits", SOON, || {
        spare().is_some_and(|pid| pid != waits)
    });
}

/// A compute that takes so long, whatever it hears.
async fn deaf(graph: &Graph, ms: i64, timeout: Option<Duration>) -> Result<(), Fault> {
    let ms = ms.to_le_bytes();
    let tensors = [("ms", DType::I64, [].as_slice(), ms.as_slice())];
    compute_of(graph, &tensors, timeout).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_does_not_listen_gets_no_call_while_another_lives() {
    require_backends!();
    const LONG: Duration = Duration::from_secs(8);
    let daemon = Daemon::builder().with_worker("nn-worker-fake");
    let daemon = daemon.with_limits("compute_ms_max = 8000").start();
    load_as(&daemon, "deaf", &fake_model("deaf"), "instances = 2\n");
    until("both serve", SOON, || serving(&daemon).len() == 2).await;
    let graph = daemon.client().resolve("deaf").await.unwrap();
    let began = Instant::now();
    // Cancelled, it may take until its deadline, and its worker with it.
    let stuck = daemon.client();
    let stuck = tokio::spawn(async move {
        let graph = stuck.resolve("deaf").await.unwrap();
        deaf(&graph, 60_000, None).await
    });
    until("one has it", SOON, || daemon.in_flight() == 1).await;
    stuck.abort();
    // As long as nobody can say that it does not listen.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let calls: Vec<_> = (0..3 * WINDOW)
        .map(|_| {
            let graph = Arc::clone(&graph);
            tokio::spawn(async move { deaf(&graph, 50, None).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert!(began.elapsed() < LONG, "nothing waited for it");
    assert_eq!(daemon.in_flight(), 1, "it still does not listen");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_tenant_has_as_many_instances_of_its_own() {
    require_backends!();
    let daemon = Daemon::builder().with_worker("nn-worker-fake");
    let daemon = daemon.with_workers("isolation = \"tenant\"").start();
    load_as(&daemon, "echo", &fake_model("echo"), "instances = 2\n");
    let client = |tenant: &str| Client::new(daemon.socket(), tenant.parse::<Tenant>().unwrap());
    let (one, other) = (client("one"), client("other"));
    let bytes = 2.5_f32.to_le_bytes();
    let x = [("x", DType::Fp32, [1_u32].as_slice(), bytes.as_slice())];
    for client in [&one, &other] {
        let graph = client.resolve("echo").await.unwrap();
        compute_of(&graph, &x, None).await.unwrap();
    }
    until("each has two", SOON, || {
        let instances = daemon.instances();
        let of = |tenant: &str| {
            let theirs = instances.iter().filter(|of| of["tenant"] == tenant);
            theirs.filter(|of| of["pid"].as_u64() > Some(0)).count()
        };
        (of("one"), of("other")) == (2, 2)
    })
    .await;
    assert_eq!(daemon.workers().len(), 4);
    nnctl(&daemon, &["unload", "echo"]).success();
    until("none is left", SOON, || daemon.workers().is_empty()).await;
}

#[test]
fn a_tree_made_for_triton_has_the_instances_that_it_says() {
    require_backends!();
    let tree = tempfile::tempdir().unwrap();
    let dir = tree.path().join("slow");
    std::fs::create_dir_all(dir.join("1")).unwrap();
    std::fs::copy(tiny_model("slow-f32"), dir.join("1/model.onnx")).unwrap();
    let config = "backend: \"onnxruntime\"\ninstance_group [ { count: 2 kind: KIND_CPU }, { kind: KIND_GPU } ]\n";
    std::fs::write(dir.join("config.pbtxt"), config).unwrap();
    let daemon = Daemon::builder().with_repository(tree.path()).start();
    nnctl(&daemon, &["pin", "slow"]).success();
    wait_until("two serve", SOON, || serving(&daemon).len() == 2);
    let log = daemon.log();
    let told = "without effect here: instance_group of KIND_GPU";
    assert!(log.contains(told), "{log}");
}

/// Calls a second of eight clients.
async fn throughput(instances: u32) -> u64 {
    const TIME: Duration = Duration::from_secs(3);
    let daemon = Daemon::start();
    load(&daemon, &format!("instances = {instances}\nthreads = 1\n"));
    let count = usize::try_from(instances).unwrap();
    until("all serve", SOON, || serving(&daemon).len() == count).await;
    let seen = Arc::new(Seen::default());
    let clients = crowd(&daemon, 8, &seen);
    let before = seen.ok.load(Ordering::Relaxed);
    tokio::time::sleep(TIME).await;
    let calls = seen.ok.load(Ordering::Relaxed) - before;
    over(&seen, clients).await;
    calls / TIME.as_secs()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: --run-ignored only --no-capture"]
async fn throughput_of_one_instance_and_of_two() {
    require_backends!();
    for round in 1..=3 {
        let (one, two) = (throughput(1).await, throughput(2).await);
        println!("round {round}: {one} calls a second by one instance, {two} by two");
    }
}
