//! Loads and unloads, again and again, which leave nothing behind. `cargo xtask soak cycles --rounds 1000`.

use nn_tests::{Daemon, ProcState, children, nnctl, require_backends, soak_rounds, until};

use super::{Files, SOON, meant};

/// Names that are loaded in turn.
const NAMES: u32 = 4;

/// From so many rounds on memory is held to [`GROWTH_PERMILLE`]: before, what is kept of the past has not reached its
/// bounds.
const ROUNDS_OF_A_SOAK: u32 = 500;

/// Growth of the daemon's memory from one end of a soak to the other.
const GROWTH_PERMILLE: u64 = 20;

/// The same in a few rounds, in KiB.
const GROWTH_KIB: u64 = 4096;

/// What may pile up.
#[derive(Debug)]
struct Held {
    daemon_fds: usize,
    spawner_fds: usize,
    workers: usize,
    blobs: usize,
    incoming: usize,
}

impl Held {
    fn of(daemon: &Daemon) -> Self {
        let entries = |below: &str| {
            std::fs::read_dir(daemon.state_dir().join(below))
                .unwrap()
                .count()
        };
        let spawner = children(daemon.pid())[0];
        Self {
            daemon_fds: ProcState::of(daemon.pid()).unwrap().fds,
            spawner_fds: ProcState::of(spawner).unwrap().fds,
            workers: daemon.workers().len(),
            blobs: entries("blobs"),
            incoming: entries("incoming"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cycles_of_loads_and_unloads_leave_nothing_behind() {
    require_backends!();
    let (daemon, files) = (Daemon::start(), Files::new());
    daemon.load("base", &files.adds(1));
    let client = daemon.client();
    assert_eq!(meant(&client, "base").await, Ok(1.0));
    let rounds = soak_rounds(20);
    let mut fds = usize::MAX;
    let mut memory = Vec::new();
    for round in 0..rounds {
        let (name, number) = (
            format!("m{}", round % NAMES),
            u16::try_from(2 + round % 7).unwrap(),
        );
        let path = files.adds(number);
        tokio::task::block_in_place(|| daemon.load(&name, &path));
        assert_eq!(
            meant(&client, &name).await,
            Ok(f32::from(number)),
            "round {round}"
        );
        tokio::task::block_in_place(|| nnctl(&daemon, &["unload", &name]).success());
        until("its worker has gone", SOON, || daemon.workers().len() == 1).await;
        memory.push(ProcState::of(daemon.pid()).unwrap().anonymous_kib);
        let held = Held::of(&daemon);
        assert_eq!((held.blobs, held.incoming), (1, 0), "round {round}");
        fds = fds.min(held.daemon_fds + held.spawner_fds);
    }
    let held = || Held::of(&daemon);
    let is_base = || held().daemon_fds + held().spawner_fds <= fds && held().workers == 1;
    until("descriptors are as few as ever", SOON, is_base).await;
    let records = std::fs::read_dir(daemon.state_dir().join("models")).unwrap();
    assert_eq!(records.count(), usize::try_from(NAMES).unwrap() + 1);

    // Of each stretch the least: what is freed at once is not what stays. What is kept of the past fills up in the first half.
    let tenths: Vec<u64> = memory
        .chunks(memory.len().div_ceil(10))
        .filter_map(|tenth| tenth.iter().min().copied())
        .collect();
    let (before, after) = (tenths[tenths.len() / 2], *tenths.last().unwrap());
    println!("{rounds} rounds: {tenths:?} KiB; {:?}", held());
    let growth = if rounds >= ROUNDS_OF_A_SOAK {
        before * GROWTH_PERMILLE / 1000
    } else {
        GROWTH_KIB
    };
    assert!(
        after <= before + growth,
        "from {before} to {after} KiB: {tenths:?}"
    );
}
