//! A worker that was taken over and floods the log, with bytes that would drive a terminal.

use std::time::{Duration, Instant};

use nn_proto::v1;
use nn_proto::v1::infer_request;
use nn_tests::{Daemon, fake_model, require_backends};

use crate::neighbour::{beside, echo_daemon};
use crate::raw::Raw;

/// Lines that the daemon takes from one worker in a second.
const LINES_PER_SECOND: u64 = 50;

const FLOOD: Duration = Duration::from_secs(3);

#[test]
fn a_worker_that_floods_the_log_gets_a_few_lines_of_it_and_no_say_over_a_terminal() {
    require_backends!();
    let daemon = echo_daemon(Daemon::builder());
    daemon.load("crash", &fake_model("crash"));
    let began = Instant::now();
    beside(&daemon, || {
        let raw = Raw::open(&daemon);
        let graph = raw.graph("crash");
        let how = graph.input.slice(0, 8).unwrap();
        how.copy_from(&7_i64.to_le_bytes()).unwrap();
        let mut compute = graph.compute("how", v1::DType::I64, &[], 8);
        compute.timeout_us = FLOOD.as_micros().try_into().unwrap();
        let mut stream = raw.stream();
        stream.send(1, infer_request::Body::Compute(compute));
        let (_, body) = stream.answer(&raw).unwrap();
        assert!(
            matches!(body, v1::infer_response::Body::Error(_)),
            "{body:?}"
        );
    });
    let log = daemon.log();
    let lines = log.lines().filter(|line| line.contains("flood ")).count();
    println!("{lines} lines, {} bytes of log", log.len());
    let seconds = began.elapsed().as_secs() + 2;
    assert!(lines > 0 && u64::try_from(lines).unwrap() <= seconds * LINES_PER_SECOND);
    assert!(
        !log.contains(['\x1b', '\x07']),
        "the log has control characters"
    );
}
