//! What is planned for our own processes.

use super::*;

fn broker() -> &'static OwnProfile {
    OwnProfile::named("broker").unwrap()
}

fn spawner() -> &'static OwnProfile {
    OwnProfile::named("spawner").unwrap()
}

fn distinct(calls: &[Call]) -> usize {
    let names: std::collections::BTreeSet<&str> = calls.iter().map(|call| call.name).collect();
    names.len()
}

fn ask() -> OwnAsk {
    let places = vec![("state_dir", vec!["/var/lib/x".into()])];
    OwnAsk {
        places,
        ..OwnAsk::default()
    }
}

#[test]
fn the_broker_has_at_most_60_calls() {
    let calls = distinct(broker().calls);
    assert!(calls <= 60, "{calls}");
}

/// Rules of these calls in a profile, by what they say of their arguments.
fn rules_of(profile: &'static OwnProfile, name: &str) -> Vec<&'static str> {
    let rules = profile.calls.iter().filter(|call| call.name == name);
    let conditions = rules.flat_map(|call| match call.conditions {
        [] => &[""],
        conditions => conditions,
    });
    conditions.copied().collect()
}

/// What other C libraries than the one at hand ask for after the jail: glibc 2.33 to 2.42.
#[test]
fn the_calls_of_older_and_newer_c_libraries_are_there() {
    // From 2.39 on `fstat` is a call of its own, which the loader, `opendir` and `fopen` make.
    assert_eq!(rules_of(broker(), "fstat"), [""]);
    assert_eq!(rules_of(spawner(), "fstat"), [""]);
    // Stacks have their guards by it from 2.42 on.
    let advice = rules_of(broker(), "madvise");
    assert!(advice.contains(&"MADV_GUARD_INSTALL") && advice.contains(&"MADV_GUARD_REMOVE"));
    assert_eq!(rules_of(spawner(), "madvise"), [""]);
    // By `GLIBC_TUNABLES`, from 2.35 and 2.39 on.
    assert!(advice.contains(&"MADV_HUGEPAGE"));
    assert!(rules_of(broker(), "prctl").contains(&"PR_SET_VMA"));
}

#[test]
fn the_broker_starts_traces_mounts_and_connects_nothing() {
    let forbidden = [
        "execve",
        "execveat",
        "fork",
        "vfork",
        "ptrace",
        "process_vm_readv",
        "process_vm_writev",
        "pidfd_open",
        "pidfd_getfd",
        "kill",
        "mount",
        "umount2",
        "pivot_root",
        "chroot",
        "unshare",
        "setns",
        "bpf",
        "perf_event_open",
        "io_uring_setup",
        "userfaultfd",
        "keyctl",
        "seccomp",
        "landlock_create_ruleset",
        "capset",
        "setuid",
        "setresuid",
        "connect",
        "bind",
        "listen",
        "mknodat",
        "symlinkat",
        "fchownat",
        "init_module",
        "name_to_handle_at",
        "personality",
    ];
    let calls = broker().calls.iter();
    let found: Vec<_> = calls
        .filter(|call| forbidden.contains(&call.name))
        .collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn the_spawner_has_no_way_to_a_network_or_into_other_processes() {
    let forbidden = [
        "socket",
        "connect",
        "bind",
        "listen",
        "accept4",
        "ptrace",
        "bpf",
        "process_vm_readv",
        "process_vm_writev",
        "pidfd_getfd",
        "perf_event_open",
        "keyctl",
        "io_uring_setup",
        "userfaultfd",
        "init_module",
        "finit_module",
        "kexec_load",
        "setns",
        "open_by_handle_at",
        "reboot",
        "swapon",
        "settimeofday",
        "personality",
    ];
    let calls = spawner().calls.iter();
    let found: Vec<_> = calls
        .filter(|call| forbidden.contains(&call.name))
        .collect();
    assert!(found.is_empty(), "{found:?}");
    // Both ends of a pair are its own: the runtime of relays makes one.
    assert_eq!(rules_of(spawner(), "socketpair"), ["AF_UNIX"]);
    // And what is sent goes to whom a socket is connected to already.
    let sends = rules_of(spawner(), "sendto");
    assert_eq!(
        sends,
        ["to nobody else than whom the socket is connected to"]
    );
}

#[test]
fn whatever_a_sealed_worker_may_call_the_spawner_may_too() {
    let spawner: Vec<&str> = spawner().calls.iter().map(|call| call.name).collect();
    let workers = PROFILES.iter().flat_map(|profile| profile.calls);
    let missing: Vec<&str> = workers
        .map(|call| call.name)
        .filter(|name| !spawner.contains(name))
        .collect();
    assert!(
        missing.is_empty(),
        "workers inherit its filter: {missing:?}"
    );
}

#[test]
fn everything_there_is_planned_in_the_order_that_works() {
    let steps = own_steps(broker(), &Layer::ALL, &ask());
    let place = |is: fn(&OwnStep) -> bool| steps.iter().position(is).unwrap();
    let order = [
        place(|step| *step == OwnStep::Allocator),
        place(|step| *step == OwnStep::NoNewPrivs),
        place(|step| matches!(step, OwnStep::Landlock { .. })),
        place(|step| *step == OwnStep::Capabilities(Vec::new())),
        place(|step| matches!(step, OwnStep::Answers(_))),
        place(|step| matches!(step, OwnStep::Seccomp(_))),
    ];
    assert!(order.is_sorted(), "{order:?}");
    assert_eq!(order.len(), steps.len());
}

#[test]
fn only_places_that_were_named_are_granted() {
    let granted = grants(broker(), &ask());
    let state = Grant {
        path: "/var/lib/x".into(),
        access: Access::Keep,
    };
    assert_eq!(granted, [state]);
}

#[test]
fn the_spawner_keeps_what_makes_namespaces_only_where_that_takes_privileges() {
    let kept = |privileged| {
        let ask = OwnAsk {
            privileged,
            ..OwnAsk::default()
        };
        own_steps(spawner(), &[], &ask)
    };
    let few = OwnStep::Capabilities(vec!["CAP_SETGID", "CAP_SETUID"]);
    assert_eq!(kept(false), [OwnStep::Allocator, few]);
    assert!(kept(true)[1].to_string().contains("CAP_SYS_ADMIN"));
}

#[test]
fn a_required_layer_that_is_missing_is_unmet() {
    let mut facts = Facts::default();
    facts.mark(Layer::Seccomp, "the kernel was built without it");
    facts.mark(Layer::Landlock, "not enabled");
    let plan = OwnPlan::new(broker(), &facts);
    let unmet: Vec<_> = plan.unmet().iter().map(|state| state.rule.layer).collect();
    assert_eq!(unmet, [Layer::Seccomp]);
    assert_eq!(plan.active(), [Layer::NoNewPrivs]);
}
