//! No rule of the profile is there for nothing: without it, some honest life ends by SIGSYS.

use nn_tests::require_backends;
use nn_worker_wire::End;

use crate::honest::{layers, lives};
use crate::probe::{SIGSYS, worker_ort};
use crate::profile::{Rule, compile, rules};

/// Rules that no life here may need, and why they are there all the same.
const KEPT: [(&str, &str); 5] = [
    (
        "clock_gettime",
        "the C library asks the kernel where the clock cannot be read without it: hpet, acpi_pm, some virtual machines",
    ),
    (
        "sched_yield",
        "Abseil, which ONNX Runtime holds, calls it where two threads want one lock: chance, which no test has",
    ),
    (
        "clock_nanosleep",
        "and sleeps by it when that takes longer, as ONNX Runtime itself does",
    ),
    (
        "restart_syscall",
        "the kernel makes it of a timed wait that a stop has interrupted, and timed waits are chance",
    ),
    (
        "fcntl (F_GETFD)",
        "needed by builds with assertions alone, and a profile is the same for every build",
    ),
];

#[test]
fn honest_workers_live_as_they_should() {
    require_backends!();
    for life in lives() {
        let mut jailer = life.jailer();
        let ended = life.live(&mut jailer, worker_ort().filter, layers());
        println!("{}: {ended:?}", life.name);
        assert_eq!(ended.end, life.ends, "{}", life.name);
    }
}

#[test]
fn without_any_rule_some_honest_worker_dies() {
    require_backends!();
    let rules = rules();
    let mut left: Vec<&Rule> = rules.iter().collect();
    for life in lives() {
        let mut jailer = life.jailer();
        left.retain(|rule| {
            let others = rules.iter().filter(|other| other.written != rule.written);
            let ended = life.live(&mut jailer, &compile(others), layers());
            let needed = ended.end == End::Signal(SIGSYS);
            if needed {
                println!("{}: {}", rule.name(), life.name);
            }
            !needed
        });
    }
    let names = left.iter().map(|rule| rule.name());
    let unexplained: Vec<String> = names
        .filter(|name| {
            let kept = KEPT.iter().find(|(kept, _)| kept == name);
            kept.inspect(|(_, why)| println!("{name}: {why}")).is_none()
        })
        .collect();
    assert_eq!(unexplained, [""; 0]);
}
