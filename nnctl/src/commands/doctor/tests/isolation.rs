//! The layers of the jail, by the daemon and without one.

use nn_sandbox::{Layer, LayerState, Need};

use super::scene::{finding, level, protection, silent, well};
use crate::commands::doctor::facts::Answer;
use crate::commands::doctor::{Diagnosis, Facts, Level};

#[test]
fn a_layer_that_workers_run_without_is_a_problem_if_it_is_required() {
    let mut facts = well();
    let Answer::Status(status) = &mut facts.answer else {
        panic!("{facts:?}");
    };
    status.isolation = vec![
        protection("seccomp", "require", false),
        protection("landlock", "prefer", false),
    ];
    let diagnosis = Diagnosis::of(&facts);
    let seccomp = finding(&diagnosis, "isolation.seccomp");
    assert_eq!(seccomp.level, Level::Problem);
    assert!(seccomp.found.starts_with("DEGRADED"), "{seccomp:?}");
    assert_eq!(
        finding(&diagnosis, "isolation.landlock").level,
        Level::Warning
    );
}

#[test]
fn without_a_daemon_the_layers_are_as_this_user_reads_them() {
    let layer = |layer, missing: Option<&str>| LayerState {
        layer,
        need: Need::Require,
        missing: missing.map(str::to_owned),
        lacks: None,
    };
    let facts = Facts {
        layers: vec![
            layer(Layer::UserNs, None),
            layer(Layer::Seccomp, Some("none here")),
        ],
        ..silent()
    };
    let levels = ["isolation.userns", "isolation.seccomp"].map(|id| level(&facts, id));
    assert_eq!(levels, [Level::Ok, Level::Problem]);
}
