//! What the service manager says of the daemon and of the sites.

use super::scene::{finding, level, silent, site, unit, well};
use crate::commands::doctor::facts::{Service, Unit};
use crate::commands::doctor::{Diagnosis, Facts, Level};
use crate::exit::Exit;

#[test]
fn a_unit_that_has_failed_points_to_its_log() {
    let failed = Unit {
        active: "failed".to_owned(),
        result: "exit-code".to_owned(),
        ..unit()
    };
    let facts = Facts {
        service: Service::Units {
            service: failed,
            socket: unit().into(),
            sites: Ok(Vec::new()),
        },
        ..silent()
    };
    let diagnosis = Diagnosis::of(&facts);
    let service = finding(&diagnosis, "service.daemon");
    assert_eq!(service.level, Level::Problem);
    assert!(service.advice.contains("journalctl"), "{service:?}");
}

#[test]
fn a_service_that_waits_for_its_first_connection_is_well() {
    let waiting = Unit {
        active: "inactive".to_owned(),
        ..unit()
    };
    let facts = Facts {
        service: Service::Units {
            service: waiting,
            socket: unit().into(),
            sites: Ok(Vec::new()),
        },
        ..well()
    };
    assert_eq!(level(&facts, "service.daemon"), Level::Ok);
}

#[test]
fn a_service_that_starts_again_and_again_is_a_warning() {
    let facts = Facts {
        service: Service::Units {
            service: Unit {
                restarts: 3,
                ..unit()
            },
            socket: unit().into(),
            sites: Ok(Vec::new()),
        },
        ..well()
    };
    assert_eq!(level(&facts, "service.daemon"), Level::Warning);
}

#[test]
fn sites_that_are_down_are_a_problem_that_names_them_and_their_logs() {
    let facts = Facts {
        service: Service::Units {
            service: unit(),
            socket: unit().into(),
            sites: Ok(vec![
                site("nn-host@a", "failed", "failed"),
                site("nn-host@b", "active", "running"),
                site("nn-host@c", "activating", "auto-restart"),
            ]),
        },
        ..well()
    };
    let diagnosis = Diagnosis::of(&facts);
    let sites = finding(&diagnosis, "service.sites");
    assert_eq!(
        (sites.level, diagnosis.exit()),
        (Level::Problem, Exit::Failed)
    );
    assert_eq!(
        sites.found,
        "nn-host@a is down: failed (failed); nn-host@c is down: activating (auto-restart)"
    );
    assert_eq!(sites.advice, "journalctl --unit nn-host@a --unit nn-host@c");
}
