//! An installation that is well, made of facts, and how to find a finding about it.

use std::path::PathBuf;

use nn_proto::v1;

use crate::commands::doctor::facts::{
    Answer, Configuration, DirFound, Door, Kernel, Knock, Me, Named, Printed, Programs, Service,
    Site, Socket, SocketFile, StateDir, Unit, User, Walls,
};
use crate::commands::doctor::{Diagnosis, Facts, Finding, Level};

pub(super) fn named(id: u32, name: &str) -> Named {
    Named {
        id,
        name: name.to_owned(),
    }
}

pub(super) fn socket(name: &str, knock: Knock) -> Socket {
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

pub(super) fn door(knock: &Knock) -> Door {
    Door {
        because: "nothing names another",
        grpc: socket("nn.sock", knock.clone()),
        fd: socket("fd.sock", knock.clone()),
    }
}

pub(super) fn unit() -> Unit {
    Unit {
        load: "loaded".to_owned(),
        active: "active".to_owned(),
        sub: "running".to_owned(),
        result: "success".to_owned(),
        restarts: 0,
        main_pid: 9,
        outdated: false,
        walls: Walls {
            private_network: true,
            families: "AF_UNIX".to_owned(),
            no_address: true,
        },
    }
}

pub(super) fn site(unit: &str, active: &str, sub: &str) -> Site {
    Site {
        unit: unit.to_owned(),
        active: active.to_owned(),
        sub: sub.to_owned(),
    }
}

pub(super) fn protection(layer: &str, need: &str, active: bool) -> v1::ProtectionStatus {
    v1::ProtectionStatus {
        layer: layer.to_owned(),
        active,
        detail: "so and so".to_owned(),
        need: need.to_owned(),
    }
}

pub(super) fn status() -> v1::StatusResponse {
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
            ..v1::RuntimeStatus::default()
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
pub(super) fn well() -> Facts {
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
            relay: None,
            dialer: None,
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
pub(super) fn silent() -> Facts {
    Facts {
        answer: Answer::None("there is no socket".to_owned()),
        ..well()
    }
}

pub(super) fn finding<'a>(diagnosis: &'a Diagnosis, id: &str) -> &'a Finding {
    let mut checks = diagnosis.checks.iter();
    checks
        .find(|finding| finding.id == id)
        .unwrap_or_else(|| panic!("no {id} in {diagnosis:?}"))
}

pub(super) fn level(facts: &Facts, id: &str) -> Level {
    finding(&Diagnosis::of(facts), id).level
}
