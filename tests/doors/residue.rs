//! What an earlier owner left in memory: nobody else ever sees a byte of it.

use nn_proto::v1;
use nn_proto::v1::infer_request;
use nn_shm::Segment;
use nn_tests::{Daemon, require_backends, soak_rounds};

use crate::neighbour::echo_daemon;
use crate::raw::{Raw, RawGraph};

/// What the first one writes, everywhere.
const MARK: u8 = 0xa5;

const SEGMENT_BYTES: u64 = 64 * 1024;

/// Small segments, so that many can be looked at.
fn daemon() -> Daemon {
    let limits = format!("segment_bytes = {SEGMENT_BYTES}");
    echo_daemon(Daemon::builder().with_limits(&limits))
}

fn bytes_of(mapping: &nn_shm::Mapping) -> Vec<u8> {
    let len = u64::try_from(mapping.len()).unwrap();
    let mut bytes = vec![0; mapping.len()];
    mapping.slice(0, len).unwrap().copy_to(&mut bytes).unwrap();
    bytes
}

/// One compute over the first bytes of the input; gives all of the output's segment.
fn output_segment(raw: &Raw, graph: &RawGraph, bytes: u64) -> Vec<u8> {
    let mut stream = raw.stream();
    let elements = u32::try_from(bytes / 4).unwrap();
    let compute = graph.compute("x", v1::DType::Fp32, &[elements], bytes);
    stream.send(1, infer_request::Body::Compute(compute));
    let (grant, fd) = raw.grant();
    let (_, answer) = stream.answer(raw).unwrap();
    assert!(
        matches!(answer, v1::infer_response::Body::Outputs(_)),
        "{answer:?}"
    );
    let segment = Segment::for_reader(fd, grant.bytes).unwrap();
    bytes_of(&segment.map_reader().unwrap())
}

#[test]
fn nothing_that_a_session_wrote_is_ever_seen_by_another() {
    require_backends!();
    let daemon = daemon();
    for round in 0..50 * soak_rounds(1) {
        {
            let first = Raw::of(&daemon, "first").unwrap();
            let graph = first.graph("echo");
            let len = u64::try_from(graph.input.len()).unwrap();
            let all = vec![MARK; graph.input.len()];
            graph.input.slice(0, len).unwrap().copy_from(&all).unwrap();
            let echoed = output_segment(&first, &graph, SEGMENT_BYTES / 2);
            assert!(echoed.contains(&MARK), "the mark went through the worker");
        }
        // The same tenant and another, by turns; the same user, the same worker.
        let tenant = if round % 2 == 0 { "first" } else { "second" };
        let second = Raw::of(&daemon, tenant).unwrap();
        let graph = second.graph("echo");
        assert!(bytes_of(&graph.input).iter().all(|&byte| byte == 0));
        let output = output_segment(&second, &graph, 64);
        assert!(output.iter().all(|&byte| byte == 0), "{tenant}");
    }
}
