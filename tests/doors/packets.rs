//! Packets on `fd.sock` that no honest client sends, connections that say nothing, and too many of them.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use nn_proto::v1;
use nn_proto::v1::fd_client_message::Body;
use nn_tests::{Daemon, require_backends, soak_rounds, wait_until};

use crate::neighbour::{beside, echo_daemon};
use crate::raw::{Random, hello, knock, opened, packet, receive, refusal, runtime, send};
use crate::wire;

/// `limits.connections_per_uid_max`.
const PER_UID: usize = 64;

/// How long a client may take to claim its session.
const CLAIM: Duration = Duration::from_secs(5);

fn daemon() -> Daemon {
    echo_daemon(Daemon::builder())
}

#[test]
fn packets_of_any_bytes_end_their_connection() {
    require_backends!();
    let daemon = daemon();
    beside(&daemon, || {
        let mut random = Random::new();
        for _ in 0..1000 * soak_rounds(1) {
            let fd = knock(&daemon).unwrap();
            let len = [0, 1, 17, 200, 4096, 4097, 65536][random.below(7)];
            // It may have been refused already: then there is nobody to send to.
            let _ = send(&fd, &random.bytes(len), &[]);
            while receive(&fd).is_some() {}
        }
    });
}

#[test]
fn packets_out_of_their_turn_end_their_connection() {
    require_backends!();
    let daemon = daemon();
    let mapped = v1::FdMapped {
        arena_id: 1,
        segment: 0,
    };
    let mapped = packet(Body::Mapped(mapped));
    let fd = knock(&daemon).unwrap();
    send(&fd, &mapped, &[]).unwrap();
    assert_eq!(refusal(&fd), Some(v1::Code::InvalidArgument));

    let raw = crate::raw::Raw::open(&daemon);
    send(&raw.fds, &hello(None, None), &[]).unwrap();
    assert!(receive(&raw.fds).is_none(), "a second hello");
    assert!(raw.resolve("echo").is_err(), "the session has ended");
}

#[test]
fn a_token_is_not_guessed_and_not_used_twice() {
    require_backends!();
    let daemon = daemon();
    let runtime = runtime();
    let (_rpc, session) = runtime.block_on(opened(&daemon, "")).unwrap();
    let began = Instant::now();
    beside(&daemon, || {
        let mut random = Random::new();
        let mut any = || {
            Some(v1::Id128 {
                high: random.next(),
                low: random.next(),
            })
        };
        for round in 0..500 * soak_rounds(1) {
            let fd = knock(&daemon).unwrap();
            // Of a session that is there, while it is, and of one that never was.
            let id = if round % 2 == 0 {
                session.session_id
            } else {
                any()
            };
            send(&fd, &hello(id, any()), &[]).unwrap();
            assert_eq!(refusal(&fd), Some(v1::Code::NotFound));
        }
    });
    println!("{:?}", began.elapsed());
    let (_rpc, session) = runtime.block_on(opened(&daemon, "")).unwrap();
    let right = hello(session.session_id, session.fd_token);
    let first = knock(&daemon).unwrap();
    send(&first, &right, &[]).unwrap();
    assert!(receive(&first).is_some(), "the right token opens");
    let second = knock(&daemon).unwrap();
    send(&second, &right, &[]).unwrap();
    assert_eq!(refusal(&second), Some(v1::Code::NotFound));
}

#[test]
fn connections_that_say_nothing_are_told_why_they_end() {
    require_backends!();
    let daemon = daemon();
    beside(&daemon, || {
        let silent: Vec<OwnedFd> = (0..PER_UID / 2).map(|_| knock(&daemon).unwrap()).collect();
        let began = Instant::now();
        for fd in &silent {
            assert_eq!(refusal(fd), Some(v1::Code::InvalidArgument));
        }
        assert!(began.elapsed() < 3 * CLAIM, "{:?}", began.elapsed());
    });
}

#[test]
fn a_storm_of_connections_leaves_both_doors_open() {
    require_backends!();
    let daemon = daemon();
    beside(&daemon, || {
        for _ in 0..1000 * soak_rounds(1) {
            drop(knock(&daemon).unwrap());
            drop(wire::knock(&daemon).unwrap());
        }
    });
    crate::raw::Raw::open(&daemon).resolve("echo").unwrap();
}

#[test]
fn a_thousand_connections_that_begin_and_stop_leave_the_doors_open_to_others() {
    use std::io::Write;
    require_backends!();
    let daemon = daemon();
    beside(&daemon, || {
        let half = |_| {
            let mut stream = wire::knock(&daemon).unwrap();
            // Refused at once beyond so many for each uid.
            let _ = stream.write_all(&wire::PREFACE[..12]);
            (stream, knock(&daemon).unwrap())
        };
        let held: Vec<_> = (0..1000).map(half).collect();
        let began = Instant::now();
        // A new client of the same uid: as soon as the first of those have had their time.
        let runtime = runtime();
        wait_until("a new client is let in", 3 * CLAIM, || {
            let client = daemon.client();
            runtime.block_on(async { client.resolve("echo").await.is_ok() })
        });
        println!("a new client waited {:?}", began.elapsed());
        drop(held);
    });
}
