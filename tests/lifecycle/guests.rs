//! Swaps under a constant load of guests of both interfaces: no call fails but those in flight on a worker that was
//! killed, and a graph answers with its own version's number for as long as it is held.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use nn_tests::{Daemon, Talking, kill, nnctl, require_backends, soak_rounds, wait_until};

use super::{Files, SOON};

/// Half of them components, half core modules.
const GUESTS: usize = 8;

/// The model of [`super::adds`], with one element of 0.
const USE: &str = "use foo x 1 4";

/// What a guest is told of a call whose worker was killed: a component in words, a core module by a number that its
/// library has these words for.
const KILLED: [&str; 2] = ["worker was killed", "Runtime Error"];

#[derive(Debug, Default)]
struct Load {
    stop: AtomicBool,
    /// Computes of each guest.
    done: [AtomicU64; GUESTS],
}

/// What one guest was told.
#[derive(Debug, Default)]
struct Told {
    /// By version: how many graphs it held of it.
    held: BTreeMap<u16, u64>,
    failures: Vec<String>,
}

/// What the guests' `check` prints of a version's answer: FNV-1a of the little-endian float.
fn print_of(version: u16) -> String {
    let print = f32::from(version)
        .to_le_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    format!("ok {print:016x}")
}

/// Looks the name up, computes with the graph that it got, and again. A core module cannot give a graph back, so it
/// ends after some, as one does that serves a request.
fn serve(
    mut start: impl FnMut() -> Talking,
    is_stateless: bool,
    number: usize,
    load: &Load,
    versions: &BTreeMap<String, u16>,
) -> Told {
    let mut told = Told::default();
    let mut guest = start();
    while !load.stop.load(Ordering::Relaxed) {
        let opened = guest.ask(USE).unwrap();
        if !opened.starts_with("ok ") {
            told.failures.push(opened);
            continue;
        }
        let mut held = None;
        for _ in 0..=number * 3 {
            let said = guest.ask("check").unwrap();
            let Some(&version) = versions.get(&said) else {
                told.failures.push(said);
                continue;
            };
            assert_eq!(
                *held.get_or_insert(version),
                version,
                "one graph, one version"
            );
            load.done[number].fetch_add(1, Ordering::Relaxed);
        }
        if let Some(version) = held {
            *told.held.entry(version).or_default() += 1;
        }
        if is_stateless {
            guest = start();
        }
    }
    told
}

fn begin(daemon: &Arc<Daemon>, number: usize, load: &Arc<Load>, last: u16) -> JoinHandle<Told> {
    let (daemon, load) = (Arc::clone(daemon), Arc::clone(load));
    let versions = (1..=last)
        .map(|version| (print_of(version), version))
        .collect();
    let is_core = number % 2 == 1;
    let program = if is_core { "bench-witx" } else { "bench-wit" };
    let start = move || Talking::start(&daemon, program, &[]).unwrap();
    std::thread::Builder::new()
        .name("guest".to_owned())
        .spawn(move || serve(start, is_core, number, &load, &versions))
        .unwrap()
}

/// Every guest has computed since.
fn until_all_go_on(load: &Load) {
    let counts = || load.done.iter().map(|done| done.load(Ordering::Relaxed));
    let before: Vec<u64> = counts().collect();
    wait_until("every guest computes", SOON * 3, || {
        counts().zip(&before).all(|(now, before)| now > before + 5)
    });
}

fn worker_of_the_current(daemon: &Daemon) -> Option<u32> {
    let described = daemon.json(&["describe", "foo"]);
    let pid = described["model"]["instances"][0]["pid"].as_u64()?;
    u32::try_from(pid).ok()
}

#[test]
fn guests_notice_no_swap_and_no_rollback_and_of_a_killed_worker_only_what_it_had() {
    require_backends!();
    let (daemon, files) = (Arc::new(Daemon::start()), Files::new());
    daemon.load("foo", &files.adds(1));
    let swaps = u16::try_from(soak_rounds(8)).unwrap();
    let load = Arc::new(Load::default());
    let guests: Vec<_> = (0..GUESTS)
        .map(|number| begin(&daemon, number, &load, swaps + 1))
        .collect();
    until_all_go_on(&load);

    let (mut rollbacks, mut kills) = (0_u64, 0_u64);
    for version in 2..=swaps + 1 {
        daemon.load("foo", &files.adds(version));
        until_all_go_on(&load);
        if version % 10 == 5 {
            nnctl(&daemon, &["rollback", "foo"]).success();
            rollbacks += 1;
            until_all_go_on(&load);
        }
        if version % 7 == 3
            && let Some(worker) = worker_of_the_current(&daemon)
        {
            kill(worker);
            kills += 1;
            until_all_go_on(&load);
        }
    }
    load.stop.store(true, Ordering::Relaxed);
    let told: Vec<Told> = guests
        .into_iter()
        .map(|guest| guest.join().unwrap())
        .collect();

    let computes: u64 = load
        .done
        .iter()
        .map(|done| done.load(Ordering::Relaxed))
        .sum();
    let graphs: u64 = told.iter().flat_map(|told| told.held.values()).sum();
    let failures: Vec<&String> = told.iter().flat_map(|told| &told.failures).collect();
    println!(
        "{swaps} swaps, {rollbacks} rollbacks, {kills} workers killed: {computes} computes with {graphs} graphs, {} on a \
         killed worker",
        failures.len()
    );
    assert!(rollbacks > 0 && kills > 0);
    let others: Vec<_> = failures
        .iter()
        .filter(|said| !KILLED.iter().any(|words| said.contains(words)))
        .collect();
    assert!(others.is_empty(), "{others:?}");
    // Each guest has one call at a time.
    let most = kills * u64::try_from(GUESTS).unwrap();
    assert!(
        u64::try_from(failures.len()).unwrap() <= most,
        "{failures:?}"
    );
    let last = told.iter().filter_map(|told| told.held.keys().next_back());
    assert_eq!(
        last.max(),
        Some(&(swaps + 1)),
        "the last version was reached"
    );
    wait_until("the old versions' processes have gone", SOON, || {
        daemon.workers().len() == 1
    });
}
