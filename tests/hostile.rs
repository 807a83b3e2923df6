//! Guests that mean harm: bad pointers, lengths, numbers and handles, too much of everything, ends at bad
//! moments. Each gets an errno or a trap of its own; the host lives, serves the next guest right, and holds
//! nothing of the last. `cargo xtask soak hostile` runs all of them a hundred times, in random order.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test's helpers fail with it, and say what they have seen"
)]

use std::time::{Duration, Instant};

use nn_client::Client;
use nn_host_shim::GuestLimits;
use nn_tests::{
    Daemon, Guest, GuestHost, ProcState, require_backends, soak_rounds, tiny_model, wait_until,
};

#[path = "hostile/deeds.rs"]
mod deeds;

use deeds::{COMPONENTS, Deed, MODULES, Outcome};

const SOON: Duration = Duration::from_secs(5);

/// What a guest may take, at most: a hung one fails its test.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much larger a process may be afterwards; allocators keep some of what they have had.
const GROWTH_KIB: u64 = 32 * 1024;

/// How often the host may grow by more: a thread that meets a hoarder for the first time has its allocator keep
/// what it had, once. A leak is there every time.
const GROWTHS: usize = 4;

/// What the host's process may take at its peak, whatever handles one guest hoards; tensors' bytes come on
/// top, up to the guest's ceiling.
const PEAK_KIB: u64 = 128 * 1024;

/// A daemon with the model that the guests know, and a host.
struct Scene {
    daemon: Daemon,
    client: Client,
    honest: Guest,
    host: GuestHost,
}

/// Marsaglia's xorshift64: an order that a printed seed brings back.
struct Random(u64);

/// What may not grow.
#[derive(Clone, Debug)]
struct Base {
    daemon: ProcState,
    workers: Vec<u32>,
    host: ProcState,
}

// === impl Random ===

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn shuffle<T>(&mut self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            things.swap(last, self.below(last + 1));
        }
    }
}

// === impl Scene ===

impl Scene {
    fn new() -> Self {
        // Segments that a deed needed go back soon, so that they can be told from a leak.
        let daemon = Daemon::builder().with_limits("idle_ms = 300").start();
        daemon.load("echo", &tiny_model("echo-f32"));
        let client = daemon.client();
        let host = GuestHost::new(&client);
        let honest = host.guest("wit-cases");
        Self {
            daemon,
            client,
            honest,
            host,
        }
    }

    fn compile(&self, deeds: &'static [Deed]) -> Vec<(&'static Deed, Guest)> {
        let compile = |deed: &'static Deed| (deed, self.host.guest_from_text(&deed.text()));
        deeds.iter().map(compile).collect()
    }

    /// Runs a deed, then an honest guest; says what was not as it should be.
    async fn judge(&self, deed: &Deed, guest: &Guest) -> Option<String> {
        let began = Instant::now();
        let ended = tokio::time::timeout(PATIENCE, guest.exit(&[])).await;
        let took = began.elapsed();
        let wrong = match (ended, deed.outcome) {
            (Err(_), _) => Some(format!("did not end within {PATIENCE:?}")),
            (Ok(Ok((_, 0))), Outcome::Survives) => None,
            (Ok(Ok((_, check))), _) => Some(format!("ended with {check}")),
            (Ok(Err(trap)), Outcome::Traps(reason)) if format!("{trap:?}").contains(reason) => None,
            (Ok(Err(trap)), outcome) => Some(format!("{trap:?} instead of {outcome:?}")),
        };
        if took > Duration::from_secs(2) {
            println!("{} took {took:?}", deed.name);
        }
        let wrong = wrong.or(self.dishonest().await);
        wrong.map(|wrong| format!("{}: {wrong}", deed.name))
    }

    /// What an honest guest is told, if it is not what it should be told.
    async fn dishonest(&self) -> Option<String> {
        let args = ["run", "echo", "1", "input=fp32:4:ramp"];
        match self.honest.run(&args).await {
            Ok((text, true)) if text.contains("0,1,2,3") => None,
            Ok((text, _)) => Some(format!("an honest guest got {text}")),
            Err(error) => Some(format!("an honest guest trapped: {error:?}")),
        }
    }

    fn base(&self) -> Base {
        Base {
            daemon: ProcState::of(self.daemon.pid()).unwrap(),
            workers: self.daemon.workers(),
            host: ProcState::of(std::process::id()).unwrap(),
        }
    }

    /// Nothing is held, and nothing has grown.
    fn assert_at_base(&self, before: &Base) {
        let now = self.assert_nothing_is_held(before);
        assert!(
            before.host_growth_kib(&now) < GROWTH_KIB,
            "the host has grown"
        );
    }

    /// Nothing is held; says what there is. How much memory the host has is the caller's to judge.
    fn assert_nothing_is_held(&self, before: &Base) -> Base {
        let held = || {
            let stats = self.client.stats();
            (stats.in_slots, stats.out_slots, stats.in_flight)
        };
        wait_until("all slots are free", SOON, || held() == (0, 0, 0));
        wait_until("segments have gone back", SOON, || {
            let now = self.base();
            now.daemon.fds <= before.daemon.fds && now.host.arena_maps <= before.host.arena_maps
        });
        let now = self.base();
        println!("before {before:?}\nafter  {now:?}");
        assert_eq!(now.workers, before.workers, "the model's worker is another");
        assert!(
            now.host.fds <= before.host.fds,
            "the host leaks descriptors"
        );
        let grown = now
            .daemon
            .anonymous_kib
            .saturating_sub(before.daemon.anonymous_kib);
        assert!(grown < GROWTH_KIB, "the daemon has grown");
        now
    }
}

// === impl Base ===

impl Base {
    fn host_growth_kib(&self, now: &Self) -> u64 {
        now.host
            .anonymous_kib
            .saturating_sub(self.host.anonymous_kib)
    }
}

/// The most that this process has ever had in memory, in KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|text| text.split_whitespace().next()?.parse().ok())
        .unwrap()
}

async fn all(deeds: &'static [Deed]) {
    let scene = Scene::new();
    let mut wrong = Vec::new();
    for (deed, guest) in &scene.compile(deeds) {
        wrong.extend(scene.judge(deed, guest).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_module_gets_an_errno_and_the_next_guest_the_right_answer() {
    require_backends!();
    all(MODULES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_component_gets_an_error_or_its_own_trap_and_the_next_guest_the_right_answer() {
    require_backends!();
    all(COMPONENTS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_guests_in_any_order_leave_everything_at_its_base() {
    require_backends!();
    let rounds = soak_rounds(1);
    let seed = u64::from(std::process::id()) | 1;
    println!("{rounds} rounds, seed {seed}");
    let scene = Scene::new();
    let mut guests = [scene.compile(MODULES), scene.compile(COMPONENTS)].concat();
    let mut random = Random(seed);
    // The first round makes all that is made once: sessions, segments, images of the modules' memories.
    let mut wrong = Vec::new();
    for (deed, guest) in &guests {
        wrong.extend(scene.judge(deed, guest).await);
    }
    let mut grew = Vec::new();
    while grew.len() < GROWTHS {
        let before = scene.base();
        for round in 0..rounds {
            if round % 10 == 0 {
                println!("{round} rounds: {:?}", scene.base().host);
            }
            random.shuffle(&mut guests);
            for (deed, guest) in &guests {
                wrong.extend(scene.judge(deed, guest).await);
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        let now = scene.assert_nothing_is_held(&before);
        grew.push(before.host_growth_kib(&now));
        if grew.last().is_some_and(|kib| *kib < GROWTH_KIB) {
            return;
        }
    }
    panic!("the host has grown each time: by {grew:?} KiB");
}

/// Runs the deeds of which a process could die, and prints what they took.
async fn hoard(scene: &Scene, hoards: impl Fn(&Deed) -> bool) -> u64 {
    let mut wrong = Vec::new();
    let deeds = MODULES.iter().chain(COMPONENTS);
    for deed in deeds.filter(|deed| hoards(deed)) {
        let before = peak_kib();
        let guest = scene.host.guest_from_text(&deed.text());
        wrong.extend(scene.judge(deed, &guest).await);
        let after = peak_kib();
        println!(
            "{}: the host's peak was {before} KiB, is {after}",
            deed.name
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    peak_kib()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_guest_hoards_in_the_host_is_bounded() {
    require_backends!();
    let scene = Scene::new();
    assert_eq!(scene.dishonest().await, None);
    let inputs = "many-bytes";

    let things = hoard(&scene, |deed| {
        deed.name.contains("many") && deed.name != inputs
    })
    .await;
    let bytes = hoard(&scene, |deed| deed.name == inputs).await;

    assert!(things < PEAK_KIB, "the host's peak was {things} KiB");
    let quota_kib = GuestLimits::default().tensor_bytes_max / 1024;
    assert!(
        bytes < PEAK_KIB + quota_kib,
        "the host's peak was {bytes} KiB"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_dropped_in_mid_compute_leaves_nothing_once_the_answer_is_there() {
    require_backends!();
    let scene = Scene::new();
    scene.daemon.load("slow", &tiny_model("slow-f32"));
    let slow = [
        "run",
        "slow",
        "1",
        "iterations=i64:scalar:100000",
        "value=fp32:1:1",
    ];
    assert_eq!(scene.dishonest().await, None);
    scene.honest.run(&slow).await.unwrap();
    let before = scene.base();

    let dropped = tokio::time::timeout(Duration::from_millis(100), scene.honest.run(&slow)).await;

    assert!(dropped.is_err(), "it ended before it could be dropped");
    assert_eq!(scene.dishonest().await, None);
    scene.assert_at_base(&before);
}
