//! Many guests at once: every answer right to the bit, nothing left behind, and a host that keeps
//! serving while inference waits. `NN_SOAK_SECONDS` sets how long.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail with it")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nn_tests::{
    Daemon, Guest, GuestHost, ProcState, Reference, model_file, require_backends, soak_seconds,
    tiny_model, wait_until,
};

const GUESTS: u32 = 64;
const KINDS: u32 = 8;
const TICK: Duration = Duration::from_millis(1);

/// Measures how late a 1 ms timer is on this executor until told to stop; gives the median, the 99th
/// percentile and the maximum.
async fn lateness(stop: Arc<AtomicBool>) -> [Duration; 3] {
    let mut late = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let due = tokio::time::Instant::now() + TICK;
        tokio::time::sleep_until(due).await;
        late.push(due.elapsed());
    }
    late.sort_unstable();
    let at = |percent: usize| late[(late.len() - 1) * percent / 100];
    [at(50), at(99), at(100)]
}

async fn idle_lateness(time: Duration) -> [Duration; 3] {
    let stop = Arc::new(AtomicBool::new(false));
    let idle = tokio::spawn(lateness(Arc::clone(&stop)));
    tokio::time::sleep(time).await;
    stop.store(true, Ordering::Relaxed);
    idle.await.unwrap()
}

/// FNV-1a, 64 bits, as the guest prints it.
fn checksum(bytes: &[u8]) -> String {
    let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{:016x}", bytes.iter().fold(0xcbf2_9ce4_8422_2325, step))
}

fn value(kind: u32) -> f32 {
    f32::from(u16::try_from(kind).unwrap()) * 0.125 - 0.5
}

/// What `wit-cases run` is given for a guest of this kind.
fn input(kind: u32) -> String {
    format!("images=fp32:1x3x224x224:{}", value(kind))
}

/// What ONNX Runtime alone answers each kind.
fn expected() -> Arc<Vec<String>> {
    let mut reference = Reference::load(&model_file("efficientnet-lite0"));
    let image = |kind| vec![value(kind); 3 * 224 * 224];
    let answer = |kind| checksum(&reference.run_f32(&[1, 3, 224, 224], image(kind)));
    Arc::new((0..KINDS).map(answer).collect())
}

/// One guest after the other until the time is over; gives how many computes there were and what was
/// wrong.
async fn keep_asking(
    guest: Guest,
    kind: u32,
    expected: Arc<Vec<String>>,
    until: Instant,
) -> (u64, Vec<String>) {
    let (input, right) = (input(kind), &expected[usize::try_from(kind).unwrap()]);
    let (mut computes, mut wrong) = (0, Vec::new());
    while Instant::now() < until {
        let (printed, ok) = guest
            .run(&["run", "efficientnet-lite0", "2", &input])
            .await
            .unwrap();
        let is_right = |line: &str| line.split_whitespace().nth(4) == Some(right);
        if !ok || printed.lines().count() != 2 || !printed.lines().all(is_right) {
            wrong.push(printed);
        }
        computes += 2;
    }
    (computes, wrong)
}

/// The daemon, this process, and the workers.
fn states(daemon: &Daemon) -> Vec<ProcState> {
    let pids = [vec![daemon.pid(), std::process::id()], daemon.workers()].concat();
    pids.into_iter().filter_map(ProcState::of).collect()
}

/// Many guests need more segments than one alone. They stay for the session and are no leak: the daemon
/// holds a descriptor of each, the host and the worker a mapping.
fn assert_no_leak(before: &[ProcState], after: &[ProcState]) {
    let segments = after[1].arena_maps;
    assert!(
        after[0].fds <= before[0].fds + segments,
        "the daemon leaks descriptors"
    );
    assert!(
        after[1].fds <= before[1].fds + 2,
        "the host leaks descriptors"
    );
    let workers = after.iter().zip(before).skip(2);
    assert!(
        workers.clone().all(|(now, then)| now.fds <= then.fds),
        "a worker leaks descriptors"
    );
    let grown = |(now, then): (&ProcState, &ProcState)| {
        now.anonymous_kib.saturating_sub(then.anonymous_kib)
    };
    assert!(
        grown((&after[0], &before[0])) < 16 * 1024,
        "the daemon leaks memory"
    );
    assert!(
        workers.map(grown).all(|grown| grown < 16 * 1024),
        "a worker leaks memory"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_guests_all_get_the_right_bits_and_leave_nothing() {
    require_backends!();
    let daemon = Daemon::builder().with_real_models().start();
    let expected = expected();
    let client = daemon.client();
    let guest = GuestHost::new(&client).guest("wit-cases");
    // Everything that is made at first use is there before the books are opened.
    guest
        .run(&["run", "efficientnet-lite0", "2", &input(0)])
        .await
        .unwrap();
    let before = states(&daemon);
    let time = soak_seconds(3);
    let idle = idle_lateness(time.min(Duration::from_secs(5))).await;

    let stop = Arc::new(AtomicBool::new(false));
    let ticks = tokio::spawn(lateness(Arc::clone(&stop)));
    let until = Instant::now() + time;
    let ask = |number| keep_asking(guest.clone(), number % KINDS, Arc::clone(&expected), until);
    let guests: Vec<_> = (0..GUESTS)
        .map(|number| tokio::spawn(ask(number)))
        .collect();
    let (mut computes, mut wrong) = (0, Vec::new());
    for guest in guests {
        let (asked, failed) = guest.await.unwrap();
        computes += asked;
        wrong.extend(failed);
    }
    stop.store(true, Ordering::Relaxed);
    let busy = ticks.await.unwrap();
    let after = states(&daemon);
    println!("{GUESTS} guests, {computes} computes in {time:?}");
    println!("a 1 ms timer is late by p50, p99, max {busy:?}; idle {idle:?}");
    println!("daemon, host, workers: before {before:?}, after {after:?}");

    assert!(
        wrong.is_empty(),
        "{} wrong answers, the first: {}",
        wrong.len(),
        wrong[0]
    );
    let stats = client.stats();
    assert_eq!(
        (stats.in_slots, stats.out_slots, stats.in_flight),
        (0, 0, 0)
    );
    assert_no_leak(&before, &after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_come_and_go_leave_no_descriptor_and_no_memory() {
    require_backends!();
    let daemon = Daemon::start();
    daemon.load("echo", &tiny_model("identity-fp32"));
    let worker = daemon.workers()[0];
    let session = || async {
        let client = daemon.client();
        let guest = GuestHost::new(&client).guest("wit-cases");
        let run = ["run", "echo", "3", "input=fp32:100000:ramp"];
        guest.run(&run).await.unwrap();
    };
    let settled = |before: &[ProcState; 2]| {
        let now = [daemon.pid(), worker].map(|pid| ProcState::of(pid).unwrap());
        now.iter()
            .zip(before)
            .all(|(now, before)| now.fds <= before.fds && now.arena_maps <= before.arena_maps)
    };
    session().await;
    wait_until("the first session is gone", Duration::from_secs(2), || {
        ProcState::of(worker).is_some_and(|state| state.arena_maps == 0)
    });
    let before = [daemon.pid(), worker].map(|pid| ProcState::of(pid).unwrap());

    for _ in 0..20 {
        session().await;
    }

    wait_until("all is as it was", Duration::from_secs(2), || {
        settled(&before)
    });
    let after = ProcState::of(daemon.pid()).unwrap();
    let grown = after.anonymous_kib.saturating_sub(before[0].anonymous_kib);
    assert!(grown < 4096, "the daemon has grown by {grown} KiB");
}

#[tokio::test(flavor = "current_thread")]
async fn one_long_compute_does_not_hold_up_the_executor() {
    require_backends!();
    let daemon = Daemon::start();
    daemon.load("slow", &tiny_model("slow-f32"));
    let client = daemon.client();
    let guest = GuestHost::new(&client).guest("wit-cases");
    let stop = Arc::new(AtomicBool::new(false));
    let ticks = tokio::spawn(lateness(Arc::clone(&stop)));
    let began = Instant::now();

    let slow = [
        "run",
        "slow",
        "1",
        "iterations=i64:scalar:200000",
        "value=fp32:1:1",
    ];
    let (printed, ok) = guest.run(&slow).await.unwrap();

    let took = began.elapsed();
    stop.store(true, Ordering::Relaxed);
    let [_, p99, max] = ticks.await.unwrap();
    println!("a compute of {took:?}; a 1 ms timer was late by p99 {p99:?}, max {max:?}");
    assert!(ok, "{printed}");
    assert!(
        max < took / 2,
        "the executor stood still for {max:?} of {took:?}"
    );
}
