//! A client that leaves while it is answered: what the answer would have given it stays behind with nobody.

use nn_proto::v1;
use nn_tests::{Daemon, require_backends, wait_until};

use crate::neighbour::echo_daemon;
use crate::raw::Raw;
use crate::wire::{Wire, Written, nth, reset, whole};

const RESOLVE: &str = "/nn.v1.Inference/ResolveGraph";

const CALLS: u32 = 100;

const SOON: std::time::Duration = std::time::Duration::from_secs(10);

/// Graphs of all sessions, by the daemon's account.
fn graphs(daemon: &Daemon) -> u64 {
    let status = daemon.status();
    let sessions = status["sessions"].as_array().unwrap();
    let graphs = sessions.iter().map(|of| of["graphs"].as_u64().unwrap());
    graphs.sum()
}

#[test]
fn a_graph_whose_client_has_left_before_the_answer_is_held_by_nobody() {
    require_backends!();
    let daemon = echo_daemon(Daemon::builder());
    let session = Raw::open(&daemon);
    let request = v1::ResolveGraphRequest {
        session_id: Some(session.id),
        reference: "echo".to_owned(),
    };
    let mut wire = Wire::open(&daemon, &[]);
    let left = (0..CALLS).flat_map(|n| [whole(nth(n), RESOLVE, &request), reset(nth(n))]);
    let left = left.collect::<Vec<_>>().concat();
    assert_eq!(wire.write(&left), Written::All);
    assert!(wire.is_alive(), "the connection was ended");
    wait_until("nobody has a graph", SOON, || graphs(&daemon) == 0);
    assert!(
        daemon.log().contains("its hold goes back"),
        "none of them got as far as an answer"
    );

    // One that stays until it is answered has it.
    session.resolve("echo").unwrap();
    assert_eq!(graphs(&daemon), 1);
}
