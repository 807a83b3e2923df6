//! A worker that has been taken over against the daemon itself: lies on the control socket, floods of the log.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nn_tests::{Daemon, ProcState, fake_model, nnctl, runtime_library, wait_until};

/// How long a worker may live that has broken the protocol.
const SOON: Duration = Duration::from_secs(5);

/// What the daemon logs of one worker at most.
const LINES_PER_SECOND: usize = 50;

/// `ModelProto.doc_string` of onnx.proto, which may come anywhere.
const DOC_STRING: u8 = 6 << 3 | 2;

/// A good model, with a script for the probe.
fn model(folder: &Path, script: &str) -> PathBuf {
    let text = format!("nn-probe: {script};");
    let mut bytes = fs::read(fake_model("echo")).unwrap();
    let len = text.len();
    let varint = [len & 0x7f | 0x80, len >> 7].map(|byte| u8::try_from(byte).unwrap());
    bytes.push(DOC_STRING);
    bytes.extend(varint);
    bytes.extend(text.as_bytes());
    let path = folder.join("probe.onnx");
    fs::write(&path, bytes).unwrap();
    path
}

/// A daemon whose workers are probes; `None` where it refuses to start without a library.
fn daemon() -> Option<Daemon> {
    if !runtime_library().is_file() {
        println!("skipped: the daemon does not start without ONNX Runtime's library");
        return None;
    }
    Some(Daemon::builder().with_worker("nn-probe").start())
}

/// Has a worker do this while it loads; gives what the operator is told.
fn told(daemon: &Daemon, script: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = model(folder.path(), script);
    let output = nnctl(daemon, &["load", "probe", path.to_str().unwrap()]);
    assert_ne!(output.code, Some(0), "{script}: loaded");
    output.stderr
}

/// A packet on the control socket.
fn packet(bytes: &str, len: usize, control: &str) -> String {
    format!(
        "call {} 3 [ 0 0 [ {bytes} {len} ] 1 {control} 0 ] 0",
        nix::libc::SYS_sendmsg
    )
}

#[test]
fn a_worker_that_lies_on_its_socket_is_killed_and_nothing_of_it_stays() {
    let Some(daemon) = daemon() else { return };
    // Once, so that what is made but once is there.
    told(&daemon, "call 999");
    let before = ProcState::of(daemon.pid()).unwrap();
    let descriptors = format!("x:0404000000000000010000000100000{} 1032", "0".repeat(2033));
    let lies = [
        ("no frame", packet("x:ffffffffffff", 6, "0 0")),
        ("an empty packet", packet("x:00", 0, "0 0")),
        (
            "a packet longer than any frame",
            packet("z:70000", 70_000, "0 0"),
        ),
        ("253 descriptors", packet("x:00", 1, &descriptors)),
        (
            "Ready once more",
            packet("x:000000000000000000000000000000000000000000", 20, "0 0"),
        ),
    ];
    for (what, script) in lies {
        let began = Instant::now();
        let told = told(&daemon, &script);
        println!("{what}: {:?}: {told}", began.elapsed());
        assert!(!told.contains("allowed"), "{what}: {told}");
        wait_until("the worker is gone", SOON, || daemon.workers().is_empty());
        wait_until("its descriptors are gone", SOON, || {
            ProcState::of(daemon.pid()).is_some_and(|now| now.fds <= before.fds)
        });
    }
}

#[test]
fn a_flood_of_log_lines_is_capped_and_no_terminal_obeys_it() {
    let Some(daemon) = daemon() else { return };
    let before = ProcState::of(daemon.pid()).unwrap();
    let began = Instant::now();
    // What a daemon listens to in some seconds: the rest would wait in the worker.
    let _ = told(&daemon, "flood 131072");
    let log = daemon.log();
    let after = ProcState::of(daemon.pid()).unwrap();
    let lines = log.lines().filter(|line| line.contains("owned")).count();
    println!("{lines} lines in {:?}", began.elapsed());
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap();
    assert!(lines <= (seconds + 2) * LINES_PER_SECOND, "{lines} lines");
    assert!(!log.contains('\x1b') && log.contains("\\u{1b}"), "{log}");
    assert!(
        after.anonymous_kib < before.anonymous_kib + 4096,
        "{before:?} {after:?}"
    );
}
