//! Every number that a system call could have: only those of the profile get past the filter.

use std::collections::BTreeMap;

use nix::libc::{ENXIO, SIGILL};
use nn_tests::{Jail, Jailer, User};

use crate::probe::{Outcome, SIGSYS, all_layers, attempt, in_parallel, jail, own_jail};
use crate::profile::{Rule, number, rules, rules_of};

/// Beyond the last that any kernel has so far.
const NUMBERS: std::ops::RangeInclusive<u64> = 0..=600;

/// `__X32_SYSCALL_BIT` of asm/unistd.h.
const X32: u64 = 0x4000_0000;

/// Some of the 32-bit entry: restart, exit, fork, read, write, open, close, execve, getpid, ptrace, kill, mmap,
/// socketcall, clone, mmap2, openat, socket, and the last ones.
const COMPAT: [u64; 19] = [
    0, 1, 2, 3, 4, 5, 6, 11, 20, 26, 37, 90, 102, 120, 192, 295, 359, 452, 600,
];

/// A system call that is tried.
#[derive(Debug)]
struct Call {
    number: u64,
    script: String,
    allowed: bool,
}

/// uretprobe and uprobe of x86_64, from Linux 6.11 and 6.18: the kernel itself makes programs call them, so it lets them
/// past every filter, and asks them where they were called from.
const UNFILTERED: [u64; 2] = [335, 336];

/// How a call ends that is not for the caller: by the filter, or by these two's own judgement.
fn is_stopped(number: u64, outcome: &Outcome) -> bool {
    let own = [Outcome::Killed(SIGILL), Outcome::Refused(ENXIO)];
    let unfiltered = cfg!(target_arch = "x86_64") && UNFILTERED.contains(&number);
    *outcome == Outcome::Killed(SIGSYS) || unfiltered && own.contains(outcome)
}

fn calls(rules: Vec<Rule>) -> Vec<Call> {
    let mut allowed: BTreeMap<u64, [u64; 6]> = BTreeMap::new();
    for rule in rules {
        allowed.insert(rule.number, rule.arguments());
    }
    let words = |args: [u64; 6]| args.map(|word| word.to_string()).join(" ");
    let mut calls = Vec::new();
    for number in NUMBERS {
        let args = allowed.get(&number).copied();
        let script = format!("call {number} {}", words(args.unwrap_or_default()));
        let allowed = args.is_some();
        calls.push(Call {
            number,
            script,
            allowed,
        });
    }
    if cfg!(target_arch = "x86_64") {
        let forbidden = |number, script| Call {
            number,
            script,
            allowed: false,
        };
        let x32 = NUMBERS.map(|number| number | X32);
        calls.extend(x32.map(|number| forbidden(number, format!("call {number} 0"))));
        calls.extend(COMPAT.map(|number| forbidden(number | X32, format!("int80 {number} 0"))));
    }
    calls
}

fn exactly_the_allow_list_survives(user: User) {
    exactly_these_survive(user, rules(), &jail(&all_layers(user)));
}

fn exactly_these_survive(user: User, rules: Vec<Rule>, jail: &Jail) {
    let mut calls = calls(rules);
    // One thread's end would leave the others waiting.
    calls.retain(|call| !call.allowed || call.number != number("exit"));
    let start = || Jailer::start("nn-probe", user);
    let outcomes = in_parallel(&calls, start, |jailer, call| {
        attempt(jailer, jail, &call.script)
    });
    let tried = calls.iter().zip(&outcomes);
    let wrong: Vec<_> = tried
        .filter(|(call, outcome)| call.allowed == is_stopped(call.number, outcome))
        .collect();
    println!("{} calls tried as {user:?}", calls.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn of_all_numbers_exactly_the_allow_list_survives_as_root() {
    if User::all().contains(&User::Root) {
        exactly_the_allow_list_survives(User::Root);
    }
}

#[test]
fn of_all_numbers_exactly_those_of_the_broker_survive() {
    let jail = own_jail("broker", User::Nobody);
    exactly_these_survive(User::Nobody, rules_of("broker"), &jail);
}

#[test]
fn of_all_numbers_exactly_those_of_the_spawner_survive() {
    let jail = own_jail("spawner", User::Nobody);
    exactly_these_survive(User::Nobody, rules_of("spawner"), &jail);
}

#[test]
fn of_all_numbers_exactly_the_allow_list_survives_without_privileges() {
    exactly_the_allow_list_survives(User::Nobody);
}
