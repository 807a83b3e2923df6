//! Clients that begin something and do not go on: each has an end that the daemon makes.

use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use nn_proto::v1;
use nn_tests::{Daemon, require_backends};

use crate::neighbour::{beside, echo_daemon};
use crate::wire::{
    DATA, END_HEADERS, END_STREAM, HEADERS, INITIAL_WINDOW_SIZE, PREFACE, Wire, begin, call, frame,
    knock, nth, settings, whole,
};

const LIST: &str = "/nn.v1.Models/List";
const OPEN: &str = "/nn.v1.Inference/OpenSession";
const INFER: &str = "/nn.v1.Inference/Infer";

/// Every deadline of a connection, and much patience.
const SOON: Duration = Duration::from_secs(25);

/// A connection that has written this and says no more, not even that it is there.
fn ends_after(daemon: &Daemon, written: &[u8]) {
    let mut stream = knock(daemon).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(written).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
}

/// A connection that is alive and has begun a call that it does not go on with.
fn stream_ends_after(daemon: &Daemon, written: &[u8]) {
    let mut wire = Wire::open(daemon, &[]);
    wire.write(written);
    assert!(wire.stream_ends(1));
    assert!(wire.is_alive(), "others may use the connection");
}

#[test]
fn what_a_client_begins_and_does_not_go_on_with_ends_in_time() {
    require_backends!();
    let daemon = echo_daemon(Daemon::builder());
    let greeting = [PREFACE, &settings(&[])].concat();
    let ends: [(&str, Vec<u8>); 5] = [
        ("nothing at all", Vec::new()),
        ("half a preface", PREFACE[..12].to_vec()),
        ("a preface", PREFACE.to_vec()),
        (
            "half a frame",
            [greeting.as_slice(), &[0, 0, 9, 9]].concat(),
        ),
        (
            "headers without an end",
            [greeting.as_slice(), &frame(HEADERS, 0, 1, &call(LIST))].concat(),
        ),
    ];
    let begun: [(&str, Vec<u8>); 4] = [
        ("a call without a message", begin(1, OPEN)),
        (
            "half a message",
            [begin(1, OPEN), frame(DATA, 0, 1, &[0, 0, 0, 0, 9, 1])].concat(),
        ),
        ("a stream that names no session", begin(1, INFER)),
        (
            "half of a stream's message",
            [begin(1, INFER), frame(DATA, 0, 1, &[0, 0, 0, 0, 9, 1])].concat(),
        ),
    ];
    beside(&daemon, || {
        let daemon = &daemon;
        thread::scope(|scope| {
            for (name, written) in &ends {
                scope.spawn(move || {
                    let began = Instant::now();
                    ends_after(daemon, written);
                    println!("{name}: {:?}", began.elapsed());
                });
            }
            for (name, written) in &begun {
                scope.spawn(move || {
                    let began = Instant::now();
                    stream_ends_after(daemon, written);
                    println!("{name}: {:?}", began.elapsed());
                });
            }
        });
    });
}

#[test]
fn a_client_that_takes_no_answers_loses_its_connection() {
    require_backends!();
    let daemon = echo_daemon(Daemon::builder());
    beside(&daemon, || {
        let mut wire = Wire::open(&daemon, &[(INITIAL_WINDOW_SIZE, 0)]);
        let calls = (0..200).map(|n| whole(nth(n), LIST, &v1::ListRequest {}));
        wire.write(&calls.collect::<Vec<_>>().concat());
        let began = Instant::now();
        wire.ends();
        println!("{:?}", began.elapsed());
    });
}

#[test]
fn a_client_that_ends_its_side_is_answered_and_holds_nothing() {
    require_backends!();
    let daemon = echo_daemon(Daemon::builder());
    let mut wire = Wire::open(&daemon, &[]);
    wire.write(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &call(INFER)));
    assert!(wire.stream_ends(1));
}
