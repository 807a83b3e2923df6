//! Clients that keep what they get: places in queues, outputs, memory, answers. Who hoards is refused; who does not is
//! served.

use nn_proto::v1;
use nn_proto::v1::{infer_request, infer_response};
use nn_tensor::Code;
use nn_tests::{Daemon, fake_model, require_backends};

use crate::neighbour::{beside, echo_daemon};
use crate::raw::{Raw, RawGraph, RawStream};

const QUEUE: u64 = 8;
const WINDOW: u64 = 1;

fn sleep(graph: &RawGraph, ms: i64) -> infer_request::Body {
    let bytes = ms.to_le_bytes();
    graph.input.slice(0, 8).unwrap().copy_from(&bytes).unwrap();
    infer_request::Body::Compute(graph.compute("ms", v1::DType::I64, &[], 8))
}

/// A session, its graph of the model that sleeps, and its stream.
fn sleeper(daemon: &Daemon) -> (Raw, RawGraph, RawStream) {
    let raw = Raw::open(daemon);
    let graph = raw.graph("sleep");
    let stream = raw.stream();
    (raw, graph, stream)
}

fn is_busy(body: &infer_response::Body) -> bool {
    matches!(body, infer_response::Body::Error(error) if error.code() == v1::Code::Busy)
}

#[test]
fn a_session_that_fills_a_queue_leaves_places_to_others() {
    require_backends!();
    let limits = format!("queue_per_model_max = {QUEUE}\nworker_window = {WINDOW}");
    let daemon = echo_daemon(Daemon::builder().with_limits(&limits));
    daemon.load("sleep", &fake_model("sleep"));
    let (hoarder, hoard, mut its) = sleeper(&daemon);
    let (honest, graph, mut own) = sleeper(&daemon);
    // Its first answer says that both ways are open and both arenas mapped.
    own.send(1, sleep(&graph, 0));
    assert!(!is_busy(&own.answer(&honest).unwrap().1));

    for id in 0..4 * QUEUE {
        its.send(id, sleep(&hoard, 300));
    }
    // Refusals come at once; whoever gets one has what it may have.
    let (_, first) = its.answer(&hoarder).unwrap();
    assert!(is_busy(&first), "{first:?}");
    for id in 2..5 {
        own.send(id, sleep(&graph, 0));
        let (answered, body) = own.answer(&honest).unwrap();
        assert_eq!(answered, id);
        assert!(!is_busy(&body), "{body:?}");
    }
    let rest = (1..4 * QUEUE).map(|_| its.answer(&hoarder).unwrap().1);
    let refused = 1 + rest.filter(is_busy).count();
    println!("{refused} of {} refused", 4 * QUEUE);
    // Half of the queue, the worker's window, and the one that waits for it.
    let most = QUEUE / 2 + WINDOW + 1;
    assert!(u64::try_from(refused).unwrap() >= 4 * QUEUE - most);
}

#[test]
fn outputs_that_are_never_released_are_their_own_tenants_trouble() {
    require_backends!();
    const MIB: u64 = 1 << 20;
    let limits = format!(
        "arena_bytes_per_tenant_max = {}\nsegment_bytes = {MIB}",
        8 * MIB
    );
    let daemon = echo_daemon(Daemon::builder().with_limits(&limits));
    let elements = u32::try_from(MIB / 4).unwrap();
    beside(&daemon, || {
        let hoarder = Raw::of(&daemon, "hoarder").unwrap();
        let graph = hoarder.graph("echo");
        let mut stream = hoarder.stream();
        for id in 0..100 {
            let compute = graph.compute("x", v1::DType::Fp32, &[elements], MIB);
            stream.send(id, infer_request::Body::Compute(compute));
            let (_, body) = stream.answer(&hoarder).unwrap();
            if is_busy(&body) {
                println!("busy after {id}");
                assert!(id < 8);
                return;
            }
        }
        panic!("100 MiB of outputs in 8 MiB");
    });
}

#[test]
fn memory_beyond_a_tenants_share_is_refused_and_the_next_tenant_served() {
    require_backends!();
    let limits = "arena_bytes_per_tenant_max = 8388608\nsegment_bytes = 1048576";
    let daemon = echo_daemon(Daemon::builder().with_limits(limits));
    beside(&daemon, || {
        let hoarder = Raw::of(&daemon, "hoarder").unwrap();
        let graph = hoarder.graph("echo");
        let refused = (0..100).find_map(|_| {
            let grown = hoarder.grow(graph.resolved.arena_id, 1);
            let _ = grown.as_ref().map(|_| hoarder.grant());
            grown.err()
        });
        let fault = nn_client::status_to_fault(&refused.unwrap());
        assert_eq!(fault.code, Code::Busy, "{fault:?}");
    });
}

#[test]
fn sessions_beyond_the_bound_are_refused_and_those_that_are_there_live_on() {
    require_backends!();
    let daemon = echo_daemon(Daemon::builder().with_limits("sessions_per_uid_max = 8"));
    beside(&daemon, || {
        let mut sessions = Vec::new();
        let status = loop {
            match Raw::of(&daemon, "") {
                Ok(raw) => sessions.push(raw),
                Err(status) => break status,
            }
        };
        // The neighbour has one of them, and nnctl may have had another.
        assert!((6..8).contains(&sessions.len()), "{}", sessions.len());
        assert_eq!(
            nn_client::status_to_fault(&status).code,
            Code::Busy,
            "{status:?}"
        );
        assert!(sessions[0].resolve("echo").is_ok());
    });
}

#[test]
fn a_client_that_takes_no_descriptors_loses_its_session_and_others_get_theirs() {
    require_backends!();
    let limits = "arena_bytes_per_tenant_max = 1073741824\nsegment_bytes = 4096";
    let daemon = echo_daemon(Daemon::builder().with_limits(limits));
    beside(&daemon, || {
        let hoarder = Raw::of(&daemon, "hoarder").unwrap();
        let graph = hoarder.graph("echo");
        let refused = (0..10_000).find_map(|n| {
            let grown = hoarder.grow(graph.resolved.arena_id, 1);
            Some((n, grown.err()?))
        });
        let (granted, status) = refused.unwrap();
        println!("{granted} descriptors, then {status:?}");
        let others = Raw::open(&daemon);
        others.graph("echo");
        nn_tests::wait_until(
            "its session ends",
            std::time::Duration::from_secs(20),
            || hoarder.resolve("echo").is_err(),
        );
    });
}

#[test]
fn a_client_that_reads_no_answers_loses_its_session() {
    require_backends!();
    let daemon = echo_daemon(Daemon::builder());
    let silent = Raw::of(&daemon, "silent").unwrap();
    let graph = silent.graph("echo");
    // Its answers are kept until somebody asks for them, and nobody does.
    let stream = silent.stream();
    beside(&daemon, || {
        let ended = (0..20_000).find(|&id| {
            let compute = graph.compute("x", v1::DType::Fp32, &[1], 4);
            stream.send(id, infer_request::Body::Compute(compute));
            id % 500 == 499 && silent.resolve("echo").is_err()
        });
        println!("ended by {ended:?}");
        assert!(ended.is_some());
    });
}
