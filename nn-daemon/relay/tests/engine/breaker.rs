//! Endpoints that fail, and come back.

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
            let engine = std::rc::Rc::clone(&engine);
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

#[test]
fn a_caller_without_patience_leaves_the_endpoint_as_it_was() {
    local(async {
        let server = Engine::start(|_, _| Act::Hang).await;
        let engine = open(remote(&[&server.address])).await.unwrap();
        for _ in 0..5 {
            let failed = call(&engine, &[1.0, 2.0], Duration::from_millis(30))
                .await
                .unwrap_err();
            assert_eq!(failed.reason, Reason::RemoteDeadline);
        }
        assert_eq!(engine.states()[0].breaker, Breaker::Closed);
        // With as long as connecting may take it counts.
        let mut impatient = remote(&[&server.address]);
        impatient.connect_ms = 100;
        impatient.breaker.failures = 2;
        let engine = open(impatient).await.unwrap();
        for _ in 0..2 {
            call(&engine, &[1.0, 2.0], SHORT).await.unwrap_err();
        }
        assert_eq!(engine.states()[0].breaker, Breaker::Open);
        let refused = call(&engine, &[1.0, 2.0], SHORT).await.unwrap_err();
        assert_eq!(
            (refused.reason, refused.sent),
            (Reason::RemoteRefused, false)
        );
    });
}
