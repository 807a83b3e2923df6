//! ONNX's own tests through everything there is: operator, guest, host, daemon, jailed worker, framework, and back, on both
//! frameworks. What is known to miss is listed with its reason (`conformance/onnxruntime.toml`, `conformance/openvino.toml`): a case
//! that ends otherwise fails, and one that passes though it is listed does too. docs/conformance.md explains it.
#![expect(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test's helpers fail with it, and the long ones say how far they are"
)]

#[path = "conformance/archive.rs"]
mod archive;
#[path = "conformance/caller.rs"]
mod caller;
#[path = "conformance/case.rs"]
mod case;
#[path = "conformance/list.rs"]
mod list;
#[path = "conformance/numbers.rs"]
mod numbers;
#[path = "conformance/onnx.rs"]
mod onnx;
#[path = "conformance/report.rs"]
mod report;
#[path = "conformance/suite.rs"]
mod suite;
#[path = "conformance/wire.rs"]
mod wire;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use nn_tests::{Daemon, available, is_running, onnx_tests, openvino_library, runtime_library};

use case::{Case, Cases};
use report::Report;

/// How many of the cases that fit have to pass, whatever the lists say.
const ONNX_RUNTIME_MIN: usize = 1_340;
const OPENVINO_MIN: usize = 1_260;

/// All of ONNX 1.22, and those of them that wasi-nn has words for.
const ALL: usize = 1_914;
const FIT: usize = 1_503;

/// Of the cases that are like all others, one in so many is in the sample; of those with a scalar, one in so many.
const PLAIN_STEP: usize = 12;
const SCALAR_STEP: usize = 5;

/// Always in the sample: its output is its input, which OpenVINO hands out in place of what it was given to write to.
const PASSED_ON: &str = "node/test_einsum_scalar";

/// A framework under test.
#[derive(Clone, Copy)]
struct Framework {
    name: &'static str,
    library: fn() -> PathBuf,
    passes_min: usize,
}

const ONNX_RUNTIME: Framework = Framework {
    name: "onnxruntime",
    library: runtime_library,
    passes_min: ONNX_RUNTIME_MIN,
};

const OPENVINO: Framework = Framework {
    name: "openvino",
    library: openvino_library,
    passes_min: OPENVINO_MIN,
};

/// The cases; `None` where they, or a framework, were not fetched.
fn cases() -> Option<Cases> {
    if !(available() && openvino_library().is_file() && onnx_tests().is_file()) {
        assert!(
            std::env::var_os("NN_REQUIRE_BACKENDS").is_none(),
            "run `cargo xtask setup`"
        );
        return None;
    }
    let archive = std::fs::read(onnx_tests()).unwrap();
    Some(Cases::read(&archive).expect("tests as ONNX writes them"))
}

/// Versions rest to make room: no case needs more than its own worker. The largest network takes OpenVINO 1.5 GB.
fn daemon() -> Daemon {
    let builder = Daemon::builder().with_openvino();
    let limits = "workers_max = 4\nworker_memory_bytes = 3221225472";
    builder.with_limits(limits).start()
}

/// Every kind of edge, and some of all others.
fn sample(cases: &Cases) -> Vec<&Case> {
    let (mut scalars, mut plain) = (0, 0);
    let chosen = |case: &&Case| {
        if case.has_bf16() || case.has_nothing() || case.name == PASSED_ON {
            return true;
        }
        let (counter, step) = if case.has_scalar() {
            (&mut scalars, SCALAR_STEP)
        } else {
            (&mut plain, PLAIN_STEP)
        };
        *counter += 1;
        *counter % step == 0
    };
    cases.fit.iter().filter(chosen).collect()
}

#[test]
fn of_all_tests_of_onnx_those_fit_that_wasi_nn_has_words_for() {
    let Some(cases) = cases() else { return };
    let unfit: BTreeMap<_, usize> = cases
        .unfit
        .iter()
        .map(|(why, names)| (*why, names.len()))
        .collect();
    assert_eq!((cases.count(), cases.fit.len()), (ALL, FIT), "{unfit:?}");
}

#[test]
fn every_line_of_a_list_is_a_case_and_the_sample_has_every_kind() {
    let Some(cases) = cases() else { return };
    for framework in [ONNX_RUNTIME, OPENVINO] {
        let list = list::read(framework.name);
        let is_case = |name: &String| cases.fit.iter().any(|case| case.name == *name);
        let unknown: Vec<&String> = list.keys().filter(|name| !is_case(name)).collect();
        assert!(unknown.is_empty(), "{}: {unknown:?}", framework.name);
        let passes = FIT - list.len();
        assert!(
            passes >= framework.passes_min,
            "{}: {passes}",
            framework.name
        );
    }
    let sample = sample(&cases);
    let kinds: [fn(&Case) -> bool; 3] = [Case::has_bf16, Case::has_nothing, Case::has_scalar];
    let counts = kinds.map(|kind| sample.iter().filter(|case| kind(case)).count());
    assert!(
        sample.len() >= 200 && counts.iter().all(|&count| count >= 5),
        "{} {counts:?}",
        sample.len()
    );
}

#[test]
fn a_sample_ends_as_listed_on_onnx_runtime() {
    sample_ends_as_listed(ONNX_RUNTIME);
}

#[test]
fn a_sample_ends_as_listed_on_openvino() {
    sample_ends_as_listed(OPENVINO);
}

fn sample_ends_as_listed(framework: Framework) {
    let Some(cases) = cases() else { return };
    let daemon = daemon();
    let sample = sample(&cases);
    let seen = suite::run(&daemon, framework.name, &sample, 1);
    let report = Report::new(&sample, seen, &report::crashed(&daemon));
    let findings = report.against(&list::read(framework.name), &sample);
    assert!(
        findings.is_empty() && report.apart.is_empty(),
        "{findings:#?} {:#?}",
        report.apart
    );
    assert_lived_on(&daemon);
}

/// `like` gives its type and nothing else, and OpenVINO takes it for no input.
const LEFT_OUT: &str = "node/test_castlike_DOUBLE_to_FLOAT_expanded";

#[test]
fn a_model_of_which_openvino_leaves_out_an_input_is_refused_and_not_quarantined() {
    let Some(cases) = cases() else { return };
    let daemon = daemon();
    let case = cases.fit.iter().find(|case| case.name == LEFT_OUT).unwrap();
    // One load more than crashes put a model into quarantine.
    let seen = suite::run(&daemon, OPENVINO.name, &[case; 4], 1);
    let texts: Vec<String> = seen
        .into_iter()
        .filter_map(|seen| Some(seen.miss?.text))
        .collect();
    let explained =
        |text: &String| text.contains("than the model's file says") && text.contains("onnxruntime");
    assert!(
        texts.len() == 4 && texts.iter().all(explained),
        "{texts:#?}"
    );
}

/// The daemon is the one that was started.
fn assert_lived_on(daemon: &Daemon) {
    let starts = daemon
        .log()
        .lines()
        .filter(|line| line.contains("is ready"))
        .count();
    assert!(is_running(daemon.pid()) && starts == 1, "{starts} starts");
}

#[test]
#[ignore = "minutes: `cargo xtask conformance`"]
fn all_cases_end_as_listed_on_onnx_runtime() {
    all_end_as_listed(ONNX_RUNTIME);
}

#[test]
#[ignore = "minutes: `cargo xtask conformance`"]
fn all_cases_end_as_listed_on_openvino() {
    all_end_as_listed(OPENVINO);
}

/// `NN_CONFORMANCE_ONLY`: cases with this in their names. `NN_CONFORMANCE_WRITE`: the list becomes what is seen.
fn all_end_as_listed(framework: Framework) {
    let Some(cases) = cases() else { return };
    let only = std::env::var("NN_CONFORMANCE_ONLY").unwrap_or_default();
    let chosen: Vec<&Case> = cases
        .fit
        .iter()
        .filter(|case| case.name.contains(&only))
        .collect();
    let begun = Instant::now();
    let daemon = daemon();
    let seen = suite::run(&daemon, framework.name, &chosen, 2);
    let crashed = report::crashed(&daemon);
    let mut report = Report::new(&chosen, seen, &crashed);
    let library = (framework.library)();
    let passes_alone = report.ask_alone(|name| {
        let case = chosen.iter().find(|case| case.name == name).unwrap();
        suite::alone(framework.name, &library, case)
    });
    if std::env::var_os("NN_CONFORMANCE_WRITE").is_some() {
        list::write(framework.name, &report.list());
    }
    tell(framework, &cases, &report, chosen.len());
    println!(
        "{}: models whose workers crashed: {crashed:?}; ends of workers: {}; {:.0} s",
        framework.name,
        ends(&daemon),
        begun.elapsed().as_secs_f64()
    );
    let findings = report.against(&list::read(framework.name), &chosen);
    assert!(
        findings.is_empty() && report.apart.is_empty() && passes_alone.is_empty(),
        "{findings:#?}\ncore modules end otherwise: {:#?}\nthe framework alone passes: {passes_alone:#?}",
        report.apart
    );
    assert!(
        !only.is_empty() || report.passed >= framework.passes_min,
        "{} pass, of at least {}",
        report.passed,
        framework.passes_min
    );
    assert_lived_on(&daemon);
}

/// The totals.
fn tell(framework: Framework, cases: &Cases, report: &Report, run: usize) {
    let unfit: Vec<String> = cases
        .unfit
        .iter()
        .map(|(why, names)| format!("{why:?} {}", names.len()))
        .collect();
    println!(
        "\n{}: {} of {} tests fit wasi-nn (not: {}); of {run} that were run {} pass; {} miss: {}",
        framework.name,
        cases.fit.len(),
        cases.count(),
        unfit.join(", "),
        report.passed,
        report.misses.len(),
        report.by_reason()
    );
    println!(
        "{}: {} end alike as component and as core module; {} were not run as the latter: not loaded, or bf16",
        framework.name, report.alike, report.untold
    );
}

/// How many of its workers have ended, by cause.
fn ends(daemon: &Daemon) -> String {
    let status = daemon.status();
    let counts = status["worker_ends"].as_array().into_iter().flatten();
    let some = counts.filter(|count| count["count"] != 0);
    let words: Vec<String> = some
        .map(|count| {
            format!(
                "{} {}",
                count["cause"].as_str().unwrap_or("?"),
                count["count"]
            )
        })
        .collect();
    words.join(", ")
}
