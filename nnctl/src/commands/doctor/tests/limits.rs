//! Room: on disk, in memory, in descriptors.

use std::collections::BTreeMap;

use super::scene::{level, named, silent, well};
use crate::commands::doctor::facts::{DirFound, Printed, Process, StateDir};
use crate::commands::doctor::{Facts, Level};

#[test]
fn a_full_disk_is_a_problem_and_a_filling_one_a_warning() {
    let with = |free_bytes| {
        let mut facts = well();
        facts.state_dir = Some(StateDir {
            path: "/s".into(),
            found: DirFound::Dir {
                owner: named(0, "root"),
                free_bytes,
            },
        });
        level(&facts, "state.space")
    };
    assert_eq!(
        [1 << 20, 1 << 29, 1 << 30].map(with),
        [Level::Problem, Level::Warning, Level::Ok]
    );
}

#[test]
fn a_state_directory_of_somebody_else_is_a_problem() {
    let mut facts = well();
    facts.process = Some(Process {
        uid: Some(990),
        program: None,
        descriptors_max: Some(65_536),
    });
    assert_eq!(level(&facts, "state.directory"), Level::Problem);
}

#[test]
fn few_descriptors_are_a_warning() {
    let mut facts = well();
    facts.process = Some(Process {
        uid: Some(0),
        program: None,
        descriptors_max: Some(1024),
    });
    assert_eq!(level(&facts, "limits.descriptors"), Level::Warning);
}

#[test]
fn limits_beyond_the_memory_that_there_is_are_a_warning() {
    let facts = Facts {
        memory_available: Some(1 << 30),
        ..well()
    };
    assert_eq!(level(&facts, "limits.memory"), Level::Warning);
}

#[test]
fn without_a_daemon_limits_are_those_of_the_configuration() {
    let mut facts = silent();
    let limits = BTreeMap::from([
        ("worker_memory_bytes".to_owned(), 1),
        ("arena_bytes_per_tenant_max".to_owned(), 1),
    ]);
    facts.configuration.printed = Some(Ok(Printed {
        limits,
        ..Printed::default()
    }));
    assert_eq!(level(&facts, "limits.memory"), Level::Ok);
}
