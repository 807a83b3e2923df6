//! The doors, and who may come in.

use super::scene::{door, finding, level, named, silent, well};
use crate::commands::doctor::facts::{Answer, Knock, Me, SocketFile};
use crate::commands::doctor::{Diagnosis, Facts, Level};

#[test]
fn sockets_that_nobody_listens_on_are_named_as_left_behind() {
    let facts = Facts {
        door: door(&Knock::Stale),
        ..silent()
    };
    let diagnosis = Diagnosis::of(&facts);
    let grpc = finding(&diagnosis, "sockets.grpc");
    assert_eq!(grpc.level, Level::Problem);
    assert!(grpc.found.contains("has died"), "{grpc:?}");
    assert_eq!(
        finding(&diagnosis, "permissions.connect").level,
        Level::Unknown
    );
}

#[test]
fn a_user_outside_the_group_is_told_to_join_it() {
    let mut facts = Facts {
        door: door(&Knock::Denied),
        ..silent()
    };
    facts.me = Me {
        uid: 1000,
        name: "ann".to_owned(),
        gids: vec![1000],
    };
    let diagnosis = Diagnosis::of(&facts);
    let connect = finding(&diagnosis, "permissions.connect");
    assert_eq!(connect.level, Level::Problem);
    assert_eq!(
        connect.advice,
        "usermod -aG nn-clients ann, then log in again"
    );
    // One fault is one problem: nothing is known of the daemon.
    assert_eq!(diagnosis.problems, 1, "{diagnosis:?}");
}

#[test]
fn a_user_who_joined_the_group_after_login_is_told_to_log_in_again() {
    let mut facts = Facts {
        door: door(&Knock::Denied),
        ..silent()
    };
    facts.me.gids = vec![1000];
    let SocketFile::Socket { listed, .. } = &mut facts.door.grpc.file else {
        panic!("{facts:?}");
    };
    *listed = true;
    let diagnosis = Diagnosis::of(&facts);
    let advice = &finding(&diagnosis, "permissions.connect").advice;
    assert!(advice.contains("newgrp nn-clients"), "{advice}");
}

#[test]
fn nobody_is_told_to_join_the_group_root() {
    let mut facts = Facts {
        door: door(&Knock::Denied),
        ..silent()
    };
    facts.me.gids = vec![1000];
    let SocketFile::Socket { group, .. } = &mut facts.door.grpc.file else {
        panic!("{facts:?}");
    };
    *group = named(0, "root");
    let diagnosis = Diagnosis::of(&facts);
    let advice = &finding(&diagnosis, "permissions.connect").advice;
    assert!(!advice.contains("usermod"), "{advice}");
}

#[test]
fn a_daemon_that_listens_and_does_not_answer_is_a_problem() {
    assert_eq!(level(&silent(), "sockets.daemon"), Level::Problem);
}

#[test]
fn a_directory_that_may_not_be_entered_is_a_matter_of_permissions() {
    let mut facts = silent();
    facts.door.grpc.file = SocketFile::Hidden;
    facts.door.fd.file = SocketFile::Hidden;
    let diagnosis = Diagnosis::of(&facts);
    let connect = finding(&diagnosis, "permissions.connect");
    assert!(connect.found.contains("/run/nn-daemon"), "{connect:?}");
    assert_eq!(diagnosis.problems, 1, "{diagnosis:?}");
}

#[test]
fn a_socket_that_all_may_use_is_a_warning() {
    let mut facts = well();
    let SocketFile::Socket { mode, .. } = &mut facts.door.grpc.file else {
        panic!("{facts:?}");
    };
    *mode = 0o666;
    assert_eq!(level(&facts, "sockets.mode"), Level::Warning);
}

#[test]
fn a_user_who_may_only_infer_has_no_problem() {
    let facts = Facts {
        answer: Answer::Refused,
        ..well()
    };
    assert_eq!(Diagnosis::of(&facts).problems, 0);
    assert_eq!(level(&facts, "permissions.administer"), Level::Ok);
}
