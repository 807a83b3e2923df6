//! Restarts under load: clients and guests that compute without a pause, each call begun when the one before has
//! ended. Every failure is kept with its time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nn_client::Client;
use nn_tensor::{Code, Fault};
use nn_tests::{Daemon, Talking, require_backends, soak_rounds, wait_until};

use super::{SOON, daemon, restart, slow};

const CLIENTS: usize = 16;

/// Computes of each client between two restarts, at least.
const PROGRESS: u64 = 20;

/// A compute of each length in turn, in iterations of about 7 µs: some are always in flight.
const LENGTHS: [i64; 4] = [1, 10, 100, 2_000];

/// What all clients have done.
#[derive(Debug, Default)]
struct Load {
    stop: AtomicBool,
    /// Computes of each.
    done: [AtomicU64; CLIENTS],
    slowest_us: AtomicU64,
}

/// A call that failed.
#[derive(Debug)]
struct Failure {
    begun: Instant,
    ended: Instant,
    fault: Fault,
}

impl Load {
    fn counts(&self) -> Vec<u64> {
        let counts = self.done.iter();
        counts.map(|count| count.load(Ordering::Relaxed)).collect()
    }

    /// Waits until everybody has computed again so often.
    fn progress(&self) {
        let before = self.counts();
        wait_until("everybody computes", SOON, || {
            let now = self.counts();
            now.iter()
                .zip(&before)
                .all(|(now, before)| now - before >= PROGRESS)
        });
    }
}

/// Computes until it is stopped; every answer is looked at.
async fn keep_computing(client: Client, number: usize, load: Arc<Load>) -> Vec<Failure> {
    let mut failures = Vec::new();
    let mut round = number;
    while !load.stop.load(Ordering::Relaxed) {
        round += 1;
        let begun = Instant::now();
        let value = f32::from(u16::try_from(round % 1000).unwrap());
        let computed = async {
            // Every now and then by its name: that asks the daemon, or the cache.
            let graph = client.resolve("slow").await?;
            slow(&graph, LENGTHS[round % LENGTHS.len()], value).await
        };
        match computed.await {
            Ok(bytes) => assert_eq!(bytes, value.to_le_bytes(), "another's answer"),
            Err(fault) => failures.push(Failure {
                begun,
                ended: Instant::now(),
                fault,
            }),
        }
        let took = u64::try_from(begun.elapsed().as_micros()).unwrap();
        load.slowest_us.fetch_max(took, Ordering::Relaxed);
        load.done[number].fetch_add(1, Ordering::Relaxed);
    }
    failures
}

/// Every client computes while `disturb` is called so often, with everybody's progress before each and after the last.
#[expect(clippy::print_stdout, reason = "a test says what it measured")]
async fn under_load(
    daemon: &mut Daemon,
    rounds: u32,
    mut disturb: impl FnMut(&mut Daemon),
) -> Vec<Failure> {
    let load = Arc::new(Load::default());
    // Half of them share a session.
    let shared = daemon.client();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let client = if number % 2 == 0 {
                shared.clone()
            } else {
                daemon.client()
            };
            tokio::spawn(keep_computing(client, number, Arc::clone(&load)))
        })
        .collect();
    tokio::task::block_in_place(|| {
        for _ in 0..rounds {
            load.progress();
            disturb(daemon);
        }
        load.progress();
    });
    load.stop.store(true, Ordering::Relaxed);
    let mut failures = Vec::new();
    for client in clients {
        failures.extend(client.await.unwrap());
    }
    let slowest = Duration::from_micros(load.slowest_us.load(Ordering::Relaxed));
    println!(
        "{} computes by {CLIENTS} clients, {rounds} rounds, {} failed, the slowest took {slowest:?}",
        load.counts().iter().sum::<u64>(),
        failures.len(),
    );
    failures
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn restarts_under_load_with_kept_sockets_fail_no_call() {
    require_backends!();
    let mut daemon = daemon(Daemon::builder().with_kept_sockets());

    let failures = under_load(&mut daemon, soak_rounds(5), |daemon| {
        println!("a restart in {:?}", restart(daemon));
    });

    let failures = failures.await;
    assert!(failures.is_empty(), "{failures:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn restarts_under_load_without_kept_sockets_fail_no_call() {
    require_backends!();
    let mut daemon = daemon(Daemon::builder());

    let failures = under_load(&mut daemon, soak_rounds(3), |daemon| {
        println!("a restart in {:?}", restart(daemon));
    });

    let failures = failures.await;
    assert!(failures.is_empty(), "{failures:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn deaths_of_the_daemon_under_load_fail_only_what_was_in_flight() {
    require_backends!();
    let mut daemon = daemon(Daemon::builder().with_kept_sockets());
    let mut killed = Vec::new();

    let failures = under_load(&mut daemon, soak_rounds(3), |daemon| {
        let at = Instant::now();
        daemon.kill();
        killed.push((at, Instant::now()));
        daemon.restart();
    });

    let failures = failures.await;
    let lost = |failure: &Failure| {
        failure.fault.code == Code::RuntimeError && failure.fault.message.contains("was lost")
    };
    // A message that is on its way when the daemon dies is in flight; it is gone when the process is.
    let in_flight = |failure: &Failure| {
        let begun_before =
            |(at, gone): &(Instant, Instant)| failure.begun <= *gone && failure.ended >= *at;
        killed.iter().any(begun_before)
    };
    let untypical: Vec<_> = failures
        .iter()
        .filter(|failure| !lost(failure) || !in_flight(failure))
        .collect();
    assert!(untypical.is_empty(), "{untypical:#?}; killed at {killed:?}");
    assert!(failures.len() <= killed.len() * CLIENTS);
}

/// A guest that computes without a pause; gives every line that it was told, in the end.
fn keep_asking(
    mut guest: Talking,
    done: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
) -> JoinHandle<Vec<String>> {
    let asking = move || {
        let mut told = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            told.push(guest.ask("go").unwrap());
            done.fetch_add(1, Ordering::Relaxed);
        }
        told
    };
    std::thread::Builder::new()
        .name("guest".to_owned())
        .spawn(asking)
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guests_of_nn_host_notice_no_restart() {
    require_backends!();
    let mut daemon = daemon(Daemon::builder().with_kept_sockets());
    let stop = Arc::new(AtomicBool::new(false));
    let guests: Vec<_> = (0..4)
        .map(|_| {
            let done = Arc::new(AtomicU64::new(0));
            let inputs = ["iterations=i64:scalar:1000", "value=fp32:1:1.5"];
            let guest = Talking::hold(&daemon, "slow", &inputs).unwrap();
            let thread = keep_asking(guest, Arc::clone(&done), Arc::clone(&stop));
            (done, thread)
        })
        .collect();
    let progress = || {
        let counts = || guests.iter().map(|(done, _)| done.load(Ordering::Relaxed));
        let before: Vec<u64> = counts().collect();
        wait_until("every guest computes", SOON, || {
            counts()
                .zip(&before)
                .all(|(now, before)| now >= before + PROGRESS)
        });
    };

    for _ in 0..soak_rounds(3) {
        tokio::task::block_in_place(progress);
        println!("a restart in {:?}", restart(&mut daemon));
    }
    tokio::task::block_in_place(progress);
    stop.store(true, Ordering::Relaxed);

    let threads = guests.into_iter().map(|(_, thread)| thread);
    let told: Vec<String> = threads.flat_map(|thread| thread.join().unwrap()).collect();
    println!("{} computes of 4 guests", told.len());
    let failed: Vec<_> = told
        .iter()
        .filter(|line| !line.starts_with("ok "))
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
    assert!(told.iter().all(|line| *line == told[0]), "{:?}", told[0]);
}
