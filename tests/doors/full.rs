//! Clients that come when there are too many: each is told so, at both doors, and those that want to hear nothing hold
//! little for long.

use std::os::fd::OwnedFd;
use std::time::Duration;

use nn_client::{Client, status_to_fault};
use nn_proto::v1::{self, fd_server_message};
use nn_tensor::{Code, Fault, Tenant};
use nn_tests::{Daemon, ProcState, nnctl, require_backends, wait_until};

use crate::neighbour::{beside, echo_daemon};
use crate::raw::{hello, knock, opened, receive, runtime, send};
use crate::wire::{self, Wire};

/// `limits.connections_per_uid_max` here.
const MAX: usize = 3;

/// How many beyond it are heard, at each door.
const LOBBY: usize = 4;

const SOON: Duration = Duration::from_secs(20);

fn daemon() -> Daemon {
    echo_daemon(Daemon::builder().with_limits(&format!("connections_per_uid_max = {MAX}")))
}

/// Both doors full.
struct Crowd {
    _wires: Vec<Wire>,
    _packets: Vec<OwnedFd>,
}

fn crowd(daemon: &Daemon) -> Crowd {
    let wire = |_| {
        let mut wire = Wire::open(daemon, &[]);
        assert!(wire.is_alive());
        wire
    };
    Crowd {
        _wires: (0..MAX).map(wire).collect(),
        _packets: (0..MAX).map(|_| knock(daemon).unwrap()).collect(),
    }
}

fn is_explained(fault: &Fault) {
    assert_eq!(fault.code, Code::Busy, "{fault:?}");
    assert!(fault.message.contains("too many connections"), "{fault:?}");
    assert!(fault.expected.contains(&MAX.to_string()), "{fault:?}");
    assert!(!fault.got.is_empty(), "{fault:?}");
    assert!(fault.hint.contains("connections_per_uid_max"), "{fault:?}");
}

/// What a connection to `fd.sock` is told instead of being let in.
fn refusal(fd: &OwnedFd) -> Fault {
    match receive(fd) {
        Some((fd_server_message::Body::Refused(error), None)) => error.into(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_call_beyond_the_bound_of_connections_is_refused_with_what_to_do() {
    require_backends!();
    let daemon = daemon();
    let crowd = crowd(&daemon);
    let runtime = runtime();
    let status = runtime.block_on(opened(&daemon, "")).unwrap_err();
    is_explained(&status_to_fault(&status));
    let shown = nnctl(&daemon, &["list"]);
    assert_eq!(shown.code, Some(1), "{shown:?}");
    assert!(shown.stderr.contains("too many connections"), "{shown:?}");
    assert!(
        shown.stderr.contains("connections_per_uid_max"),
        "{shown:?}"
    );
    drop(crowd);
    wait_until("a place is free again", SOON, || {
        nnctl(&daemon, &["list"]).code == Some(0)
    });
}

#[test]
fn a_client_that_finds_no_place_says_why_in_the_end() {
    require_backends!();
    let daemon = daemon();
    let _crowd = crowd(&daemon);
    let builder = Client::builder(daemon.socket(), Tenant::default());
    let client = builder.wait(Duration::from_millis(500)).build();
    let fault = runtime().block_on(async { client.resolve("echo").await.unwrap_err() });
    is_explained(&fault);
}

#[test]
fn a_descriptor_connection_beyond_the_bound_is_refused_with_what_to_do() {
    require_backends!();
    let daemon = daemon();
    let runtime = runtime();
    let (_rpc, session) = runtime.block_on(opened(&daemon, "")).unwrap();
    let packets: Vec<OwnedFd> = (0..MAX).map(|_| knock(&daemon).unwrap()).collect();
    let late = knock(&daemon).unwrap();
    send(&late, &hello(session.session_id, session.fd_token), &[]).unwrap();
    is_explained(&refusal(&late));
    let silent = knock(&daemon).unwrap();
    is_explained(&refusal(&silent));
    // The token is as good as before.
    drop(packets);
    let first = || {
        let fd = knock(&daemon).unwrap();
        send(&fd, &hello(session.session_id, session.fd_token), &[]).unwrap();
        receive(&fd).map(|(body, _)| body)
    };
    let accepted = fd_server_message::Body::Accepted(v1::FdAccepted {});
    wait_until("a place is free again", SOON, || {
        first().as_ref() == Some(&accepted)
    });
}

#[test]
fn connections_beyond_the_bound_that_say_nothing_hold_a_few_descriptors_for_a_moment() {
    require_backends!();
    let daemon = daemon();
    beside(&daemon, || {
        let held = |_| (wire::knock(&daemon).unwrap(), knock(&daemon).unwrap());
        let before = ProcState::of(daemon.pid()).unwrap().fds;
        let crowd: Vec<_> = (0..50).map(held).collect();
        let most = before + 2 * (MAX + LOBBY);
        let fds = ProcState::of(daemon.pid()).unwrap().fds;
        println!(
            "{before} descriptors before, {fds} with {} waiting",
            crowd.len()
        );
        assert!(fds <= most, "{fds} descriptors, {before} before");
    });
}
