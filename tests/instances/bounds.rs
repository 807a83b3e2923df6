//! Between the least and the most: more instances where calls wait, fewer where there is nothing to do, and never at
//! another model's cost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nn_tests::{Daemon, nnctl, require_backends, slow, tiny_model, until};
use tokio::task::JoinHandle;

use super::{SOON, load, load_as, serving};

/// About 15 ms.
const ITERATIONS: i64 = 2000;

/// Soon enough for a test.
const QUICK: &str = "instance_busy_ms = 100\ninstance_idle_ms = 400";

/// Clients that call without a pause until they are told to stop. No call may fail.
struct Load {
    is_over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn of(daemon: &Daemon, clients: usize) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let calls = (0..clients).map(|_| {
            let (client, is_over) = (daemon.client(), Arc::clone(&is_over));
            tokio::spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    slow(&client, ITERATIONS, None).await.unwrap();
                }
            })
        });
        Self {
            clients: calls.collect(),
            is_over,
        }
    }

    async fn end(self) {
        self.is_over.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_grows_while_calls_wait_and_shrinks_when_there_is_nothing_to_do() {
    require_backends!();
    let daemon = Daemon::builder().with_limits(QUICK).start();
    load(&daemon, "instances = { min = 1, max = 3 }\n");
    assert_eq!(serving(&daemon).len(), 1);
    let first = serving(&daemon);
    let calls = Load::of(&daemon, 8);
    let mut most = 0;
    until("three serve", SOON, || serving(&daemon).len() == 3).await;
    for _ in 0..20 {
        most = most.max(tokio::task::block_in_place(|| daemon.workers().len()));
    }
    assert_eq!(most, 3);
    calls.end().await;
    until("one is left", SOON, || serving(&daemon).len() == 1).await;
    until("the others' processes have gone", SOON, || {
        daemon.workers().len() == 1
    })
    .await;
    assert_eq!(serving(&daemon), first, "the oldest stays");
    slow(&daemon.client(), 10, None).await.unwrap();
    assert_eq!(daemon.ended("killed") + daemon.ended("other"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_caller_at_a_time_never_has_a_second_instance_started() {
    require_backends!();
    let daemon = Daemon::builder().with_limits(QUICK).start();
    load(&daemon, "instances = { max = 3 }\n");
    let client = daemon.client();
    for _ in 0..60 {
        slow(&client, ITERATIONS, None).await.unwrap();
    }
    assert!(!daemon.log().contains("one instance more"));
    assert_eq!(daemon.workers().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_takes_the_room_that_there_is_and_gives_it_to_whoever_loads() {
    require_backends!();
    let limits = format!("workers_max = 3\n{QUICK}");
    let daemon = Daemon::builder().with_limits(&limits).start();
    load(&daemon, "instances = { min = 1, max = 8 }\n");
    nnctl(&daemon, &["pin", "slow"]).success();
    let calls = Load::of(&daemon, 16);
    until("all room is taken", SOON, || serving(&daemon).len() == 3).await;
    // It goes on wanting, and gets no more.
    let begun = daemon.workers().len();
    assert_eq!(begun, 3);

    // `slow` is pinned, and computes all the time: it gives way by what it has beyond its least.
    load_as(
        &daemon,
        "other",
        &tiny_model("add-f32"),
        "description = \"of another\"\n",
    );
    let states = daemon.models();
    assert!(states.iter().all(|of| of["state"] == "ready"), "{states:?}");
    assert!(daemon.workers().len() <= 3);
    calls.end().await;
    assert_eq!(daemon.ended("killed") + daemon.ended("other"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_whose_least_has_no_room_serves_with_what_it_has() {
    require_backends!();
    let daemon = Daemon::builder().with_limits("workers_max = 1").start();
    load(&daemon, "instances = 2\n");
    slow(&daemon.client(), 10, None).await.unwrap();
    let list = nnctl(&daemon, &["list"]).ok().stdout;
    assert!(list.contains("1/2"), "{list}");
    assert_eq!(daemon.workers().len(), 1);
}
