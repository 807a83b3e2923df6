//! The explanation of a small profile, as text and as JSON, and which of the two sources it names.

use nn_sandbox::{Bind, Bound, Library};
use nn_tensor::Fault;

use super::*;
use crate::output::{Paint, Report};

/// One of each kind, so that no change of a real profile changes what is expected here.
static SMALL: Profile = Profile {
    name: "small",
    require: &[Layer::UserNs, Layer::MountNs, Layer::Seccomp],
    prefer: &[Layer::Landlock],
    threads_max: 8,
    threads_why: "Enough.",
    binds: &[Bind {
        path: "runtime",
        why: "The framework.",
    }],
    libraries: &[Library {
        name: "libm.so.6",
        why: "Mathematics.",
    }],
    limits: &[
        Bound {
            limit: Limit::Stack,
            max: Max::Fixed(8 << 20),
            why: "The usual.",
        },
        Bound {
            limit: Limit::Data,
            max: Max::Budget,
            why: "The memory limit.",
        },
        Bound {
            limit: Limit::Processes,
            max: Max::Threads(1),
            why: "No more threads.",
        },
    ],
    landlock_why: "One more wall.",
    seal_why: "Loading needs more.",
    calls: &[
        Call {
            name: "futex",
            why: "Locks.",
            conditions: &[],
        },
        Call {
            name: "tgkill",
            why: "abort().",
            conditions: &["itself", "SIGABRT"],
        },
    ],
    filter: &[1, 2, 3],
    answered: &[],
    answered_filter: &[],
};

fn layer(layer: Layer, need: &str, missing: Option<&str>) -> v1::ProtectionStatus {
    v1::ProtectionStatus {
        layer: layer.name().to_owned(),
        active: missing.is_none(),
        detail: missing.unwrap_or(layer.what()).to_owned(),
        need: need.to_owned(),
    }
}

/// Of a daemon that has all but what is said of these two.
fn answer(seccomp: Option<&str>, landlock: Option<&str>) -> v1::StatusResponse {
    let always = v1::ProtectionStatus {
        layer: "process".to_owned(),
        active: true,
        need: "always".to_owned(),
        ..v1::ProtectionStatus::default()
    };
    v1::StatusResponse {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: 9,
        isolation: vec![
            always,
            layer(Layer::UserNs, "require", None),
            layer(Layer::MountNs, "require", None),
            layer(Layer::Landlock, "prefer", landlock),
            layer(Layer::Seccomp, "require", seccomp),
        ],
        sandbox_profile: "small".to_owned(),
        ..v1::StatusResponse::default()
    }
}

fn whats(explanation: &Explanation, stage: steps::Stage) -> Vec<&str> {
    let steps = explanation.steps.iter();
    let steps = steps.filter(|step| step.stage == stage);
    steps.map(|step| step.what.as_str()).collect()
}

#[test]
fn what_the_daemon_found_is_told_from_the_layers_to_the_calls() {
    let explanation = told(&SMALL, answer(None, Some("too old; without it, less")));
    assert_eq!(
        explanation.text(Paint::Plain),
        "\
profile      small
layers       as nn-daemon pid 9 found them
threads      at most 8. Enough.

LAYER     NEED     STATE    WHAT IT DOES, OR WHY IT IS MISSING
userns    require  active   its own user namespace; capabilities count for nothing outside
mntns     require  active   its own read-only root: the framework's libraries and nothing else
landlock  prefer   MISSING  too old; without it, less
seccomp   require  active   a short list of system calls; any other one kills it

STAGE        HOW A WORKER COMES UP, IN THIS ORDER
birth        a new process in new namespaces: user, mnt
jail         the C library's allocator keeps to one arena
jail         its root is an empty tmpfs with the entries below and the sealed library, all read-only; on the way, it becomes uid and gid 65534, with no other groups
jail         rlimit stack = 8.0 MiB
jail         rlimit data = worker_memory_bytes + 4 x model
jail         no capabilities, in any set, for good
jail         not dumpable: no core, no look at its memory
framework    its library is loaded from the spawner's sealed copy, its threads start, a tiny model runs once
seal         rlimit nproc = threads + 1
seal         no signal handlers for faults: a fault ends it
seal         seccomp: 3 BPF instructions, in every thread at once
attestation  the spawner reads in /proc, and the daemon judges as well, of every thread: no capabilities, a filter; and that the namespaces are not its own
model        arrives as sealed memory
why the seal so late: Loading needs more.
why Landlock too: One more wall.

IN ITS ROOT  KIND     WHY
runtime      path     The framework.
libm.so.6    library  Mathematics.

RLIMIT  MAX                              WHY
stack   8.0 MiB                          The usual.
data    worker_memory_bytes + 4 x model  The memory limit.
nproc   threads + 1                      No more threads.

SYSTEM CALL  ONLY IF              WHY
futex        -                    Locks.
tgkill       itself, and SIGABRT  abort().
any other call ends the worker (3 BPF instructions)
"
    );
}

#[test]
fn a_required_layer_that_the_daemon_does_without_is_told_first_and_its_list_is_not_in_force() {
    let text = told(&SMALL, answer(Some("off"), None)).text(Paint::Plain);
    let first = "DEGRADED: workers run without seccomp, which profile small requires\n\nprofile ";
    assert!(text.starts_with(first), "{text}");
    assert!(
        text.contains("\nNOT IN FORCE: seccomp is missing, and a worker may make any system call\nSYSTEM CALL "),
        "{text}"
    );
    assert!(!text.contains("seccomp: 3 BPF"), "{text}");
}

#[test]
fn without_a_daemon_namespaces_are_untried_and_the_rest_available() {
    let text = read(&SMALL, &Facts::default(), "no daemon answers at /s").text(Paint::Plain);
    let expected = "\
profile      small
layers       no daemon answers at /s: as this user finds them; namespaces were not tried
threads      at most 8. Enough.

LAYER     NEED     STATE      WHAT IT DOES, OR WHY IT IS MISSING
userns    require  untried    its own user namespace; capabilities count for nothing outside
mntns     require  untried    its own read-only root: the framework's libraries and nothing else
landlock  prefer   available  files only below its libraries; no TCP; no foreign signals or abstract sockets
seccomp   require  available  a short list of system calls; any other one kills it
";
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn without_a_daemon_a_required_layer_that_is_missing_is_told_first() {
    let mut facts = Facts::default();
    facts.mark(Layer::MountNs, "the kernel was built without it");
    let text = read(&SMALL, &facts, "no daemon").text(Paint::Plain);
    let first = "MISSING: mntns, which profile small requires; nn-daemon starts here with --allow-degraded only\n\n";
    assert!(text.starts_with(first), "{text}");
    let why =
        "mntns     require  MISSING    the kernel was built without it; without it, it could see";
    assert!(text.contains(why), "{text}");
    assert!(text.contains("\nNOT IN FORCE: mntns is missing"), "{text}");
}

#[test]
fn without_a_user_namespace_nobody_becomes_65534() {
    let mut facts = Facts::default();
    facts.mark(Layer::UserNs, "off");
    facts.mark(Layer::MountNs, "off");
    let explanation = read(&SMALL, &facts, "no daemon");
    let jail = whats(&explanation, steps::Stage::Jail);
    assert!(
        jail.iter()
            .any(|what| what.contains("uid and gid of its own")),
        "{jail:?}"
    );
    let birth = whats(&explanation, steps::Stage::Birth);
    assert_eq!(birth, ["a new process in the namespaces of the daemon"]);
}

#[test]
fn a_daemon_with_another_profile_does_not_answer_for_this_one() {
    let mut other = answer(None, None);
    other.sandbox_profile = "large".to_owned();
    let source = weigh(&SMALL, Path::new("/s"), Ok(other)).source;
    assert_eq!(source.kind, Kind::Machine);
    let note = "nn-daemon pid 9 has workers of profile large: as this user finds them; ";
    assert!(source.text.starts_with(note), "{source:?}");
}

#[test]
fn a_daemon_answers_for_the_profile_of_each_runtime_that_it_has() {
    let of = |available| {
        let mut other = answer(None, None);
        other.sandbox_profile = "large".to_owned();
        other.runtimes.push(v1::RuntimeStatus {
            available,
            profile: "small".to_owned(),
            ..v1::RuntimeStatus::default()
        });
        weigh(&SMALL, Path::new("/s"), Ok(other)).source.kind
    };
    assert_eq!((of(true), of(false)), (Kind::Daemon, Kind::Machine));
}

#[test]
fn a_daemon_of_another_version_is_told_apart() {
    let mut other = answer(None, None);
    other.version = "9.9.9".to_owned();
    let source = told(&SMALL, other).source;
    assert!(source.text.contains("it is of version 9.9.9"), "{source:?}");
}

#[test]
fn a_layer_that_this_build_does_not_know_is_told_in_the_daemons_words() {
    let mut newer = answer(None, None);
    newer.isolation.push(v1::ProtectionStatus {
        layer: "cgroup3".to_owned(),
        active: false,
        detail: "not delegated".to_owned(),
        need: "require".to_owned(),
    });
    let explanation = told(&SMALL, newer);
    assert_eq!(explanation.unmet, ["cgroup3"]);
    assert!(
        explanation
            .text(Paint::Plain)
            .contains("cgroup3   require  MISSING  not delegated\n")
    );
}

#[test]
fn who_is_no_operator_is_told_so() {
    let refused = Failure::from(Fault::new(nn_tensor::Code::Security, "not for this peer"));
    let broken = Failure::from(Fault::runtime("it broke"));
    let socket = Path::new("/s");
    assert_eq!(
        excuse(socket, &refused),
        "the daemon at /s does not tell this user"
    );
    assert_eq!(
        excuse(socket, &broken),
        "the daemon at /s does not tell (it broke)"
    );
}

#[test]
fn json_has_the_documented_shape() {
    let explanation = told(&SMALL, answer(Some("off"), None));
    let json = serde_json::to_value(explanation).unwrap();
    assert_eq!(json["source"]["kind"], "daemon");
    assert_eq!(json["source"]["pid"], 9);
    assert_eq!(json["unmet"], serde_json::json!(["seccomp"]));
    assert_eq!(json["layers"][3]["state"], "missing");
    assert_eq!(json["steps"][0]["stage"], "birth");
    assert_eq!(json["root"]["entries"][1]["kind"], "library");
    assert_eq!(
        json["limits"][0],
        serde_json::json!({
            "limit": "stack", "of": "fixed", "max": 8 << 20, "unit": "bytes", "why": "The usual."
        })
    );
    assert!(json["limits"][1]["max"].is_null());
    assert_eq!(json["system_calls"]["in_force"], false);
    assert_eq!(
        json["system_calls"]["allowed"][1]["conditions"],
        serde_json::json!(["itself", "SIGABRT"])
    );
    assert_eq!(json["system_calls"]["bpf_instructions"], 3);
}

#[test]
fn every_part_of_every_profile_of_this_build_is_told() {
    let untold: Vec<&str> = Profile::all()
        .iter()
        .flat_map(|profile| {
            let text = read(profile, &Facts::default(), "no daemon").text(Paint::Plain);
            let calls = profile.calls.iter().flat_map(|call| [call.name, call.why]);
            let binds = profile.binds.iter().flat_map(|bind| [bind.path, bind.why]);
            let limits = profile.limits.iter().map(|bound| bound.why);
            let parts = calls.chain(binds).chain(limits);
            parts
                .filter(move |part| !text.contains(part))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(untold.is_empty(), "{untold:?}");
}

#[test]
fn an_unknown_profile_is_not_found_and_the_known_ones_are_named() {
    let failure = check("nosuch").unwrap_err();
    assert_eq!(failure.exit, Exit::NotFound);
    assert!(failure.fault.expected.contains("worker-ort"), "{failure:?}");
}
