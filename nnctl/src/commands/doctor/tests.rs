//! Judgements over whole sets of facts: a healthy installation, and one fault at a time.

use std::collections::BTreeMap;
use std::path::PathBuf;

use nn_proto::v1;
use nn_sandbox::{Layer, LayerState, Need};

use super::facts::{
    Answer, Configuration, DirFound, Door, Kernel, Knock, Me, Named, Printed, Process, Programs,
    Repository, RepositoryGap, Service, Site, Socket, SocketFile, StateDir, Step, Unit, User,
};
use super::*;
use crate::output::Report;

fn named(id: u32, name: &str) -> Named {
    Named {
        id,
        name: name.to_owned(),
    }
}

fn socket(name: &str, knock: Knock) -> Socket {
    Socket {
        path: PathBuf::from("/run/nn-daemon").join(name),
        file: SocketFile::Socket {
            owner: named(0, "root"),
            group: named(990, "nn-clients"),
            mode: 0o660,
            listed: false,
            knock,
        },
    }
}

fn door(knock: &Knock) -> Door {
    Door {
        because: "nothing names another",
        grpc: socket("nn.sock", knock.clone()),
        fd: socket("fd.sock", knock.clone()),
    }
}

fn unit() -> Unit {
    Unit {
        load: "loaded".to_owned(),
        active: "active".to_owned(),
        sub: "running".to_owned(),
        result: "success".to_owned(),
        restarts: 0,
        main_pid: 9,
        outdated: false,
    }
}

fn site(unit: &str, active: &str, sub: &str) -> Site {
    Site {
        unit: unit.to_owned(),
        active: active.to_owned(),
        sub: sub.to_owned(),
    }
}

fn protection(layer: &str, need: &str, active: bool) -> v1::ProtectionStatus {
    v1::ProtectionStatus {
        layer: layer.to_owned(),
        active,
        detail: "so and so".to_owned(),
        need: need.to_owned(),
    }
}

fn status() -> v1::StatusResponse {
    let limit = |name: &str, value| v1::LimitStatus {
        name: name.to_owned(),
        value,
        unit: "bytes".to_owned(),
    };
    v1::StatusResponse {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        build_id: "b1".to_owned(),
        pid: 9,
        state: "READY".to_owned(),
        runtimes: vec![v1::RuntimeStatus {
            backend: "onnxruntime".to_owned(),
            available: true,
            detail: "/elsewhere/libonnxruntime.so.1.28.0".to_owned(),
        }],
        limits: vec![
            limit("worker_memory_bytes", 1 << 30),
            limit("arena_bytes_per_tenant_max", 1 << 30),
        ],
        isolation: vec![
            protection("process", "always", true),
            protection("userns", "require", true),
        ],
        ..v1::StatusResponse::default()
    }
}

/// An installation that is well, seen by its administrator.
fn well() -> Facts {
    Facts {
        me: Me {
            uid: 0,
            name: "root".to_owned(),
            gids: vec![0],
        },
        kernel: Kernel {
            release: "6.18.5".to_owned(),
            userns_max: Some(100),
            userns_unprivileged: None,
            userns_apparmor: None,
            sealing: Ok(()),
            cgroup_controllers: Some(["cpu", "memory", "pids"].map(str::to_owned).into()),
        },
        layers: Vec::new(),
        programs: Programs {
            nnctl: "/usr/bin/nnctl".into(),
            daemon: Some((
                "/usr/bin/nn-daemon".into(),
                Ok(env!("CARGO_PKG_VERSION").to_owned()),
            )),
            worker: Some(("/usr/lib/nn-daemon/nn-worker".into(), Ok("b1".to_owned()))),
            spawner: Some(("/usr/lib/nn-daemon/nn-spawner".into(), true)),
        },
        configuration: Configuration {
            file: Some("/etc/nn-daemon/nn-daemon.toml".into()),
            printed: Some(Ok(Printed {
                onnxruntime: Some("/elsewhere/libonnxruntime.so.1.28.0".into()),
                ..Printed::default()
            })),
        },
        library_there: None,
        door: door(&Knock::Accepted),
        answer: Answer::Status(Box::new(status())),
        // Of another container: its files are not looked for here.
        process: None,
        service: Service::Units {
            service: unit(),
            socket: unit().into(),
            sites: Ok(vec![site("nn-host@example", "active", "running")]),
        },
        state_dir: Some(StateDir {
            path: "/var/lib/nn-daemon".into(),
            found: DirFound::Dir {
                owner: named(0, "root"),
                free_bytes: 1 << 40,
            },
        }),
        repositories: Vec::new(),
        daemon_user: Some(User {
            name: "nn-daemon".to_owned(),
            uid: 990,
            gids: vec![990],
        }),
        memory_available: Some(1 << 40),
    }
}

/// The same without a daemon.
fn silent() -> Facts {
    Facts {
        answer: Answer::None("there is no socket".to_owned()),
        ..well()
    }
}

fn finding<'a>(diagnosis: &'a Diagnosis, id: &str) -> &'a Finding {
    let mut checks = diagnosis.checks.iter();
    checks
        .find(|finding| finding.id == id)
        .unwrap_or_else(|| panic!("no {id} in {diagnosis:?}"))
}

fn level(facts: &Facts, id: &str) -> Level {
    finding(&Diagnosis::of(facts), id).level
}

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

/// A repository at /srv/models, with the mode of that directory.
fn repository(mode: u32) -> Repository {
    let step = |path: &str, uid, mode| Step {
        path: path.into(),
        uid,
        gid: uid,
        mode,
    };
    Repository {
        path: "/srv/models".into(),
        steps: Ok(vec![
            step("/", 0, 0o755),
            step("/srv", 0, 0o755),
            step("/srv/models", 1000, mode),
        ]),
    }
}

#[test]
fn a_repository_that_the_daemons_user_may_not_read_is_a_warning() {
    const ID: &str = "configuration.repositories";
    let with = |repository| {
        let facts = Facts {
            repositories: vec![repository],
            ..well()
        };
        level(&facts, ID)
    };
    let absent = Repository {
        path: "/srv/models".into(),
        steps: Err(RepositoryGap::Absent),
    };
    let at_home = Repository {
        path: "/home/ann/models".into(),
        ..repository(0o755)
    };
    let levels = [repository(0o755), repository(0o750), absent, at_home].map(with);
    assert_eq!(
        levels,
        [Level::Ok, Level::Warning, Level::Warning, Level::Warning]
    );
}

#[test]
fn a_user_whom_no_tenant_lists_is_told_so_even_if_it_is_root() {
    let with = |uids: Vec<u32>| {
        let mut facts = well();
        facts.configuration.printed = Some(Ok(Printed {
            tenants: BTreeMap::from([("default".to_owned(), uids)]),
            ..Printed::default()
        }));
        level(&facts, "permissions.tenants")
    };
    assert_eq!(
        [vec![1000], vec![0, 1000]].map(with),
        [Level::Warning, Level::Ok]
    );
}

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

#[test]
fn text_says_first_how_bad_it_is_and_last_what_to_do() {
    let facts = Facts {
        memory_available: Some(1),
        ..well()
    };
    let text = Diagnosis::of(&facts).text();
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
