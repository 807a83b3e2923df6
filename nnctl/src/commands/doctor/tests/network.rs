//! Doors that the configuration opens and the unit does not, and a dialer that has ended.

use nn_proto::v1;

use super::scene::{finding, level, silent, unit, well};
use crate::commands::doctor::facts::{Answer, Printed, Service, Unit, Walls};
use crate::commands::doctor::{Diagnosis, Facts, Level};

const ID: &str = "network.unit";

/// With a unit of these walls, and a door in the configuration.
fn behind(walls: Walls, base: Facts) -> Facts {
    let mut facts = base;
    facts.configuration.printed = Some(Ok(Printed {
        network: vec!["[kserve] listen"],
        ..Printed::default()
    }));
    facts.service = Service::Units {
        service: Unit { walls, ..unit() },
        socket: unit().into(),
        sites: Ok(Vec::new()),
    };
    facts
}

fn families(families: &str) -> Walls {
    Walls {
        families: families.to_owned(),
        ..Walls::default()
    }
}

#[test]
fn a_door_behind_a_wall_of_the_unit_is_a_problem_whether_the_daemon_runs_or_not() {
    for base in [well(), silent()] {
        let diagnosis = Diagnosis::of(&behind(unit().walls, base));
        let found = finding(&diagnosis, ID);
        assert_eq!(found.level, Level::Problem);
        let all = [
            "PrivateNetwork=yes",
            "=AF_UNIX",
            "IPAddressDeny",
            "[kserve] listen",
        ];
        assert!(
            all.iter().all(|word| found.found.contains(word)),
            "{found:?}"
        );
    }
}

#[test]
fn each_wall_alone_is_one_and_none_is_none() {
    let of = |walls: Walls| level(&behind(walls, well()), ID);
    assert_eq!(of(Walls::default()), Level::Ok);
    assert_eq!(of(families("AF_UNIX AF_INET AF_INET6")), Level::Ok);
    assert_eq!(of(families("~AF_PACKET")), Level::Ok);
    assert_eq!(of(families("~AF_INET")), Level::Problem);
    let private = Walls {
        private_network: true,
        ..Walls::default()
    };
    assert_eq!(of(private), Level::Problem);
}

#[test]
fn a_daemon_that_systemd_has_not_started_has_not_its_walls() {
    let mut facts = behind(unit().walls, well());
    let Answer::Status(status) = &mut facts.answer else {
        panic!("{facts:?}");
    };
    status.pid = 77;
    assert!(!format!("{:?}", Diagnosis::of(&facts)).contains(ID));
    // Nor does one that asks for no network.
    assert!(!format!("{:?}", Diagnosis::of(&well())).contains("network."));
}

#[test]
fn a_dialer_that_has_ended_is_a_problem() {
    let of = |available: bool| {
        let mut facts = well();
        let Answer::Status(status) = &mut facts.answer else {
            panic!("{facts:?}");
        };
        status.remote = Some(v1::RemoteStatus {
            available,
            detail: "it has ended: signal: 9".to_owned(),
            pid: 12,
            ..v1::RemoteStatus::default()
        });
        let diagnosis = Diagnosis::of(&facts);
        finding(&diagnosis, "network.dialer").clone()
    };
    assert_eq!(of(true).level, Level::Ok);
    let gone = of(false);
    assert_eq!(gone.level, Level::Problem);
    assert!(gone.found.contains("signal: 9"), "{gone:?}");
}
