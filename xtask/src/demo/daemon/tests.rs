//! Daemons that behave, and daemons that do not: scripts that take the daemon's options.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::setup::Scratch;

/// Listens where it is told to, and does something on SIGTERM.
const SCRIPT: &str = r#"#!/usr/bin/env python3
import os, signal, socket, subprocess, sys
socket_path = os.path.join(sys.argv[sys.argv.index("--runtime-dir") + 1], "nn.sock")
listener = socket.socket(socket.AF_UNIX)
def stop(*_):
    ON_STOP
    sys.exit(STATUS)
signal.signal(signal.SIGTERM, stop)
listener.bind(socket_path)
listener.listen()
while True:
    signal.pause()
"#;

fn start(folder: &Scratch, on_stop: &str, status: &str) -> Daemon {
    let program = folder.path().join("daemon.py");
    let script = SCRIPT.replace("ON_STOP", on_stop).replace("STATUS", status);
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    Daemon::start(&program, folder.path(), Path::new("models")).unwrap()
}

fn scratch() -> Scratch {
    Scratch::new(&std::env::temp_dir()).unwrap()
}

#[test]
fn tidy_daemon_is_started_and_stopped() {
    let folder = scratch();
    let mut daemon = start(&folder, "os.remove(socket_path)", "0");
    daemon.stop().unwrap();
}

#[test]
fn socket_left_behind_is_found() {
    let folder = scratch();
    let mut daemon = start(&folder, "pass", "0");
    let error = daemon.stop().unwrap_err().to_string();
    assert!(error.contains("nn.sock behind"), "{error}");
}

#[test]
fn failing_end_is_found() {
    let folder = scratch();
    let mut daemon = start(&folder, "os.remove(socket_path)", "3");
    let error = daemon.stop().unwrap_err().to_string();
    assert!(error.contains("exit status: 3"), "{error}");
}

#[test]
fn daemon_that_never_listens_is_refused_with_its_words() {
    let folder = scratch();
    let program = folder.path().join("daemon.sh");
    fs::write(&program, "#!/bin/sh\necho no library; exit 1\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();

    let refused = Daemon::start(&program, folder.path(), Path::new("models"));

    let error = format!("{:#}", refused.err().unwrap());
    assert!(error.contains("no library"), "{error}");
    assert!(error.contains("before it listened"), "{error}");
}

#[test]
fn stat_with_an_odd_name_is_read() {
    let numbers: Vec<String> = (5..=22).map(|field| field.to_string()).collect();
    let stat = parse_stat(&format!("12 (a) b) S 3 {} 23", numbers.join(" "))).unwrap();
    assert_eq!(stat.name, "a) b");
    assert_eq!((stat.state, stat.parent, stat.started), ('S', 3, 22));
}

#[test]
fn own_child_is_found_and_seen_to_end() {
    let mut child = process::command("sleep").arg("60").spawn().unwrap();
    let family = descendants(std::process::id());
    assert!(family.contains_key(&child.id()));

    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!is_alive((&child.id(), &family[&child.id()])));
}
