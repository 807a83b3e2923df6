//! Programs and runtimes: of which version, of which build, where.

use super::scene::{finding, level, silent, well};
use crate::commands::doctor::facts::{Answer, Printed, Process};
use crate::commands::doctor::{Diagnosis, Facts, Level};

#[test]
fn programs_of_two_versions_are_a_problem() {
    let mut facts = well();
    facts.programs.daemon = Some(("/usr/bin/nn-daemon".into(), Ok("9.9.9".to_owned())));
    assert_eq!(level(&facts, "programs.daemon"), Level::Problem);
}

#[test]
fn a_worker_of_another_build_than_the_daemon_that_runs_is_a_problem() {
    let mut facts = well();
    facts.programs.worker = Some(("/w".into(), Ok("b2".to_owned())));
    let diagnosis = Diagnosis::of(&facts);
    let worker = finding(&diagnosis, "programs.worker");
    assert_eq!(worker.level, Level::Problem);
    assert!(
        worker.advice.contains("start the daemon again"),
        "{worker:?}"
    );
}

#[test]
fn relay_and_dialer_are_looked_at_where_there_are_engines() {
    let of = |build: Result<&str, &str>| {
        let mut facts = well();
        let build = build.map(str::to_owned).map_err(str::to_owned);
        facts.programs.relay = Some(("/r".into(), build.clone()));
        facts.programs.dialer = Some(("/d".into(), build));
        ["programs.relay", "programs.dialer"].map(|id| level(&facts, id))
    };
    assert_eq!(of(Ok("b1")), [Level::Ok; 2]);
    assert_eq!(of(Ok("b2")), [Level::Problem; 2]);
    assert_eq!(of(Err("No such file")), [Level::Problem; 2]);
    let nowhere = Diagnosis::of(&well());
    assert!(!format!("{nowhere:?}").contains("programs.relay"));
}

#[test]
fn a_daemon_whose_program_was_replaced_is_to_be_restarted() {
    let mut facts = well();
    facts.process = Some(Process {
        uid: Some(0),
        program: Some("/usr/bin/nn-daemon (deleted)".to_owned()),
        descriptors_max: Some(65_536),
    });
    assert_eq!(level(&facts, "programs.running"), Level::Warning);
}

#[test]
fn a_missing_runtime_is_a_problem_by_whoever_says_so() {
    let mut told = well();
    let Answer::Status(status) = &mut told.answer else {
        panic!("{told:?}");
    };
    status.runtimes[0].available = false;
    let mut printed = silent();
    printed.configuration.printed = Some(Ok(Printed::default()));
    let gone = Facts {
        library_there: Some(false),
        ..well()
    };
    let levels = [&told, &printed, &gone].map(|facts| level(facts, "runtimes.onnxruntime"));
    assert_eq!(levels, [Level::Problem; 3]);
}

#[test]
fn an_old_runtime_is_a_problem_and_a_newer_one_a_warning() {
    let with = |name: &str| {
        let mut facts = well();
        let Answer::Status(status) = &mut facts.answer else {
            panic!("{facts:?}");
        };
        status.runtimes[0].detail = format!("/elsewhere/{name}");
        level(&facts, "runtimes.onnxruntime")
    };
    let levels = [
        "libonnxruntime.so.1.27.9",
        "libonnxruntime.so.1.29.0",
        "libonnxruntime.so",
    ]
    .map(with);
    assert_eq!(levels, [Level::Problem, Level::Warning, Level::Unknown]);
}

#[test]
fn openvino_may_be_missing_and_an_old_one_is_a_problem() {
    const ID: &str = "runtimes.openvino";
    let with = |available: bool, detail: &str| {
        let mut facts = well();
        let Answer::Status(status) = &mut facts.answer else {
            panic!("{facts:?}");
        };
        status.runtimes.push(nn_proto::v1::RuntimeStatus {
            backend: "openvino".to_owned(),
            available,
            detail: detail.to_owned(),
            ..nn_proto::v1::RuntimeStatus::default()
        });
        level(&facts, ID)
    };
    assert_eq!(with(false, "not found in /x"), Level::Ok);
    let levels = [
        "libopenvino_c.so.2641",
        "libopenvino_c.so.2531",
        "libopenvino_c.so.2700",
    ];
    let levels = levels.map(|name| with(true, &format!("/elsewhere/{name}")));
    assert_eq!(levels, [Level::Ok, Level::Problem, Level::Warning]);
    assert_eq!(level(&well(), ID), Level::Unknown);
}
