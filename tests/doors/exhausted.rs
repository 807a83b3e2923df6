//! A daemon, and a spawner, that have no descriptors left.

use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use nn_tensor::Code;
use nn_tests::{Daemon, ProcState, children, fake_model, nnctl, require_backends, wait_until};

use crate::neighbour::{beside, echo, echo_daemon};
use crate::raw::{Raw, runtime};
use crate::wire::knock;

const SOON: Duration = Duration::from_secs(10);

/// Sets how many descriptors a process may have.
fn allow(pid: u32, fds: usize) {
    #[expect(clippy::disallowed_methods, reason = "sets a limit of another process")]
    let mut command = Command::new("prlimit");
    command
        .arg(format!("--pid={pid}"))
        .arg(format!("--nofile={fds}:"));
    assert!(command.status().unwrap().success());
}

fn held(pid: u32) -> usize {
    ProcState::of(pid).unwrap().fds
}

#[test]
fn a_daemon_without_descriptors_serves_whom_it_has_and_accepts_again_when_there_are_some() {
    require_backends!();
    let daemon = echo_daemon(Daemon::builder());
    let runtime = runtime();
    let graph = runtime.block_on(async { daemon.client().resolve("echo").await.unwrap() });
    beside(&daemon, || {
        runtime.block_on(echo(&graph, &[0; 64]));
        allow(daemon.pid(), held(daemon.pid()) + 3);
        let waiting: Vec<UnixStream> = (0..20).map(|_| knock(&daemon).unwrap()).collect();
        wait_until("the daemon says so", SOON, || {
            daemon.log().contains("cannot accept")
        });
        runtime.block_on(echo(&graph, &[0; 64]));
        allow(daemon.pid(), 4096);
        drop(waiting);
        Raw::open(&daemon).resolve("echo").unwrap();
        println!("{} lines of log", daemon.log().lines().count());
    });
}

#[test]
fn a_client_that_needs_descriptors_that_are_not_there_gets_an_error_of_its_own() {
    require_backends!();
    let daemon = echo_daemon(Daemon::builder());
    let raw = Raw::open(&daemon);
    let graph = raw.graph("echo");
    beside(&daemon, || {
        // No number is free below this, whatever lies above.
        allow(daemon.pid(), 3);
        let status = raw.grow(graph.resolved.arena_id, 4096).unwrap_err();
        allow(daemon.pid(), 4096);
        assert_eq!(
            nn_client::status_to_fault(&status).code,
            Code::Busy,
            "{status:?}"
        );
        assert!(raw.grow(graph.resolved.arena_id, 4096).is_ok());
    });
    drop(graph);
}

#[test]
fn a_spawner_without_descriptors_fails_a_load_and_starts_the_next() {
    require_backends!();
    let daemon = echo_daemon(Daemon::builder());
    let spawner = children(daemon.pid())[0];
    let path = fake_model("add");
    let path = path.to_str().unwrap();
    allow(spawner, 3);
    let refused = nnctl(&daemon, &["load", "add", path]);
    println!("{}{}", refused.stdout, refused.stderr);
    assert_ne!(refused.code, Some(0));
    allow(spawner, 1024);
    nnctl(&daemon, &["load", "add", path]).success();
}
