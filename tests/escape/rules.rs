//! Each rule of the profile: what it allows reaches the kernel, anything else does not. The cases come from the
//! profile itself.

use nn_tests::{Jailer, User};

use crate::probe::{Outcome, SIGSYS, all_layers, attempt, in_parallel, jail};
use crate::profile::{Rule, rules};

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
    let all = rules();
    let mut cases = Vec::new();
    for rule in &all {
        cases.push(case(rule, rule.arguments(), true));
        let broken = broken(rule, &all);
        assert_eq!(
            broken.is_empty(),
            rule.conditions.is_empty(),
            "{}",
            rule.name()
        );
        cases.extend(broken);
    }
    let jail = jail(&all_layers(User::Nobody));
    let start = || Jailer::start("nn-probe", User::Nobody);
    let passed = in_parallel(&cases, start, |jailer, case| {
        attempt(jailer, &jail, &case.script) != Outcome::Killed(SIGSYS)
    });
    let wrong = cases
        .iter()
        .zip(passed)
        .filter(|(case, passed)| case.passes != *passed);
    let wrong: Vec<&str> = wrong.map(|(case, _)| case.what.as_str()).collect();
    println!("{} rules, {} calls", all.len(), cases.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
}
