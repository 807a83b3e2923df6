//! The report as a whole: what it counts, its text and its JSON.

use super::scene::{door, silent, well};
use crate::commands::doctor::facts::Knock;
use crate::commands::doctor::{Diagnosis, Facts, Level};
use crate::exit::Exit;
use crate::output::{Paint, Report as _};

#[test]
fn a_healthy_installation_has_no_problems_and_no_warnings() {
    let diagnosis = Diagnosis::of(&well());
    assert_eq!(
        (diagnosis.problems, diagnosis.warnings, diagnosis.exit()),
        (0, 0, Exit::Ok),
        "{diagnosis:?}"
    );
}

#[test]
fn every_id_is_given_once() {
    let diagnosis = Diagnosis::of(&well());
    let mut ids: Vec<&str> = diagnosis.checks.iter().map(|f| f.id.as_str()).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "{diagnosis:?}");
}

#[test]
fn every_problem_and_every_warning_comes_with_advice() {
    let mut facts = silent();
    facts.door = door(&Knock::Stale);
    facts.kernel.release = "4.19.0".to_owned();
    facts.kernel.cgroup_controllers = None;
    facts.configuration.printed = Some(Err("unknown field".to_owned()));
    let diagnosis = Diagnosis::of(&facts);
    let silent = diagnosis.checks.iter().find(|finding| {
        let matters = matches!(finding.level, Level::Problem | Level::Warning);
        matters == finding.advice.is_empty()
    });
    assert_eq!(silent, None);
    assert_eq!(diagnosis.exit(), Exit::Failed);
}

#[test]
fn text_says_first_how_bad_it_is_and_last_what_to_do() {
    let facts = Facts {
        memory_available: Some(1),
        ..well()
    };
    let text = Diagnosis::of(&facts).text(Paint::Plain);
    assert!(
        text.starts_with("no problems, 1 warning\n\nCHECK "),
        "{text}"
    );
    assert!(
        text.contains("\nlimits.memory           WARNING  "),
        "{text}"
    );
    assert!(
        text.contains("\n\nWHAT TO DO\nlimits.memory: lower "),
        "{text}"
    );
}

#[test]
fn json_has_an_id_and_a_level_for_each_and_advice_where_there_is_some() {
    let facts = Facts {
        door: door(&Knock::Stale),
        ..silent()
    };
    let json = serde_json::to_value(Diagnosis::of(&facts)).unwrap();
    let checks = json["checks"].as_array().unwrap();
    let grpc = checks.iter().find(|check| check["id"] == "sockets.grpc");
    let version = checks.iter().find(|check| check["id"] == "kernel.version");
    assert_eq!(grpc.unwrap()["level"], "problem");
    assert!(grpc.unwrap()["advice"].is_string());
    assert_eq!(version.unwrap().get("advice"), None);
    assert_eq!(json["warnings"], 0);
}
