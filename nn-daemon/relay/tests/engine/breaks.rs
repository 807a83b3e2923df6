//! Connections and streams that end, or do not.

use std::time::Duration;

use h2::Reason as H2Reason;
use nn_tensor::Reason;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::spawn_local;
use tokio::time::sleep;

use crate::engines::{Act, Engine, Shared};
use crate::rig::{SHORT, SOON, call, local, open, remote};

#[test]
fn a_connection_that_ends_in_the_middle_is_a_reason_and_the_next_call_makes_another() {
    for end in [|| Act::Close, || Act::GoAway] {
        local(async {
            let server = Engine::start(move |count, _| match count {
                0 => end(),
                _ => Act::Right,
            })
            .await;
            let engine = open(remote(&[&server.address])).await.unwrap();
            let failed = call(&engine, &[1.0, 2.0], SOON).await.unwrap_err();
            assert_eq!((failed.reason, failed.sent), (Reason::RemoteLost, true));
            // The stream ends before its connection does.
            sleep(Duration::from_millis(50)).await;
            assert_eq!(call(&engine, &[1.0, 2.0], SOON).await, Ok(vec![2.0, 3.0]));
            assert_eq!((server.infers(), server.connections()), (2, 2));
        });
    }
}

#[test]
fn a_stream_that_is_reset_is_not_sent_again() {
    local(async {
        let server = Engine::start(|count, _| match count {
            0 => Act::Reset(H2Reason::INTERNAL_ERROR),
            _ => Act::Right,
        })
        .await;
        let engine = open(remote(&[&server.address])).await.unwrap();
        let failed = call(&engine, &[1.0, 2.0], SOON).await.unwrap_err();
        assert_eq!((failed.reason, failed.sent), (Reason::RemoteLost, true));
        assert_eq!(server.infers(), 1);
    });
}

#[test]
fn a_stream_that_is_refused_is_sent_again_for_nothing_was_done() {
    local(async {
        let refuses = Engine::start(|_, _| Act::Reset(H2Reason::REFUSED_STREAM)).await;
        let other = Engine::start(|_, _| Act::Right).await;
        let engine = open(remote(&[&refuses.address, &other.address]))
            .await
            .unwrap();
        for _ in 0..4 {
            assert_eq!(call(&engine, &[1.0, 2.0], SOON).await, Ok(vec![2.0, 3.0]));
        }
        assert_eq!(other.infers(), 4);
    });
}

#[test]
fn a_stream_that_was_answered_in_part_is_not_sent_again_whatever_is_said() {
    local(async {
        let refuses = || Act::ResetLater(H2Reason::REFUSED_STREAM);
        let server = Engine::start(move |_, _| refuses()).await;
        let engine = open(remote(&[&server.address])).await.unwrap();
        let failed = call(&engine, &[1.0, 2.0], SOON).await.unwrap_err();
        assert_eq!((failed.reason, failed.sent), (Reason::RemoteLost, true));
        assert_eq!(server.infers(), 1);
    });
}

#[test]
fn a_call_ends_at_its_deadline_and_the_engine_is_told() {
    for act in [|| Act::Hang, || Act::Drip] {
        local(async {
            let server = Engine::start(move |_, _| act()).await;
            let engine = open(remote(&[&server.address])).await.unwrap();
            let failed = call(&engine, &[1.0, 2.0], SHORT).await.unwrap_err();
            assert_eq!((failed.reason, failed.sent), (Reason::RemoteDeadline, true));
            // Its client chose it: it does not speak against the endpoint.
            assert!(!failed.blames);
            while server.resets() == 0 {
                sleep(Duration::from_millis(5)).await;
            }
            assert_eq!((server.infers(), server.connections()), (1, 1));
        });
    }
}

#[test]
fn a_call_that_is_given_up_is_taken_back() {
    local(async {
        let server = Engine::start(|_, _| Act::Hang).await;
        let engine = open(remote(&[&server.address])).await.unwrap();
        let hanging = spawn_local({
            let engine = std::rc::Rc::clone(&engine);
            async move { call(&engine, &[1.0, 2.0], SOON).await }
        });
        while server.infers() == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(engine.states()[0].in_flight, 1);
        hanging.abort();
        while server.resets() == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(
            (engine.states()[0].in_flight, engine.states()[0].failures),
            (0, 0)
        );
    });
}

#[test]
fn bytes_that_are_no_http2_and_silence_are_not_waited_for() {
    for garbage in [
        b"SSH-2.0-OpenSSH_9.9\r\n".as_slice(),
        b"\0\0\xff\x04\0\0\0\0\0",
        b"",
    ] {
        local(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap().to_string();
            spawn_local(async move {
                let mut kept = Vec::new();
                while let Ok((mut stream, _)) = listener.accept().await {
                    stream.write_all(garbage).await.unwrap();
                    kept.push(stream);
                }
            });
            let mut remote = remote(&[&address]);
            remote.connect_ms = 500;
            let failed = open(remote).await.unwrap_err();
            assert_eq!(
                (failed.reason, failed.sent),
                (Reason::RemoteUnreachable, false)
            );
        });
    }
}

#[test]
fn an_endpoint_that_the_dialer_is_not_allowed_is_not_reached() {
    local(async {
        let server = Engine::start(|_, _| Act::Right).await;
        let other = remote(&["127.0.0.1:9"]);
        let dialer = crate::rig::dialer(&other.endpoints);
        let remote = remote(&[&server.address]);
        let failed = nn_relay::engine::Engine::open(remote, dialer)
            .await
            .unwrap_err();
        assert_eq!(failed.reason, Reason::RemoteUnreachable);
        assert!(failed.got.contains("[remote] endpoints"), "{failed:?}");
        assert_eq!(server.connections(), 0);
    });
}

/// An engine that says, as soon as a call comes, that it is going away and has not come to it.
async fn leaves(shared: std::rc::Rc<Shared>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    spawn_local(async move {
        // The first connection alone; what comes later is refused.
        let (mut stream, _) = listener.accept().await.unwrap();
        drop(listener);
        let (near, far) = tokio::io::duplex(64 * 1024);
        shared.spawn(far);
        let (mut from_engine, mut to_engine) = tokio::io::split(near);
        let (mut from_relay, mut to_relay) = stream.split();
        let (mut asked, mut answered) = ([0; 4096], [0; 4096]);
        loop {
            tokio::select! {
                read = from_engine.read(&mut answered) => {
                    to_relay.write_all(&answered[..read.unwrap()]).await.unwrap();
                }
                read = from_relay.read(&mut asked) => {
                    let asked = &asked[..read.unwrap()];
                    // A frame of headers for the third stream: after readiness and metadata.
                    let headers = [1_u8, 4, 0, 0, 0, 5];
                    if asked.windows(6).any(|bytes| bytes == headers) {
                        let goaway = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0];
                        to_relay.write_all(&goaway).await.unwrap();
                        sleep(SOON).await;
                    }
                    to_engine.write_all(asked).await.unwrap();
                }
            }
        }
    });
    address
}

#[test]
fn a_call_that_an_engine_had_not_come_to_when_it_left_is_sent_to_another() {
    local(async {
        let gone = Shared::new(|_, _| Act::Right);
        let leaving = leaves(std::rc::Rc::clone(&gone)).await;
        let other = Engine::start(|_, _| Act::Right).await;
        let engine = open(remote(&[&leaving, &other.address])).await.unwrap();
        for _ in 0..4 {
            assert_eq!(call(&engine, &[1.0, 2.0], SOON).await, Ok(vec![2.0, 3.0]));
        }
        assert_eq!((gone.infers(), other.infers()), (0, 4));
    });
}
