//! A daemon that is stopped for a while, as by a debugger, a freezer of control groups or a machine without processors to
//! spare. Whoever it was waiting for is not late: the daemon was.

use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use nn_proto::v1::{self, fd_server_message};
use nn_tests::{Daemon, compute, fake_model, require_backends, stop};

use crate::neighbour::echo_daemon;
use crate::raw::{hello, knock, opened, receive, runtime, send};
use crate::wire::{
    self, DATA, END_STREAM, INITIAL_WINDOW_SIZE, PREFACE, WINDOW_UPDATE, Wire, begin, frame, grpc,
    read_frame, settings, whole,
};

const LIST: &str = "/nn.v1.Models/List";

/// Longer than the daemon waits for anything that these clients owe it.
const FREEZE: Duration = Duration::from_secs(16);

/// So that what was sent has been read, and what is waited for has begun to be.
const MOMENT: Duration = Duration::from_secs(1);

fn resume(pid: u32) {
    kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGCONT).unwrap();
}

fn frozen(daemon: &Daemon, time: Duration) {
    stop(daemon.pid());
    thread::sleep(time);
    resume(daemon.pid());
}

#[test]
fn nobody_loses_a_connection_or_a_call_to_a_daemon_that_was_stopped() {
    require_backends!();
    let daemon = echo_daemon(Daemon::builder());
    let runtime = runtime();
    let client = daemon.client();
    runtime.block_on(client.resolve("echo")).unwrap();
    // An answer that waits for room; a message of which half has come; a session that nobody has claimed.
    let mut slow = Wire::open(&daemon, &[(INITIAL_WINDOW_SIZE, 0)]);
    slow.write(&whole(1, LIST, &v1::ListRequest {}));
    let mut halting = Wire::open(&daemon, &[]);
    let message = grpc(&[0; 8]);
    halting.write(&[begin(1, LIST), frame(DATA, 0, 1, &message[..7])].concat());
    let (_rpc, session) = runtime.block_on(opened(&daemon, "")).unwrap();
    let fd = knock(&daemon).unwrap();
    thread::sleep(MOMENT);

    frozen(&daemon, FREEZE);
    let thawed = Instant::now();
    thread::sleep(MOMENT);

    slow.write(&frame(WINDOW_UPDATE, 0, 1, &65_535_u32.to_be_bytes()));
    assert!(slow.stream_ends(1), "the answer");
    halting.write(&frame(DATA, END_STREAM, 1, &message[7..]));
    assert!(halting.stream_ends(1), "the call");
    assert!(slow.is_alive() && halting.is_alive());
    send(&fd, &hello(session.session_id, session.fd_token), &[]).unwrap();
    let first = receive(&fd).map(|(body, _)| body);
    let accepted = fd_server_message::Body::Accepted(v1::FdAccepted {});
    assert_eq!(first, Some(accepted));
    runtime.block_on(client.resolve("echo")).unwrap();
    assert_eq!(client.stats().sessions, 1, "the session is the same");
    println!("all was well {:?} after the stop", thawed.elapsed());
}

#[test]
fn a_client_that_was_stopped_finds_its_answer_and_then_the_end() {
    require_backends!();
    let daemon = echo_daemon(Daemon::builder());
    let mut stream = wire::knock(&daemon).unwrap();
    let asked = [
        PREFACE,
        &settings(&[]),
        &whole(1, LIST, &v1::ListRequest {}),
    ]
    .concat();
    stream.write_all(&asked).unwrap();
    // It reads nothing and answers no ping meanwhile.
    thread::sleep(FREEZE);
    stream.set_read_timeout(Some(FREEZE)).unwrap();
    let frames: Vec<_> = std::iter::from_fn(|| read_frame(&mut stream).ok()).collect();
    let answered = |frame: &wire::Frame| frame.stream == 1 && frame.ends_its_stream();
    assert!(frames.iter().any(answered), "{frames:?}");
    let rest = stream.read(&mut [0]).map_err(|error| error.kind());
    assert_eq!(rest, Ok(0), "the connection has ended");
}

#[test]
fn a_daemon_that_was_stopped_holds_it_against_no_worker() {
    require_backends!();
    let daemon = Daemon::builder().with_worker("nn-worker-fake").start();
    daemon.load("sleep", &fake_model("sleep"));
    let runtime = runtime();
    let client = daemon.client();
    let run = |ms: i64, timeout: Duration| {
        let client = client.clone();
        async move {
            let input = ("ms", nn_tensor::DType::I64, &[][..], &ms.to_le_bytes()[..]);
            compute(&client, "sleep", &[input], Some(timeout))
                .await
                .map(drop)
        }
    };
    runtime.block_on(run(0, MOMENT)).unwrap();
    let workers = daemon.workers();

    // The answer comes in time, and the deadline passes before anybody looks.
    let running = runtime.spawn(run(500, 2 * MOMENT));
    nn_tests::wait_until("the worker has the job", FREEZE, || daemon.in_flight() == 1);
    frozen(&daemon, 4 * MOMENT);
    println!("{:?}", runtime.block_on(running).unwrap());
    assert_eq!(daemon.workers(), workers, "{}", daemon.log());

    // It has been asked whether it is there, and answers while the daemon is away.
    stop(workers[0]);
    thread::sleep(4 * MOMENT);
    stop(daemon.pid());
    resume(workers[0]);
    thread::sleep(7 * MOMENT);
    resume(daemon.pid());
    runtime.block_on(run(0, FREEZE)).unwrap();
    assert_eq!(daemon.workers(), workers, "{}", daemon.log());
}
