//! Every attempt against every combination of layers: which wall stops what, and that together they stop all.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nn_sandbox::{Layer, Profile};
use nn_tests::{Jail, Jailer, User, wait_until};
use nn_worker_wire::End;

use crate::attempts::{Attempt, Scene, uncounted};
use crate::probe::{Outcome, SIGSYS, all_layers, attempt, in_parallel, jail};

/// The combinations, each with its name.
const COLUMNS: [&str; 5] = ["none", "namespaces", "Landlock", "seccomp", "all"];

/// How many attempts must work where nothing stops them, or what is tried would not be worth trying.
const BARE_MIN: usize = 40;

fn layers(column: &str, all: &[Layer]) -> Vec<Layer> {
    let wanted = |layer: &Layer| match column {
        "namespaces" => layer.namespace().is_some(),
        // Neither can be had without.
        "Landlock" => matches!(layer, Layer::Landlock | Layer::NoNewPrivs),
        "seccomp" => matches!(layer, Layer::Seccomp | Layer::NoNewPrivs),
        "all" => true,
        _ => false,
    };
    all.iter().copied().filter(wanted).collect()
}

/// What came of each attempt, in the order of the columns.
fn outcomes(user: User, attempts: &[Attempt]) -> Vec<[Outcome; 5]> {
    let all = all_layers(user);
    let jails = COLUMNS.map(|column| jail(&layers(column, &all)));
    let start = || Jailer::start("nn-probe", user);
    in_parallel(attempts, start, |jailer, what| {
        jails
            .each_ref()
            .map(|jail| attempt(jailer, jail, &what.script))
    })
}

fn table(attempts: &[Attempt], outcomes: &[[Outcome; 5]]) -> String {
    let mut text = format!(
        "| | attempt | {} |\n|---|---|{}\n",
        COLUMNS.join(" | "),
        "---|".repeat(5)
    );
    for (attempt, outcomes) in attempts.iter().zip(outcomes) {
        let cells = outcomes.each_ref().map(ToString::to_string).join(" | ");
        let _ = writeln!(text, "| {} | {} | {cells} |", attempt.row, attempt.what);
    }
    let counts = counts(outcomes).map(|count| count.to_string()).join(" | ");
    let _ = writeln!(text, "| | **allowed, of {}** | {counts} |", attempts.len());
    text
}

/// How many attempts worked, by column.
fn counts(outcomes: &[[Outcome; 5]]) -> [usize; 5] {
    let mut counts = [0; 5];
    for row in outcomes {
        for (count, outcome) in counts.iter_mut().zip(row) {
            *count += usize::from(*outcome == Outcome::Allowed);
        }
    }
    counts
}

/// Leaves the table beside what else is built: docs quote it.
fn keep(user: User, table: &str) {
    let own = std::env::current_exe().expect("a running test has a path");
    let target = own.ancestors().nth(3).map(Path::to_owned).expect("target/");
    let folder = target.join("nn");
    let name = match user {
        User::Root => "escape-matrix-root.md",
        User::Nobody => "escape-matrix.md",
    };
    // Not where the tests run as somebody who did not build them.
    let kept = fs::create_dir_all(&folder).and_then(|()| fs::write(folder.join(name), table));
    if let Err(error) = kept {
        println!("the table is not kept: {error}");
    }
}

fn nothing_gets_out(user: User) {
    let began = Instant::now();
    let jailer = Jailer::start("nn-probe", user);
    let scene = Scene::new(&jailer);
    let attempts = scene.attempts();
    let outcomes = outcomes(user, &attempts);
    let table = table(&attempts, &outcomes);
    println!("as {user:?}, in {:?}\n{table}", began.elapsed());
    keep(user, &table);
    let [bare, _, _, seccomp, all] = counts(&outcomes);
    assert_eq!((seccomp, all), (0, 0), "something got out");
    assert!(bare >= BARE_MIN, "only {bare} attempts are real");
    let otherwise = attempts
        .iter()
        .zip(&outcomes)
        .filter(|(attempt, [_, _, _, seccomp, all])| {
            !attempt.is_stopped(seccomp) || !attempt.is_stopped(all)
        });
    let otherwise: Vec<_> = otherwise.collect();
    assert!(otherwise.is_empty(), "{otherwise:#?}");
}

#[test]
fn nothing_gets_out_of_roots_workers() {
    if User::all().contains(&User::Root) {
        nothing_gets_out(User::Root);
    }
}

#[test]
fn nothing_gets_out_of_an_unprivileged_users_workers() {
    nothing_gets_out(User::Nobody);
}

/// What ends otherwise in a worker of OpenVINO than in one of ONNX Runtime, with all layers: how, and why that is no way out.
const OPENVINO: [(&str, &str, &str); 19] = [
    (
        "list /, opened as a directory only",
        "EACCES",
        "it may list directories; Landlock has only those of its root's binds",
    ),
    ("list /etc, likewise", "ENOENT", "its root has none"),
    (
        "list /sys, likewise",
        "EACCES",
        "Landlock has only what lies below the binds",
    ),
    (
        "list /sys/devices/system/cpu, likewise",
        "**allowed**",
        "names of processors, which its scheduler reads: a bind of its profile",
    ),
    (
        "stat /etc/passwd",
        "ENOENT",
        "it may look at entries; its root has none",
    ),
    (
        "stat /",
        "**allowed**",
        "the size and times of its own root",
    ),
    (
        "clone3 (a process)",
        "ENOSYS",
        "answered in the kernel's place, and not made",
    ),
    ("clone3(CLONE_NEWUSER)", "ENOSYS", "likewise"),
    (
        "mprotect to execute",
        "**allowed**",
        "the one relaxation: kernels that it compiles, in memory of its own process",
    ),
    (
        "mprotect the model to execute",
        "**allowed**",
        "likewise; it is code in no other process, and what it may call is filtered as before",
    ),
    (
        "sched_setaffinity",
        "**allowed**",
        "its own threads, on the processors that it has",
    ),
    (
        "sched_setaffinity of a neighbour",
        "ESRCH",
        "in its namespace there is nobody else",
    ),
    (
        "make the model's mapping writable",
        "EACCES",
        "it may change its memory's protection; a sealed file's copy stays as it is",
    ),
    ("madvise", "**allowed**", "its own memory goes back"),
    ("mbind", "**allowed**", "where its own memory lies"),
    (
        "sched_getaffinity of a neighbour",
        "ESRCH",
        "in its namespace there is nobody else",
    ),
    (
        "fcntl(F_GETFL) of the control socket",
        "**allowed**",
        "how it was opened, which it knows",
    ),
    ("set_robust_list", "**allowed**", "a thread's own"),
    ("rseq", "EINVAL", "a thread's own; it has one"),
];

/// What the relaxations of OpenVINO's profile let through is its own memory, its own threads, and names in its own root.
#[test]
fn what_ends_otherwise_in_openvinos_workers_is_known_and_is_no_way_out() {
    let user = User::Nobody;
    let profile = Profile::named("worker-openvino").unwrap();
    let attempts = Scene::new(&Jailer::start("nn-probe", user)).attempts();
    let jail = Jail {
        profile: profile.name,
        filter: profile.filter.to_vec(),
        ..jail(&all_layers(user))
    };
    let start = || Jailer::start("nn-probe", user);
    let outcomes = in_parallel(&attempts, start, |jailer, what| {
        attempt(jailer, &jail, &what.script)
    });
    let (mut text, mut found) = (String::new(), Vec::new());
    for (attempt, outcome) in attempts.iter().zip(&outcomes) {
        if attempt.is_stopped(outcome) {
            continue;
        }
        let known = OPENVINO.iter().find(|known| known.0 == attempt.what);
        let why = known.map_or("unknown", |known| known.2);
        let _ = writeln!(
            text,
            "| {} | {} | {outcome} | {why} |",
            attempt.row, attempt.what
        );
        found.push((attempt.what, outcome.to_string()));
    }
    println!("{text}");
    let known = OPENVINO.map(|(what, outcome, _)| (what, outcome.to_owned()));
    assert_eq!(found, known);
}

#[test]
fn nothing_gets_out_by_a_second_thread() {
    let user = User::Nobody;
    let jailer = Jailer::start("nn-probe", user);
    let scene = Scene::new(&jailer);
    let attempts = scene.attempts();
    let jail = jail(&all_layers(user));
    let start = || Jailer::start("nn-probe", user);
    let outcomes = in_parallel(&attempts, start, |jailer, what| {
        attempt(jailer, &jail, &format!("@thread {}", what.script))
    });
    let otherwise = attempts
        .iter()
        .zip(&outcomes)
        .filter(|(attempt, outcome)| !attempt.is_stopped(outcome));
    let otherwise: Vec<_> = otherwise.collect();
    assert!(otherwise.is_empty(), "{otherwise:#?}");
}

/// A limit of these walls, kept here so that whoever closes it finds it: then this moves to the attempts.
#[test]
fn one_way_to_more_memory_than_the_budget_is_known() {
    let user = User::Nobody;
    let jail = jail(&all_layers(user));
    let mut jailer = Jailer::start("nn-probe", user);
    let [stack, tables] = uncounted().map(|(_, script)| attempt(&mut jailer, &jail, &script));
    assert_eq!(stack, Outcome::Allowed);
    // Memory that is only read would cost tables alone; it cannot be had without a descriptor.
    assert_eq!(tables, Outcome::Killed(SIGSYS));
}

#[test]
fn a_worker_that_hears_no_signal_is_killed_all_the_same() {
    let user = User::Nobody;
    let mut jailer = Jailer::start("nn-probe", user);
    let jailed = jailer.boot(&jail(&all_layers(user))).ready();
    jailed.model(b"nn-probe: hang;");
    let status = format!("/proc/{}/status", jailed.pid());
    // All but SIGKILL and SIGSTOP, which nobody can block.
    wait_until("it blocks its signals", Duration::from_secs(20), || {
        let status = fs::read_to_string(&status).unwrap_or_default();
        status.contains("SigBlk:\tfffffffffffbfeff") || status.contains("SigBlk:\tfffffffe7ffbfeff")
    });
    let began = Instant::now();
    assert_eq!(jailed.kill().end, End::Signal(9));
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
}
