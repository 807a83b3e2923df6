//! Endpoints that fail, and come back.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use nn_tensor::Reason;
use nn_worker_wire::Breaker;
use tokio::time::sleep;

use crate::engines::{Act, Engine};
use crate::rig::{SHORT, SOON, call, local, open, remote};

#[test]
fn an_endpoint_that_fails_is_left_alone_and_comes_back() {
    local(async {
        let server = Engine::start(|_, _| Act::Right).await;
        let engine = open(remote(&[&server.address])).await.unwrap();
        call(&engine, &[1.0, 2.0], SOON).await.unwrap();
        server.stop();
        // Which of them are refused at once for having failed just now makes no difference.
        loop {
            let failed = call(&engine, &[1.0, 2.0], SOON).await.unwrap_err();
            assert!(
                !failed.sent || failed.reason == Reason::RemoteLost,
                "{failed:?}"
            );
            if failed.reason == Reason::RemoteRefused {
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(engine.states()[0].breaker, Breaker::Open);
        assert!(engine.states()[0].failures >= 3);
        let again = Engine::start_at(&server.address, |_, _| Act::Right).await;
        while call(&engine, &[1.0, 2.0], SOON).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
        let state = &engine.states()[0];
        assert_eq!((state.breaker, state.failures), (Breaker::Closed, 0));
        assert_eq!(state.reason, "");
        assert_eq!(again.infers(), 1);
    });
}

#[test]
fn with_one_of_two_endpoints_dead_all_calls_are_served() {
    local(async {
        let dead = Engine::start(|_, _| Act::Right).await;
        let alive = Engine::start(|_, _| Act::Right).await;
        let engine = open(remote(&[&dead.address, &alive.address]))
            .await
            .unwrap();
        dead.stop();
        sleep(Duration::from_millis(50)).await;
        for _ in 0..20 {
            assert_eq!(call(&engine, &[1.0, 2.0], SOON).await, Ok(vec![2.0, 3.0]));
        }
        assert_eq!((dead.infers(), alive.infers()), (0, 20));
    });
}

#[test]
fn calls_go_where_fewest_are() {
    local(async {
        let one = Engine::start(|_, _| Act::Hang).await;
        let other = Engine::start(|_, _| Act::Hang).await;
        let engine = open(remote(&[&one.address, &other.address])).await.unwrap();
        let mut set = tokio::task::JoinSet::new();
        for _ in 0..6 {
            let engine = Rc::clone(&engine);
            set.spawn_local(async move { call(&engine, &[1.0, 2.0], SHORT).await });
        }
        while set.join_next().await.is_some() {}
        assert_eq!((one.infers(), other.infers()), (3, 3));
    });
}

#[test]
fn an_endpoint_with_another_model_is_not_used_and_said() {
    local(async {
        let right = Engine::start(|_, _| Act::Right).await;
        let other = Engine::start(|_, _| Act::Right).await;
        other.set_output("z");
        let mut remote = remote(&[&right.address, &other.address]);
        remote.breaker.failures = 1;
        let engine = open(remote).await.unwrap();
        for _ in 0..6 {
            assert_eq!(call(&engine, &[1.0, 2.0], SOON).await, Ok(vec![2.0, 3.0]));
        }
        assert_eq!((right.infers(), other.infers()), (6, 0));
        let state = &engine.states()[1];
        assert_eq!(
            (state.breaker, state.reason.as_str()),
            (Breaker::Unfit, "remote-model")
        );
    });
}

/// An engine that has its model as long as this says so, and refuses calls with that status when it has not.
async fn forgetful(status: &'static str) -> (Engine, Rc<Cell<bool>>) {
    let has = Rc::new(Cell::new(true));
    let is_there = Rc::clone(&has);
    let server = Engine::start(move |_, _| {
        if is_there.get() {
            Act::Right
        } else {
            Act::Status(status, "no such model")
        }
    });
    (server.await, has)
}

#[test]
fn an_endpoint_whose_model_is_unloaded_costs_one_call_and_is_asked_until_it_is_back() {
    // NOT_FOUND and UNAVAILABLE.
    for status in ["5", "14"] {
        local(async {
            let (server, has) = forgetful(status).await;
            let other = Engine::start(|_, _| Act::Right).await;
            let mut remote = remote(&[&server.address, &other.address]);
            remote.breaker.failures = 1;
            let engine = open(remote).await.unwrap();
            call(&engine, &[1.0, 2.0], SOON).await.unwrap();
            has.set(false);
            server.set_ready(false);
            let mut failed = Vec::new();
            let ends = tokio::time::Instant::now() + Duration::from_millis(1000);
            while tokio::time::Instant::now() < ends {
                failed.extend(call(&engine, &[1.0, 2.0], SOON).await.err());
                sleep(Duration::from_millis(5)).await;
            }
            let [failed] = failed.as_slice() else {
                panic!("{failed:?}")
            };
            assert_eq!((failed.reason, failed.sent), (Reason::RemoteFailed, true));
            let state = &engine.states()[0];
            assert_eq!(
                (state.breaker, state.reason.as_str()),
                (Breaker::Unfit, "remote-model")
            );
            has.set(true);
            server.set_ready(true);
            let before = server.infers();
            while server.infers() < before + 2 {
                call(&engine, &[1.0, 2.0], SOON).await.unwrap();
            }
            assert_eq!(engine.states()[0].breaker, Breaker::Closed);
        });
    }
}

#[test]
fn an_endpoint_that_was_left_alone_says_that_it_is_back_before_a_call_is_sent_there() {
    local(async {
        let server = Engine::start(|count, _| match count {
            0 => Act::Hang,
            _ => Act::Right,
        })
        .await;
        let mut remote = remote(&[&server.address]);
        remote.compute_ms = 400;
        remote.breaker.failures = 1;
        let engine = open(remote).await.unwrap();
        let late = call(&engine, &[1.0, 2.0], SHORT).await.unwrap_err();
        assert_eq!(late.reason, Reason::RemoteDeadline);
        assert_eq!(engine.states()[0].breaker, Breaker::Open);
        while call(&engine, &[1.0, 2.0], SOON).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
        let heads = server.heads();
        let asked = heads
            .iter()
            .map(|head| head.uri.path().rsplit('/').next().unwrap());
        let once = ["ModelReady", "ModelMetadata", "ModelInfer"];
        assert!(asked.eq(once.into_iter().chain(once)), "{heads:?}");
        assert_eq!(server.connections(), 1);
    });
}

#[test]
fn an_endpoint_that_falls_silent_is_not_sent_more() {
    local(async {
        let server = Engine::start(|_, _| Act::Right).await;
        let other = Engine::start(|_, _| Act::Right).await;
        let mut remote = remote(&[&server.address, &other.address]);
        remote.connect_ms = 200;
        let engine = open(remote).await.unwrap();
        server.fall_silent();
        let before = server.infers();
        // One has it wait; others come meanwhile, and after.
        let waiting = call(&engine, &[1.0, 2.0], SHORT);
        let others = async {
            sleep(Duration::from_millis(250)).await;
            for _ in 0..8 {
                assert_eq!(call(&engine, &[1.0, 2.0], SOON).await, Ok(vec![2.0, 3.0]));
            }
        };
        let (late, ()) = tokio::join!(waiting, others);
        assert_eq!(late.unwrap_err().reason, Reason::RemoteDeadline);
        assert_eq!(server.infers(), before);
    });
}

/// Calls that many times in vain.
async fn late(engine: &Rc<nn_relay::engine::Engine>, times: u32, within: Duration) {
    for _ in 0..times {
        let failed = call(engine, &[1.0, 2.0], within).await.unwrap_err();
        assert_eq!(failed.reason, Reason::RemoteDeadline, "{failed:?}");
    }
}

#[test]
fn a_deadline_that_a_client_chose_leaves_the_endpoint_as_it_was() {
    local(async {
        let server = Engine::start(|_, _| Act::Hang).await;
        let mut remote = remote(&[&server.address]);
        remote.connect_ms = 100;
        remote.breaker.failures = 1;
        let engine = open(remote).await.unwrap();
        late(&engine, 5, Duration::from_millis(30)).await;
        // Longer than connecting may take: each time it says that it is there.
        late(&engine, 3, SHORT).await;
        let state = &engine.states()[0];
        assert_eq!((state.breaker, state.failures), (Breaker::Closed, 0));
        assert_eq!(server.infers(), 8);
    });
}

#[test]
fn one_that_takes_longer_than_its_operator_lets_any_call_is_left_alone() {
    local(async {
        let server = Engine::start(|_, _| Act::Hang).await;
        let mut remote = remote(&[&server.address]);
        remote.compute_ms = 400;
        remote.breaker.failures = 2;
        let engine = open(remote).await.unwrap();
        late(&engine, 2, SHORT).await;
        assert_eq!(engine.states()[0].breaker, Breaker::Open);
        let refused = call(&engine, &[1.0, 2.0], SHORT).await.unwrap_err();
        assert_eq!(
            (refused.reason, refused.sent),
            (Reason::RemoteRefused, false)
        );
    });
}

#[test]
fn one_that_says_nothing_to_anybody_is_left_alone_whatever_the_deadlines() {
    for within in [Duration::from_millis(150), SHORT] {
        local(async {
            let server = Engine::start(|_, _| Act::Right).await;
            let mut remote = remote(&[&server.address]);
            remote.connect_ms = 100;
            let engine = open(remote).await.unwrap();
            call(&engine, &[1.0, 2.0], SOON).await.unwrap();
            server.fall_silent();
            late(&engine, 1, within).await;
            assert_eq!(engine.states()[0].failures, 0);
            while engine.states()[0].breaker != Breaker::Open {
                let failed = call(&engine, &[1.0, 2.0], within).await.unwrap_err();
                assert!(!failed.sent, "{failed:?}");
                sleep(Duration::from_millis(20)).await;
            }
            assert_eq!(engine.states()[0].reason, "remote-unreachable");
            assert_eq!(server.infers(), 1);
        });
    }
}
