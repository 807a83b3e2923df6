//! `nnctl doctor` over real processes and real sockets: one fault at a time, and none.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's helpers fail with them"
)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use nix::unistd::geteuid;
use nn_tests::{Daemon, Output, nnctl, program, require_backends, run};
use serde_json::Value;

/// What `--json` says, which has to fit the exit code.
fn diagnosis(output: &Output) -> Value {
    let diagnosis: Value = serde_json::from_str(&output.stdout).unwrap();
    let problems = diagnosis["problems"].as_u64().unwrap();
    assert_eq!(output.code, Some(i32::from(problems > 0)), "{output:?}");
    diagnosis
}

fn check<'a>(diagnosis: &'a Value, id: &str) -> &'a Value {
    let mut checks = diagnosis["checks"].as_array().unwrap().iter();
    checks
        .find(|check| check["id"] == id)
        .unwrap_or_else(|| panic!("no {id} in {diagnosis:#}"))
}

/// Without a daemon, with a configuration file of this text.
fn with_config(text: &str) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let (socket, file) = (dir.path().join("nn.sock"), dir.path().join("nn.toml"));
    fs::write(&file, text).unwrap();
    let arguments = [
        "--socket",
        socket.to_str().unwrap(),
        "--json",
        "doctor",
        "--config",
        file.to_str().unwrap(),
    ];
    diagnosis(&run("nnctl", &arguments))
}

#[test]
fn a_healthy_daemon_has_no_problem_of_its_own() {
    require_backends!();
    let daemon = Daemon::start();
    let diagnosis = diagnosis(&nnctl(&daemon, &["--json", "doctor"]));
    let checks = diagnosis["checks"].as_array().unwrap().iter();
    // What this machine cannot give is the machine's.
    let problems: Vec<&Value> = checks
        .filter(|check| check["level"] == "problem")
        .filter(|check| !check["id"].as_str().unwrap().starts_with("isolation."))
        .filter(|check| !check["id"].as_str().unwrap().starts_with("kernel."))
        .collect();
    assert_eq!(problems, Vec::<&Value>::new());
    let answered = &check(&diagnosis, "sockets.daemon")["found"];
    let pid = format!("pid {}", daemon.pid());
    assert!(answered.as_str().unwrap().contains(&pid), "{answered}");
}

#[test]
fn without_a_daemon_the_missing_sockets_are_the_problem() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("nn.sock");
    let output = run("nnctl", &["--socket", socket.to_str().unwrap(), "doctor"]);
    assert_eq!(output.code, Some(1), "{output:?}");
    let line = format!("{} is not there\n", socket.display());
    assert!(output.stdout.contains(&line), "{}", output.stdout);
    assert!(
        output
            .stdout
            .contains("\nWHAT TO DO\nsockets.grpc: start nn-daemon"),
        "{}",
        output.stdout
    );
    assert_eq!(output.stderr, "");
}

#[test]
fn sockets_that_a_killed_daemon_has_left_are_told_from_missing_ones() {
    require_backends!();
    let mut daemon = Daemon::start();
    daemon.kill();
    let diagnosis = diagnosis(&nnctl(&daemon, &["--json", "doctor"]));
    let grpc = check(&diagnosis, "sockets.grpc");
    assert_eq!(grpc["level"], "problem");
    assert!(
        grpc["found"].as_str().unwrap().contains("has died"),
        "{grpc}"
    );
}

#[test]
fn who_is_not_in_the_sockets_group_is_told_so() {
    require_backends!();
    if !geteuid().is_root() {
        println!("skipped: not root, so nobody else can be asked");
        return;
    }
    let daemon = Daemon::start();
    let socket = daemon.socket();
    // So far anybody may go; the socket itself is its group's.
    let readable = Permissions::from_mode(0o755);
    for dir in socket.ancestors().skip(1).take(2) {
        fs::set_permissions(dir, readable.clone()).unwrap();
    }
    let (dir, nnctl) = public_copy("nnctl");
    let output = as_nobody(&nnctl, &["--socket", socket.to_str().unwrap()], dir.path());
    let diagnosis = diagnosis(&output);
    let connect = check(&diagnosis, "permissions.connect");
    assert_eq!(connect["level"], "problem");
    assert_eq!(check(&diagnosis, "sockets.grpc")["level"], "unknown");
}

#[test]
fn who_may_not_enter_the_sockets_directory_is_told_which() {
    require_backends!();
    if !geteuid().is_root() {
        println!("skipped: not root, so nobody else can be asked");
        return;
    }
    let daemon = Daemon::start();
    let socket = daemon.socket();
    let (dir, nnctl) = public_copy("nnctl");
    let output = as_nobody(&nnctl, &["--socket", socket.to_str().unwrap()], dir.path());
    let diagnosis = diagnosis(&output);
    let connect = &check(&diagnosis, "permissions.connect")["found"];
    let place = socket.parent().unwrap().display().to_string();
    assert!(connect.as_str().unwrap().contains(&place), "{connect}");
}

#[test]
fn a_library_that_the_configuration_names_and_that_is_not_there_is_a_problem() {
    let diagnosis =
        with_config("[runtimes]\nonnxruntime = \"/nowhere/libonnxruntime.so.1.28.0\"\n");
    let runtime = check(&diagnosis, "runtimes.onnxruntime");
    assert_eq!(runtime["level"], "problem");
    assert!(
        runtime["found"].as_str().unwrap().contains("/nowhere/"),
        "{runtime}"
    );
}

#[test]
fn a_key_that_there_is_not_is_told_with_its_file() {
    let diagnosis = with_config("[limits]\nsessions = 3\n");
    let file = check(&diagnosis, "configuration.file");
    assert_eq!(file["level"], "problem");
    let found = file["found"].as_str().unwrap();
    assert!(
        found.contains("nn.toml") && found.contains("sessions"),
        "{found}"
    );
}

#[test]
fn a_worker_that_is_not_where_it_should_be_is_told() {
    let diagnosis = with_config("[workers]\nprogram = \"/nowhere/nn-worker\"\n");
    let file = &check(&diagnosis, "configuration.file")["found"];
    assert!(
        file.as_str().unwrap().contains("/nowhere/nn-worker"),
        "{file}"
    );
}

#[test]
fn a_repository_that_is_not_there_and_tenants_without_this_user_are_warnings() {
    let diagnosis = with_config(
        "model_repository = [\"/nowhere/models\"]\n[tenants.default]\nuids = [4294967290]\n",
    );
    let repositories = check(&diagnosis, "configuration.repositories");
    assert_eq!(repositories["level"], "warning");
    assert_eq!(repositories["found"], "/nowhere/models is not there");
    assert_eq!(check(&diagnosis, "permissions.tenants")["level"], "warning");
}

#[test]
fn another_program_is_not_taken_for_the_daemon() {
    let arguments = [
        "--socket",
        "/nowhere/nn.sock",
        "--json",
        "doctor",
        "--daemon",
        "/bin/true",
    ];
    let diagnosis = diagnosis(&run("nnctl", &arguments));
    let daemon = &check(&diagnosis, "programs.daemon")["found"];
    assert!(
        daemon.as_str().unwrap().contains("is no nn-daemon"),
        "{daemon}"
    );
    assert_eq!(check(&diagnosis, "configuration.file")["level"], "problem");
}

/// A copy of a program in a directory that anybody may enter.
fn public_copy(name: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    let copy = dir.path().join(name);
    fs::copy(program(name), &copy).unwrap();
    (dir, copy)
}

/// `nnctl … doctor` as a user who is in no group.
fn as_nobody(nnctl: &Path, arguments: &[&str], dir: &Path) -> Output {
    #[expect(clippy::disallowed_methods, reason = "the program under test")]
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg("--")
        .arg(nnctl)
        .args(arguments)
        .args(["--json", "doctor"])
        .current_dir(dir);
    let output = command.output().unwrap();
    Output {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
