//! Floods of frames on `nn.sock`.

use nn_proto::v1;
use nn_proto::v1::inference_client::InferenceClient;
use nn_tests::{Daemon, require_backends, soak_rounds};

use crate::neighbour::{beside, echo_daemon};
use crate::wire::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, INITIAL_WINDOW_SIZE, PING, PRIORITY,
    SETTINGS, WINDOW_UPDATE, Wire, Written, begin, call, field, frame, grpc, knock, nth, reset,
    settings, whole,
};

const LIST: &str = "/nn.v1.Models/List";
const OPEN: &str = "/nn.v1.Inference/OpenSession";
const INFER: &str = "/nn.v1.Inference/Infer";

const FRAME_SIZE_ERROR: u32 = 6;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

/// The most streams that a connection may have open.
const STREAMS_MAX: u32 = 256;

fn daemon() -> Daemon {
    echo_daemon(Daemon::builder())
}

#[test]
fn streams_that_are_opened_and_reset_at_once_are_their_connections_trouble_alone() {
    require_backends!();
    let daemon = daemon();
    let written = beside(&daemon, || {
        let mut wire = Wire::open(&daemon, &[]);
        let burst = |first: u32| {
            let pairs = (first..first + 100).flat_map(|n| [begin(nth(n), LIST), reset(nth(n))]);
            pairs.collect::<Vec<_>>().concat()
        };
        let bursts = (0..100 * soak_rounds(1)).map(|n| wire.write(&burst(100 * n)));
        bursts.last()
    });
    println!("{written:?}");
}

#[test]
fn a_thousand_calls_that_are_cancelled_in_one_breath_do_not_cost_the_connection() {
    require_backends!();
    let daemon = daemon();
    let mut wire = Wire::open(&daemon, &[]);
    // What an honest client can do while the daemon looks elsewhere: as many calls as may be open, all cancelled, again.
    let breath = (0..4).flat_map(|round| {
        let streams = (250 * round..250 * (round + 1)).map(nth);
        let begun = streams.clone().map(|stream| begin(stream, OPEN));
        begun.chain(streams.map(reset)).collect::<Vec<_>>()
    });
    let breath = breath.collect::<Vec<_>>().concat();
    assert_eq!(wire.write(&breath), Written::All);
    assert!(wire.is_alive(), "the connection was ended");
    wire.write(&whole(nth(1000), LIST, &v1::ListRequest {}));
    assert!(wire.stream_ends(nth(1000)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_drops_a_thousand_calls_keeps_its_connection() {
    require_backends!();
    let daemon = daemon();
    for _ in 0..5 * soak_rounds(1) {
        // A client of its own each time: h2 gives up a connection for which it has heard a thousand late answers.
        let channel = nn_client::channel(&daemon.socket()).await.unwrap();
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..1000 {
            let mut rpc = InferenceClient::new(channel.clone());
            calls.spawn(async move {
                let request = v1::ResolveGraphRequest::default();
                rpc.resolve_graph(request).await.map(drop)
            });
        }
        // Some are answered, some on their way, some have not left yet.
        let _first = calls.join_next().await;
        calls.shutdown().await;
        let mut rpc = InferenceClient::new(channel);
        let request = v1::ResolveGraphRequest::default();
        let status = rpc.resolve_graph(request).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status:?}");
    }
}

#[test]
fn headers_without_an_end_end_their_connection() {
    require_backends!();
    let daemon = daemon();
    let code = beside(&daemon, || {
        let mut wire = Wire::open(&daemon, &[]);
        wire.write(&frame(HEADERS, 0, 1, &call(LIST)));
        let more = frame(CONTINUATION, 0, 1, &field("x", &"y".repeat(100)));
        let written = wire.repeat(&more, 10_000 * soak_rounds(1));
        assert_eq!(written, Written::Ended);
        wire.ends()
    });
    println!("ended with {code:?}");
}

#[test]
fn empty_frames_of_data_end_their_connection() {
    require_backends!();
    let daemon = daemon();
    let code = beside(&daemon, || {
        let mut wire = Wire::open(&daemon, &[]);
        wire.write(&begin(1, INFER));
        wire.repeat(&frame(DATA, 0, 1, &[]), 20_000 * soak_rounds(1));
        wire.ends()
    });
    assert_eq!(code, Some(ENHANCE_YOUR_CALM));
}

#[test]
fn data_byte_by_byte_is_its_connections_trouble_alone() {
    require_backends!();
    let daemon = daemon();
    let written = beside(&daemon, || {
        let mut wire = Wire::open(&daemon, &[]);
        wire.write(&begin(1, INFER));
        wire.write(&frame(DATA, 0, 1, &[0, 0, 0, 0xff, 0xff]));
        wire.repeat(&frame(DATA, 0, 1, &[0]), 10_000 * soak_rounds(1))
    });
    println!("{written:?}");
}

#[test]
fn control_frames_in_masses_are_answered_or_held_back() {
    require_backends!();
    let daemon = daemon();
    let floods = [
        ("pings", frame(PING, 0, 0, b"ping....")),
        ("answers to pings", frame(PING, ACK, 0, b"ping....")),
        ("settings", settings(&[(INITIAL_WINDOW_SIZE, 1 << 16)])),
        ("answers to settings", frame(SETTINGS, ACK, 0, &[])),
        ("windows", frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes())),
        ("priorities", frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1])),
        ("frames of no kind", frame(0xfe, 0xff, 0, b"?")),
        ("resets of what never was", reset(1)),
    ];
    beside(&daemon, || {
        for (name, flood) in &floods {
            let mut wire = Wire::open(&daemon, &[]);
            let written = wire.repeat(flood, 10_000 * soak_rounds(1));
            println!("{name}: {written:?}");
        }
    });
}

#[test]
fn questions_whose_answers_are_not_read_are_held_back() {
    use std::io::Write;
    require_backends!();
    let daemon = daemon();
    beside(&daemon, || {
        let floods = [
            frame(PING, 0, 0, b"ping...."),
            settings(&[(INITIAL_WINDOW_SIZE, 1)]),
        ];
        for flood in floods {
            let mut stream = knock(&daemon).unwrap();
            let time = std::time::Duration::from_secs(1);
            stream.set_write_timeout(Some(time)).unwrap();
            stream.write_all(crate::wire::PREFACE).unwrap();
            stream.write_all(&settings(&[])).unwrap();
            let many = flood.repeat(1000);
            // As much as both sockets hold, and no more.
            let written = (0..10_000).find(|_| stream.write_all(&many).is_err());
            assert!(written.is_some(), "the daemon reads on without being read");
        }
    });
}

#[test]
fn a_list_of_headers_beyond_the_bound_is_refused_and_the_connection_lives() {
    require_backends!();
    let daemon = daemon();
    beside(&daemon, || {
        let mut wire = Wire::open(&daemon, &[]);
        let fields = field("x", &"y".repeat(100)).repeat(100);
        wire.write(&frame(HEADERS, END_STREAM, 1, &call(LIST)));
        wire.write(&frame(CONTINUATION, END_HEADERS, 1, &fields));
        assert!(wire.stream_ends(1));
        assert!(wire.is_alive());
    });
}

#[test]
fn streams_beyond_the_bound_are_refused_and_the_connection_lives() {
    require_backends!();
    let daemon = daemon();
    beside(&daemon, || {
        const STREAMS: u32 = 1000;
        let mut wire = Wire::open(&daemon, &[]);
        let begun = (0..STREAMS).map(|n| begin(nth(n), LIST));
        wire.write(&begun.collect::<Vec<_>>().concat());
        let mut refused = 0;
        wire.wait(|frame| {
            refused += u32::from(frame.payload == REFUSED_STREAM.to_be_bytes());
            refused == STREAMS - STREAMS_MAX
        });
        assert!(wire.is_alive());
    });
}

#[test]
fn a_frame_beyond_the_size_ends_its_connection() {
    require_backends!();
    let daemon = daemon();
    let code = beside(&daemon, || {
        let mut wire = Wire::open(&daemon, &[]);
        let mut frame = frame(DATA, 0, 1, &[]);
        frame[..3].fill(0xff);
        wire.write(&frame);
        wire.ends()
    });
    assert_eq!(code, Some(FRAME_SIZE_ERROR));
}

#[test]
fn messages_of_any_bytes_are_answered_each_and_the_connection_lives() {
    require_backends!();
    let daemon = daemon();
    let paths = [
        OPEN,
        LIST,
        INFER,
        "/nn.v1.Inference/ResolveGraph",
        "/nn.v1.Admin/Status",
        "/no",
    ];
    beside(&daemon, || {
        let mut random = crate::raw::Random::new();
        for _ in 0..soak_rounds(1) {
            // This client gives no window back: what is answered at length would use one connection's up.
            let mut wire = Wire::open(&daemon, &[]);
            for n in 0..1000 {
                let path = paths[random.below(paths.len())];
                let len = random.below(300);
                let message = grpc(&random.bytes(len));
                // The last byte may be missing: then the message is cut short.
                let cut = message.len() - random.below(2);
                let data = frame(DATA, END_STREAM, nth(n), &message[..cut]);
                wire.write(&[begin(nth(n), path), data].concat());
                assert!(wire.stream_ends(nth(n)), "{path}: {message:?}");
            }
            assert!(wire.is_alive());
        }
    });
}

#[test]
fn a_message_of_impossible_length_is_refused_before_its_bytes() {
    require_backends!();
    let daemon = daemon();
    beside(&daemon, || {
        let mut wire = Wire::open(&daemon, &[]);
        for (n, path) in (0..).zip([OPEN, LIST, INFER, "/nn.v1.Inference/LoadGraph"]) {
            let head = frame(DATA, 0, nth(n), &[0, 0xff, 0xff, 0xff, 0xff]);
            wire.write(&[begin(nth(n), path), head].concat());
            assert!(wire.stream_ends(nth(n)), "{path}");
        }
        assert!(wire.is_alive());
    });
}
