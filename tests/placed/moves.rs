//! Versions that are moved while they are called: from here to an engine and back, over the daemon's restart too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use nn_tensor::DType;
use nn_tests::{compute_of, nnctl, require_backends, tiny_model, until};

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenants_own_workers_that_come_while_a_version_moves_answer_there() {
    require_backends!();
    let engine = engine(&["add-f32"]);
    let daemon = beside(&engine)
        .with_workers("isolation = \"tenant\"")
        .start();
    let manifest = said(&engine, "add-f32", "connect_ms = 60000\n");
    let manifest = manifest.replace("placement = \"kserve\"\n", "");
    place_with_file(&daemon, "add", (&manifest, "add-f32"));
    engine.hold(true);
    let client = daemon.client();
    let runtime = tokio::runtime::Handle::current();
    let graph = tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            let placing = scope.spawn(|| nnctl(&daemon, &["place", "add", "kserve"]).success());
            nn_tests::wait_until("the engine is asked", SOON, || engine.connections() > 0);
            // Its tenant's workers are there from here on.
            let graph = runtime.block_on(client.resolve("add")).unwrap();
            engine.hold(false);
            placing.join().unwrap();
            graph
        })
    });
    let one = 1_f32.to_le_bytes();
    let tensors = ["a", "b"].map(|name| (name, DType::Fp32, &[1][..], &one[..]));
    let outputs = compute_of(&graph, &tensors, Some(Duration::from_secs(10))).await;
    let sum = outputs.unwrap().first().unwrap().slot.to_vec().unwrap();
    assert_eq!(sum, 2_f32.to_le_bytes());
    let there = || engine.daemon.models()[0]["computes_ok"].as_u64().unwrap();
    assert_eq!(there(), 1);
}

#[test]
fn a_file_that_is_another_model_than_the_engines_is_not_placed() {
    require_backends!();
    let engine = engine(&["add-f32"]);
    let daemon = beside(&engine).start();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), said(&engine, "add-f32", "")).unwrap();
    let (path, other) = (file.path().to_str().unwrap(), tiny_model("scalar"));
    let args = ["load", "add", other.to_str().unwrap(), "--manifest", path];
    let refused = nnctl(&daemon, &args);
    assert!(
        refused.stderr.contains("placement-differs"),
        "{}",
        refused.stderr
    );
    assert!(daemon.models().is_empty());
}
