//! Models that remote engines compute: through guest, host, daemon, relay and a connection that the dialer made, to an engine
//! behind a TCP port. The same names, answers and errors as of a model that is here; and what an engine that fails, hangs or
//! goes does to those who call, which is nothing that they were not told.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test's helpers fail with it, and say what they have seen"
)]

#[path = "placed/ends.rs"]
mod ends;
#[path = "placed/hostile.rs"]
mod hostile;
#[path = "placed/moves.rs"]
mod moves;
#[path = "placed/refusals.rs"]
mod refusals;
#[path = "placed/room.rs"]
mod room;
#[path = "placed/told.rs"]
mod told;

use std::time::Duration;

use nn_client::Client;
use nn_tensor::{DType, Fault, Reason};
use nn_tests::{Daemon, DaemonBuilder, Engine, compute, nnctl, require_backends, tiny_model};

const SOON: Duration = Duration::from_secs(20);

/// An engine that has these tiny models, by their own names.
fn engine(models: &[&str]) -> Engine {
    let daemon = Daemon::start();
    for model in models {
        daemon.load(model, &tiny_model(model));
    }
    Engine::of(daemon)
}

/// A daemon that may ask an engine.
fn beside(engine: &Engine) -> DaemonBuilder {
    let sections = format!("\n[remote]\nendpoints = [{:?}]\n", engine.address());
    Daemon::builder().with_sections(&sections)
}

/// A model.toml that has an engine compute a model of that name.
fn said(engine: &Engine, model: &str, more: &str) -> String {
    let address = engine.address();
    format!(
        "placement = \"kserve\"\n[kserve]\nendpoints = [{address:?}]\nmodel = {model:?}\n{more}"
    )
}

/// Loads a model without a file.
fn place(daemon: &Daemon, name: &str, manifest: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), manifest).unwrap();
    let path = file.path().to_str().unwrap();
    nnctl(daemon, &["load", name, "--manifest", path]).success();
}

/// Loads a model with its file, which an engine computes at first.
fn place_with_file(daemon: &Daemon, name: &str, (manifest, model): (&str, &str)) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), manifest).unwrap();
    let path = file.path().to_str().unwrap();
    let model = tiny_model(model);
    let model = model.to_str().unwrap();
    nnctl(daemon, &["load", name, model, "--manifest", path]).success();
}

/// `a + b` by a model of that name.
async fn add(
    client: &Client,
    model: &str,
    (a, b): (&[f32], &[f32]),
    timeout: Option<Duration>,
) -> Result<Vec<f32>, Fault> {
    let bytes = |numbers: &[f32]| -> Vec<u8> {
        numbers
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect()
    };
    let dims = [u32::try_from(a.len()).unwrap()];
    let (a, b) = (bytes(a), bytes(b));
    let tensors = [
        ("a", DType::Fp32, &dims[..], &a[..]),
        ("b", DType::Fp32, &dims[..], &b[..]),
    ];
    let outputs = compute(client, model, &tensors, timeout).await?;
    let bytes = outputs.first().unwrap().slot.to_vec()?;
    let (numbers, rest) = bytes.as_chunks::<4>();
    assert!(rest.is_empty());
    Ok(numbers
        .iter()
        .map(|number| f32::from_le_bytes(*number))
        .collect())
}

/// Whether a fault has one of these reasons.
fn is_one_of(fault: &Fault, reasons: &[Reason]) -> bool {
    fault.reason.is_some_and(|reason| reasons.contains(&reason))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_answers_as_a_worker_does() {
    require_backends!();
    let engine = engine(&["add-f32"]);
    let daemon = beside(&engine).start();
    place(&daemon, "add", &said(&engine, "add-f32", ""));
    daemon.load("here", &tiny_model("add-f32"));
    let client = daemon.client();
    let numbers: Vec<f32> = (0..5000_u16).map(|n| f32::from(n) * 0.37 - 9.0).collect();
    for of in [&numbers[..], &numbers[..1], &numbers[7..4093]] {
        let there = add(&client, "add", (of, &numbers[..of.len()]), None)
            .await
            .unwrap();
        let here = add(&client, "here", (of, &numbers[..of.len()]), None)
            .await
            .unwrap();
        assert_eq!(there, here);
    }
    // One connection carries all of it.
    assert_eq!(engine.connections(), 1);
    assert_eq!(engine.daemon.models()[0]["computes_ok"], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_sees_no_difference() {
    require_backends!();
    let engine = engine(&["add-f32"]);
    let daemon = beside(&engine).start();
    place(&daemon, "add", &said(&engine, "add-f32", ""));
    daemon.load("here", &tiny_model("add-f32"));
    let host = nn_tests::GuestHost::new(&daemon.client());
    let guest = host.guest("wit-cases");
    for model in ["add", "here"] {
        let args = ["run", model, "1", "a=fp32:3:1.5", "b=fp32:3:2.25"];
        let (printed, is_ok) = guest.run(&args).await.unwrap();
        assert!(is_ok, "{model}: {printed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_is_warmed_up_as_a_worker_is() {
    require_backends!();
    let engine = engine(&["add-f32"]);
    let daemon = beside(&engine).start();
    let warm_up = "[[warm_up]]\ninputs.a = { shape = [3] }\ninputs.b = { shape = [3] }\n";
    let manifest = format!("{}\n{warm_up}{warm_up}", said(&engine, "add-f32", ""));
    place(&daemon, "add", &manifest);
    assert_eq!(engine.daemon.models()[0]["computes_ok"], 2);
    let answer = add(&daemon.client(), "add", (&[1.0], &[2.0]), None).await;
    assert_eq!(answer.unwrap(), [3.0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_are_under_way_at_a_time() {
    require_backends!();
    let engine = engine(&["slow-f32"]);
    let daemon = beside(&engine).start();
    place(
        &daemon,
        "slow",
        &said(&engine, "slow-f32", "in_flight_max = 6"),
    );
    let client = daemon.client();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let client = client.clone();
        calls.spawn(async move { nn_tests::slow(&client, 20_000, None).await.map(drop) });
    }
    let of = || daemon.in_flight();
    nn_tests::until("calls wait behind those that are under way", SOON, || {
        of() == 10
    })
    .await;
    nn_tests::until("six are at the engine", SOON, || {
        engine.daemon.in_flight() == 6
    })
    .await;
    while let Some(done) = calls.join_next().await {
        done.unwrap().unwrap();
    }
    assert_eq!(engine.daemon.models()[0]["computes_ok"], 10);
}
