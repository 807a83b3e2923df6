//! The account as text and as JSON: of a daemon that is well, and of one that should not be trusted.

use super::*;

fn protection(layer: &str, need: &str, active: bool) -> v1::ProtectionStatus {
    v1::ProtectionStatus {
        layer: layer.to_owned(),
        active,
        detail: "so and so".to_owned(),
        need: need.to_owned(),
    }
}

fn end(cause: &str, count: u64) -> v1::EndStatus {
    v1::EndStatus {
        cause: cause.to_owned(),
        count,
    }
}

fn stop(reason: &str, count: u64) -> v1::StopStatus {
    v1::StopStatus {
        reason: reason.to_owned(),
        count,
    }
}

fn answer() -> v1::StatusResponse {
    let limit = |name: &str, value, unit: &str| v1::LimitStatus {
        name: name.to_owned(),
        value,
        unit: unit.to_owned(),
    };
    v1::StatusResponse {
        version: "0.1.0".to_owned(),
        build_id: "b1".to_owned(),
        pid: 9,
        uptime_us: 61_000_000,
        state: "READY".to_owned(),
        runtime_dir: "/run/nn-daemon".to_owned(),
        state_dir: "/var/lib/nn-daemon".to_owned(),
        workers: 1,
        workers_memory_bytes: 1 << 30,
        arena_bytes: 1 << 20,
        limits: vec![
            limit("in_flight_max", 256, "count"),
            limit("timeout_max", 60_000_000, "us"),
        ],
        isolation: vec![
            protection("process", "always", true),
            protection("seccomp", "require", true),
            protection("landlock", "prefer", false),
        ],
        worker_ends: vec![end("panic", 0), end("violation", 0)],
        sandbox_profile: "worker-ort".to_owned(),
        ..v1::StatusResponse::default()
    }
}

/// Workers run without two layers, and two of them have come to a bad end.
fn degraded_answer() -> v1::StatusResponse {
    v1::StatusResponse {
        isolation: vec![
            protection("userns", "require", false),
            protection("landlock", "prefer", false),
            protection("seccomp", "require", false),
        ],
        worker_ends: vec![end("panic", 0), end("violation", 2)],
        compute_stops: vec![stop("deadline", 3), stop("cancelled", 0)],
        degraded: true,
        ..answer()
    }
}

#[test]
fn sections_follow_each_other() {
    assert_eq!(
        Status::from(answer()).text(Paint::Plain),
        "\
nn-daemon    0.1.0, build b1
state        READY
pid          9
up for       1 min 1 s
runtime dir  /run/nn-daemon
state dir    /var/lib/nn-daemon
workers      1; up to 1.0 GiB
arenas       1.0 MiB
sandbox      profile worker-ort; nnctl sandbox explain worker-ort
quarantine   empty

SESSION OF  PID  UID  IN FLIGHT  GRAPHS  ARENAS  AGE

RUNTIME  AVAILABLE  WORKERS  PROFILE  CALLS  DETAIL

LAYER     NEED     ACTIVE  DETAIL
process   always   yes     so and so
seccomp   require  yes     so and so
landlock  prefer   NO      so and so

LIMIT          VALUE
in_flight_max  256
timeout_max    1 min 0 s
"
    );
}

#[test]
fn a_degraded_daemon_says_so_before_anything_else() {
    let text = Status::from(degraded_answer()).text(Paint::Plain);
    let first = "DEGRADED: workers run without userns, seccomp, which profile worker-ort requires\n\nnn-daemon ";
    assert!(text.starts_with(first), "{text}");
}

#[test]
fn only_causes_that_have_occurred_are_listed() {
    let text = Status::from(degraded_answer()).text(Paint::Plain);
    let table = "\n\nWORKERS ENDED BY  COUNT\nviolation         2\n\nCOMPUTES STOPPED BY  COUNT\ndeadline             3\n\nLIMIT ";
    assert!(text.contains(table), "{text}");
    assert!(!text.contains("panic"), "{text}");
    assert!(!text.contains("cancelled"), "{text}");
}

#[test]
fn spares_and_quarantined_models_are_told_of() {
    let answer = v1::StatusResponse {
        spares: 2,
        spares_missing: 1,
        worker_isolation: "tenant".to_owned(),
        quarantined: 1,
        ..answer()
    };
    let text = Status::from(answer).text(Paint::Plain);
    let workers =
        "\nworkers      1, each of one tenant, 2 more spare, 1 without a spare; up to 1.0 GiB\n";
    assert!(text.contains(workers), "{text}");
    assert!(
        text.contains("\nquarantine   1 model; nnctl quarantine list\n"),
        "{text}"
    );
}

#[test]
fn a_daemon_that_tells_no_profile_has_a_dash_for_it() {
    let mut old = answer();
    old.sandbox_profile.clear();
    assert!(
        Status::from(old)
            .text(Paint::Plain)
            .contains("\nsandbox      -\n")
    );
}

#[test]
fn json_keeps_units_beside_numbers() {
    let json = serde_json::to_value(Status::from(answer())).unwrap();
    assert_eq!(json["limits"][1]["unit"], "us");
    assert_eq!(json["isolation"][2]["active"], false);
    assert_eq!(json["isolation"][2]["need"], "prefer");
}

#[test]
fn json_has_every_cause_and_says_whether_it_is_degraded() {
    let well = serde_json::to_value(Status::from(answer())).unwrap();
    let ill = serde_json::to_value(Status::from(degraded_answer())).unwrap();
    assert_eq!(
        (&well["degraded"], &ill["degraded"]),
        (&false.into(), &true.into())
    );
    assert_eq!(well["worker_ends"][0]["cause"], "panic");
    assert_eq!(ill["worker_ends"][1]["count"], 2);
    assert_eq!(ill["compute_stops"][1]["reason"], "cancelled");
    assert_eq!(well["sandbox_profile"], "worker-ort");
}

fn jail(layers: Vec<v1::ProtectionStatus>) -> v1::JailStatus {
    v1::JailStatus {
        process: "nn-daemon".to_owned(),
        pid: 9,
        profile: "broker".to_owned(),
        layers,
        kernel: "NoNewPrivs: 1, Seccomp: 2".to_owned(),
    }
}

#[test]
fn the_daemons_own_jail_is_told_with_what_the_kernel_says() {
    let answer = v1::StatusResponse {
        jails: vec![jail(vec![protection("seccomp", "require", true)])],
        ..answer()
    };
    let text = Status::from(answer).text(Paint::Plain);
    let table = "\nPROCESS    LAYER    NEED     ACTIVE  DETAIL\nnn-daemon  seccomp  require  yes     so and so\n\
                 the kernel of nn-daemon (pid 9): NoNewPrivs: 1, Seccomp: 2\n";
    assert!(text.contains(table), "{text}");
}

#[test]
fn a_daemon_without_its_own_jail_is_degraded_and_its_workers_are_not_blamed() {
    let answer = v1::StatusResponse {
        jails: vec![jail(vec![protection("seccomp", "require", false)])],
        degraded: true,
        ..answer()
    };
    let text = Status::from(answer).text(Paint::Plain);
    let first =
        "DEGRADED: nn-daemon runs without seccomp, which profile broker requires\n\nnn-daemon ";
    assert!(text.starts_with(first), "{text}");
}

#[test]
fn each_runtime_has_its_profile_and_what_that_leaves() {
    let runtime = |backend: &str, profile: &str, system_calls| v1::RuntimeStatus {
        backend: backend.to_owned(),
        available: true,
        detail: "/x".to_owned(),
        profile: profile.to_owned(),
        system_calls,
        workers: 1,
    };
    let runtimes = vec![
        runtime("onnxruntime", "worker-ort", 36),
        runtime("openvino", "worker-openvino", 41),
    ];
    let answer = v1::StatusResponse {
        runtimes,
        ..answer()
    };
    let text = Status::from(answer).text(Paint::Plain);
    let sandbox = "\nsandbox      profiles worker-ort, worker-openvino; nnctl sandbox explain worker-openvino\n";
    assert!(text.contains(sandbox), "{text}");
    let row = "\nopenvino     yes        1        worker-openvino  41     /x\n";
    assert!(text.contains(row), "{text}");
}
