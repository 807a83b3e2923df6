//! A daemon that was taken over, by hand: whoever speaks to a jailed spawner, and to its workers, can say what they want.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use nn_worker_wire::{BUILD_ID, End, FromSpawner, ToSpawner, Workers, encode};

use crate::harness::{BUDGET, Spawner, THREADS, Worker, boot, library, program, workers};
use crate::{ECHO, status};

/// What a spawner ends with that refuses.
const REFUSED: Option<i32> = Some(76);

/// A spawner in its jail, told of these workers afterwards.
fn told_afterwards(workers: &Workers, library: &[u8]) -> (Option<i32>, String) {
    let spawner = Spawner::fake().in_jail();
    spawner.tell_workers(workers, &mut &*library);
    spawner.refused()
}

#[test]
fn workers_without_layers_are_refused_once_the_spawner_is_jailed() {
    let bare = Workers {
        layers: Vec::new(),
        ..workers()
    };
    let (status, said) = told_afterwards(&bare, b"no library");
    assert_eq!(status, REFUSED, "{said}");
    assert!(
        said.contains("with 0 layers") && said.contains("is fixed"),
        "{said}"
    );
}

#[test]
fn workers_without_a_filter_are_refused_once_the_spawner_is_jailed() {
    let open = Workers {
        filter: Vec::new(),
        ..workers()
    };
    let (status, said) = told_afterwards(&open, b"no library");
    assert_eq!(status, REFUSED, "{said}");
}

#[test]
fn a_library_of_somebody_elses_is_refused_once_the_spawner_is_jailed() {
    let foreign = Workers {
        library: "/tmp/foreign.so".into(),
        ..workers()
    };
    let (status, said) = told_afterwards(&foreign, b"\x7fELF foreign code");
    assert_eq!(status, REFUSED, "{said}");
    assert!(said.contains("/tmp/foreign.so"), "{said}");
}

#[test]
fn another_program_is_refused_once_the_spawner_is_jailed() {
    let spawner = Spawner::fake().in_jail();
    let file = File::open(program("nn-worker-fake")).unwrap();
    let frame = ToSpawner::Program { uid_first: 0 };
    spawner.tell(&frame, &[std::os::fd::AsFd::as_fd(&file)]);
    let (status, said) = spawner.refused();
    assert_eq!(status, REFUSED, "{said}");
    assert!(said.contains("Program again"), "{said}");
}

#[test]
fn a_second_jail_is_refused() {
    let spawner = Spawner::fake().in_jail();
    let frame = ToSpawner::Jail {
        layers: Vec::new(),
        privileged: true,
    };
    spawner.tell(&frame, &[]);
    let (status, said) = spawner.refused();
    assert_eq!(status, REFUSED, "{said}");
    assert!(said.contains("Jail again"), "{said}");
}

#[test]
fn a_larger_budget_than_was_said_gets_no_worker_and_the_next_one_is_started() {
    let why = refused_then_served(BUDGET + 1, THREADS);
    assert!(why.contains("expected at most 1073741824"), "{why}");
}

#[test]
fn more_threads_than_were_said_get_no_worker_and_the_next_one_is_started() {
    let why = refused_then_served(BUDGET, THREADS + 1);
    assert!(why.contains("2 threads; expected at most 1"), "{why}");
}

/// Why a jailed spawner starts no worker with so much; it starts the next one.
fn refused_then_served(data_bytes_max: u64, threads: u32) -> String {
    let spawner = Spawner::fake().in_jail();
    let (_control, theirs) = nn_shm::fds::pair().unwrap();
    let frame = ToSpawner::Spawn {
        worker: 1,
        backend: "onnxruntime".into(),
        data_bytes_max,
        threads,
    };
    let theirs = std::os::fd::AsFd::as_fd(&theirs);
    spawner.tell(&frame, &[theirs, theirs]);
    let FromSpawner::Spawned {
        worker: 1,
        result: Err(why),
    } = spawner.hear()
    else {
        panic!("a worker with more than was said");
    };
    Worker::ready(&spawner, 2, ECHO);
    why
}

#[test]
fn a_worker_of_a_jailed_spawner_is_jailed_whatever_it_is_told() {
    let spawner = Spawner::fake().in_jail();
    let worker = Worker::ready(&spawner, 1, ECHO);
    assert_eq!(status(worker.pid, "Seccomp_filters:"), "2");
    assert_eq!(status(worker.pid, "NoNewPrivs:"), "1");
    assert_eq!(status(worker.pid, "CapBnd:"), "0000000000000000");
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/mnt")).unwrap();
    assert_ne!(namespace(&worker.pid.to_string()), namespace("self"));
}

#[test]
fn a_boot_that_says_more_than_its_build_ends_the_worker() {
    let spawner = Spawner::fake().in_jail();
    let worker = spawner.spawn(1);
    let mut frame = encode(&boot(BUILD_ID)).unwrap();
    // As it was when layers and library came from the daemon.
    frame.extend(encode(&workers()).unwrap());
    worker.tell_bytes(&frame, &[]);
    assert_eq!(spawner.exited(), (1, End::Exit(76)));
    assert!(worker.close().contains("a frame of"));
}

#[test]
fn a_worker_that_is_not_jailed_as_was_said_is_killed_by_its_spawner_too() {
    let spawner = Spawner::start(&program("nn-worker-liar")).in_jail();
    let worker = spawner.spawn(1);
    assert_eq!(worker.boot(), "a lie");
    spawner.tell(&ToSpawner::Attest { worker: 1 }, &[]);
    let FromSpawner::Attested {
        worker: 1,
        result: Err(why),
    } = spawner.hear()
    else {
        panic!("the spawner vouches for a liar");
    };
    assert!(why.contains("is not jailed; expected "), "{why}");
    assert_eq!(spawner.exited(), (1, End::Signal(9)));
}

// === the library ===

#[test]
fn a_library_that_is_overwritten_or_removed_later_is_loaded_as_it_was() {
    let Some(library) = library() else { return };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("a-library-that-goes");
    fs::create_dir_all(&folder).unwrap();
    let folder = folder.canonicalize().unwrap();
    let copy = folder.join(library.file_name().unwrap());
    fs::copy(&library, &copy).unwrap();
    let spawner = Spawner::start(Path::new(env!("CARGO_BIN_EXE_nn-worker")));
    let spawner = spawner.with_library(&copy).in_jail();
    let version = |worker: Worker| worker.boot().split(' ').nth(2).map(str::to_owned);

    let mut file = File::options().write(true).open(&copy).unwrap();
    file.write_all(&[0; 4096]).unwrap();
    assert_eq!(version(spawner.spawn(1)).as_deref(), Some("1.28.0"));
    fs::remove_file(&copy).unwrap();
    assert_eq!(version(spawner.spawn(2)).as_deref(), Some("1.28.0"));
    fs::remove_dir(&folder).unwrap();
}
