//! What a sealed worker holds, as the kernel lists it.

use std::fs;
use std::os::fd::AsFd;

use nn_shm::Segment;
use nn_tests::{Jail, Jailer, User, fake_model};
use nn_worker_wire::{FromWorker, Role, ToWorker};

use crate::probe::{all_layers, worker_ort};

/// The numbers, in order.
fn descriptors(pid: u32) -> Vec<u32> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    let mut numbers: Vec<u32> = entries.filter_map(|entry| number(entry.unwrap())).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn a_worker_holds_five_descriptors_sealed_loaded_and_serving() {
    if !User::all().contains(&User::Root) {
        println!(
            "skipped: only root may look at the descriptors of a process that is not dumpable"
        );
        return;
    }
    for user in User::all() {
        let mut jailer = Jailer::start("nn-worker-fake", user);
        let jailed = jailer
            .boot(&Jail::of(worker_ort(), &all_layers(user)))
            .ready();
        let sealed = descriptors(jailed.pid());
        jailed.model(&fs::read(fake_model("echo")).unwrap());
        assert!(matches!(
            jailed.hear(),
            Some(FromWorker::Loaded { result: Ok(_) })
        ));
        let loaded = descriptors(jailed.pid());
        let memory = Segment::create(4096).unwrap();
        let frame = ToWorker::Attach {
            arena: 1,
            segment: 0,
            bytes: 4096,
            role: Role::Output,
            shared: false,
        };
        jailed.tell(&frame, &[memory.as_fd()]);
        assert!(matches!(jailed.hear(), Some(FromWorker::Attached { .. })));
        let serving = descriptors(jailed.pid());
        assert_eq!(
            [sealed, loaded, serving],
            [const { [0, 1, 2, 3, 4] }; 3].map(Vec::from)
        );
    }
}

#[test]
fn a_worker_leaves_no_core_file() {
    let user = User::Nobody;
    let mut jailer = Jailer::start("nn-worker-fake", user);
    let jailed = jailer
        .boot(&Jail::of(worker_ort(), &all_layers(user)))
        .ready();
    let limits = fs::read_to_string(format!("/proc/{}/limits", jailed.pid())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let words: Vec<&str> = core.unwrap().split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"]);
}
