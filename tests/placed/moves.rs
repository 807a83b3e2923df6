//! Versions that are moved while they are called: from here to an engine and back, over the daemon's restart too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use nn_tests::{nnctl, require_backends, until};

use super::{SOON, add, beside, engine, place_with_file, said};

/// Who calls meanwhile.
const CLIENTS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_while_a_version_moves() {
    require_backends!();
    let engine = engine(&["add-f32"]);
    let daemon = beside(&engine).start();
    let manifest = said(&engine, "add-f32", "").replace("placement = \"kserve\"\n", "");
    place_with_file(&daemon, "add", (&manifest, "add-f32"));
    let (stop, done) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let mut callers = tokio::task::JoinSet::new();
    for number in 0..CLIENTS {
        let (client, stop, done) = (daemon.client(), Arc::clone(&stop), Arc::clone(&done));
        callers.spawn(async move {
            let own = f32::from(u8::try_from(number).unwrap());
            while !stop.load(Ordering::Relaxed) {
                let answer = add(&client, "add", (&[own, 1.0], &[0.5, own]), None).await;
                assert_eq!(answer.unwrap(), [own + 0.5, own + 1.0]);
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let placed = |where_to: &str| {
        tokio::task::block_in_place(|| nnctl(&daemon, &["place", "add", where_to]).success());
        assert_eq!(daemon.models()[0]["placement"], where_to);
    };
    for where_to in ["kserve", "local", "kserve", "local"] {
        let before = done.load(Ordering::Relaxed);
        until("they call", SOON, || {
            done.load(Ordering::Relaxed) > before + 50
        })
        .await;
        placed(where_to);
    }
    until("they call", SOON, || done.load(Ordering::Relaxed) > 300).await;
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = callers.join_next().await {
        ended.unwrap();
    }
    let model = &daemon.models()[0];
    assert_eq!(model["computes_failed"], 0, "{model}");
    assert_eq!(model["computes_ok"], done.load(Ordering::Relaxed));
    let there = engine.daemon.models()[0]["computes_ok"].as_u64().unwrap();
    assert!(there > 0 && there < done.load(Ordering::Relaxed), "{there}");
    // What was moved away from has gone.
    until("one worker is left", SOON, || daemon.workers().len() == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_placement_outlives_the_daemon() {
    require_backends!();
    let engine = engine(&["add-f32"]);
    let mut daemon = beside(&engine).start();
    let manifest = said(&engine, "add-f32", "").replace("placement = \"kserve\"\n", "");
    place_with_file(&daemon, "add", (&manifest, "add-f32"));
    tokio::task::block_in_place(|| {
        nnctl(&daemon, &["place", "add", "kserve"]).success();
        assert!(daemon.terminate(), "{}", daemon.log());
        daemon.restart();
    });
    assert_eq!(daemon.models()[0]["placement"], "kserve");
    let wait = Some(Duration::from_secs(10));
    let answer = add(&daemon.client(), "add", (&[1.0], &[2.0]), wait)
        .await
        .unwrap();
    assert_eq!(answer, [3.0]);
    assert_eq!(engine.daemon.models()[0]["computes_ok"], 1);
    tokio::task::block_in_place(|| {
        nnctl(&daemon, &["place", "add", "local"]).success();
        assert!(daemon.terminate(), "{}", daemon.log());
        daemon.restart();
    });
    assert_eq!(daemon.models()[0]["placement"], "local");
}
