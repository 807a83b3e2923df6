//! A model at its endpoints, over real sockets and the real dialer's loop: what becomes of a call when the engine does what
//! it should not. Each engine here is written against what it is to do, and counts what reaches it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, which clippy takes for production code"
)]

mod breaker;
mod breaks;
mod engines;
mod process;
mod rig;
mod tls;
mod wrong;

use std::time::Duration;

use engines::{Act, Engine};
use nn_tensor::{Dim, Reason};
use rig::{SOON, call, local, open, remote};

#[test]
fn an_engine_s_answer_is_the_call_s() {
    local(async {
        let server = Engine::start(|_, _| Act::Right).await;
        let engine = open(remote(&[&server.address])).await.unwrap();
        let [input] = engine.signature().inputs.as_slice() else {
            panic!("{:?}", engine.signature())
        };
        assert_eq!(input.dims, Some(vec![Dim::Any, Dim::Fixed(2)]));
        let answer = call(&engine, &[1.0, 2.0, 3.0, 4.0], SOON).await.unwrap();
        assert_eq!(answer, [2.0, 3.0, 4.0, 5.0]);
        let answer = call(&engine, &[-1.0, 0.5], SOON).await.unwrap();
        assert_eq!(answer, [0.0, 1.5]);
        assert_eq!((server.infers(), server.connections()), (2, 1));
    });
}

#[test]
fn elements_that_come_as_a_list_are_the_same() {
    local(async {
        let server = Engine::start(|_, _| Act::RightListed).await;
        let engine = open(remote(&[&server.address])).await.unwrap();
        let answer = call(&engine, &[1.0, 2.0], SOON).await.unwrap();
        assert_eq!(answer, [2.0, 3.0]);
    });
}

#[test]
fn many_calls_share_a_connection_and_none_waits_for_another() {
    local(async {
        let server = Engine::start(|count, _| match count {
            0 => Act::Hang,
            _ => Act::Right,
        })
        .await;
        let engine = open(remote(&[&server.address])).await.unwrap();
        let hanging = call(&engine, &[0.0, 0.0], SOON);
        let others = async {
            while server.infers() == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            for number in 0..20_u8 {
                let one = f32::from(number);
                let answer = call(&engine, &[one, one], SOON).await.unwrap();
                assert_eq!(answer, [one + 1.0, one + 1.0]);
            }
        };
        tokio::select! {
            _ = hanging => panic!("it hangs"),
            () = others => {}
        }
        assert_eq!(server.connections(), 1);
    });
}

#[test]
fn a_large_message_goes_and_comes_whole() {
    local(async {
        let server = Engine::start(|_, _| Act::Right).await;
        let engine = open(remote(&[&server.address])).await.unwrap();
        let values: Vec<f32> = (0..500_000_u32).map(|n| (n % 1000) as f32).collect();
        let answer = call(&engine, &values, SOON).await.unwrap();
        let wanted: Vec<f32> = values.iter().map(|value| value + 1.0).collect();
        assert!(answer == wanted);
    });
}

#[test]
fn a_message_beyond_its_bound_is_not_sent() {
    local(async {
        let server = Engine::start(|_, _| Act::Right).await;
        let mut remote = remote(&[&server.address]);
        remote.message_bytes_max = 100;
        let engine = open(remote).await.unwrap();
        let failed = call(&engine, &[0.0; 40], SOON).await.unwrap_err();
        assert_eq!((failed.reason, failed.sent), (Reason::RemoteMessage, false));
        assert_eq!(server.infers(), 0);
    });
}

#[test]
fn what_the_operator_says_goes_along_with_every_call() {
    local(async {
        let server = Engine::start(|_, _| Act::Right).await;
        let mut remote = remote(&[&server.address]);
        remote.headers = vec![("authorization".to_owned(), "Bearer x".to_owned())];
        remote.version = "7".to_owned();
        let engine = open(remote).await.unwrap();
        call(&engine, &[1.0, 2.0], SOON).await.unwrap();
        let heads = server.heads();
        assert_eq!(heads.len(), 3, "ready, metadata, infer");
        for head in heads {
            assert_eq!(head.headers["authorization"], "Bearer x");
            assert_eq!(head.headers["te"], "trailers");
            assert_eq!(head.uri.authority().unwrap().as_str(), server.address);
            let timeout = head.headers["grpc-timeout"].to_str().unwrap();
            let left: u64 = timeout.strip_suffix('m').unwrap().parse().unwrap();
            assert!(left <= 60_000, "{left}");
        }
        assert_eq!(server.last_version(), "7");
    });
}
