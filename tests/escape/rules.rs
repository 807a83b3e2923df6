//! Each rule of the profile: what it allows reaches the kernel, anything else does not. The cases come from the
//! profile itself.

use nn_tests::{Jail, Jailer, User};

use crate::probe::{Outcome, SIGSYS, all_layers, attempt, in_parallel, jail, jail_of, own_jail};
use crate::profile::{Rule, rules, rules_of};

/// A call, and whether it is to get through.
struct Case {
    what: String,
    script: String,
    passes: bool,
}

fn case(rule: &Rule, args: [u64; 6], passes: bool) -> Case {
    let words = args.map(|word| word.to_string()).join(" ");
    Case {
        what: format!("{} {args:x?}", rule.name()),
        script: format!("call {} {words}", rule.number),
        passes,
    }
}

/// Each condition broken by itself, where no other rule of the same call allows that.
fn broken(rule: &Rule, all: &[Rule]) -> Vec<Case> {
    let mut cases = Vec::new();
    for condition in &rule.conditions {
        for value in condition.broken() {
            let mut args = rule.arguments();
            args[condition.index] = value;
            let other = |other: &Rule| other.number == rule.number && other.allows(args);
            if !all.iter().any(other) {
                cases.push(case(rule, args, false));
            }
        }
    }
    cases
}

#[test]
fn each_rule_lets_through_what_it_says_and_kills_the_rest() {
    lets_through_what_it_says(&rules(), &jail(&all_layers(User::Nobody)));
}

#[test]
fn each_rule_of_openvinos_worker_lets_through_what_it_says_and_kills_the_rest() {
    let profile = "worker-openvino";
    lets_through_what_it_says(&rules_of(profile), &jail_of(profile, User::Nobody));
}

#[test]
fn each_rule_of_a_relay_lets_through_what_it_says_and_kills_the_rest() {
    let profile = "relay";
    lets_through_what_it_says(&rules_of(profile), &jail_of(profile, User::Nobody));
}

#[test]
fn each_rule_of_the_broker_lets_through_what_it_says_and_kills_the_rest() {
    lets_through_what_it_says(&rules_of("broker"), &own_jail("broker", User::Nobody));
}

#[test]
fn each_rule_of_the_spawner_lets_through_what_it_says_and_kills_the_rest() {
    lets_through_what_it_says(&rules_of("spawner"), &own_jail("spawner", User::Nobody));
}

/// Leaves the others of its process alone, for ever: that it is allowed every thread that ends shows.
const ENDS_ONE_THREAD: &str = "exit";

/// Each rule, kept and broken.
fn lets_through_what_it_says(all: &[Rule], jail: &Jail) {
    let mut cases = Vec::new();
    for rule in all {
        if rule.syscall != ENDS_ONE_THREAD {
            cases.push(case(rule, rule.arguments(), true));
        }
        let broken = broken(rule, all);
        assert_eq!(
            broken.is_empty(),
            rule.conditions.is_empty(),
            "{}",
            rule.name()
        );
        cases.extend(broken);
    }
    let start = || Jailer::start("nn-probe", User::Nobody);
    let passed = in_parallel(&cases, start, |jailer, case| {
        attempt(jailer, jail, &case.script) != Outcome::Killed(SIGSYS)
    });
    let wrong = cases
        .iter()
        .zip(passed)
        .filter(|(case, passed)| case.passes != *passed);
    let wrong: Vec<&str> = wrong.map(|(case, _)| case.what.as_str()).collect();
    println!("{} rules, {} calls", all.len(), cases.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
}
