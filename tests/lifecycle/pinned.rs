//! What is promised of a name, kept whatever happens around it: pins, aliases, what was asked for by a load that nobody
//! waits for.

use std::time::Duration;

use nn_client::Format;
use nn_tensor::Code;
use nn_tests::{Daemon, nnctl, require_backends, until, wait_until};

use super::{Files, SOON, adds, asked, load, meant, states};

/// A small part of a load's deadline.
const REFUSED: Duration = Duration::from_secs(10);

#[test]
fn a_pinned_name_whose_version_is_unloaded_is_served_by_the_one_before_all_the_while() {
    require_backends!();
    let (daemon, files) = (Daemon::start(), Files::new());
    daemon.load("foo", &files.adds(1));
    load(&daemon, "foo", &files.adds(2), &["--pin"]).success();
    wait_until("the first one rests", SOON, || {
        states(&daemon, "foo") == ["absent", "ready"]
    });
    nnctl(&daemon, &["unload", "foo@2"]).success();
    assert_eq!(states(&daemon, "foo"), ["ready"]);
    let described = daemon.json(&["describe", "foo"]);
    assert_eq!(described["model"]["pinned"], true);
}

#[test]
fn where_there_is_no_room_for_both_the_one_before_is_loaded_once_there_is() {
    require_backends!();
    let (daemon, files) = (
        Daemon::builder().with_limits("workers_max = 1").start(),
        Files::new(),
    );
    daemon.load("foo", &files.adds(1));
    load(&daemon, "foo", &files.adds(2), &["--pin"]).success();
    nnctl(&daemon, &["unload", "foo@2"]).success();
    wait_until("the first one is loaded, though nobody asks", SOON, || {
        states(&daemon, "foo") == ["ready"]
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_load_without_waiting_asked_for_is_there_after_a_kill() {
    require_backends!();
    let (mut daemon, files) = (Daemon::start(), Files::new());
    daemon.load("foo", &files.adds(1));
    let more = ["--no-wait", "--stage", "--alias", "canary"];
    load(&daemon, "foo", &files.adds(2), &more).success();
    let more = ["--no-wait", "--pin"];
    load(&daemon, "bar", &files.adds(3), &more).success();
    tokio::task::block_in_place(|| {
        daemon.kill();
        daemon.restart();
    });
    let of = |reference: &str| {
        let described = nnctl(&daemon, &["--json", "describe", reference]);
        let answer: Option<serde_json::Value> = serde_json::from_str(&described.stdout).ok();
        answer.map(|answer| answer["model"].clone())
    };
    until("the alias is there", SOON, || {
        of("foo:canary").is_some_and(|model| model["version"] == 2)
    })
    .await;
    until("the pin is there", SOON, || {
        of("bar").is_some_and(|model| model["pinned"] == true)
    })
    .await;
    assert_eq!(meant(&daemon.client(), "foo").await, Ok(1.0));
    assert_eq!(meant(&daemon.client(), "foo:canary").await, Ok(2.0));
}

#[test]
fn one_alias_too_many_is_refused_before_anything_is_stored() {
    require_backends!();
    let (daemon, files) = (Daemon::start(), Files::new());
    daemon.load("foo", &files.adds(1));
    for number in 0..64 {
        nnctl(&daemon, &["alias", "foo", &format!("a{number}")]).success();
    }
    let refused = load(&daemon, "foo", &files.adds(2), &["--alias", "one-more"]);
    assert_ne!(refused.code, Some(0));
    assert!(refused.stderr.contains("64 aliases"), "{}", refused.stderr);
    assert_eq!(states(&daemon, "foo"), ["ready"]);
    load(&daemon, "foo", &files.adds(2), &["--alias", "a0"]).success();
}

#[test]
fn a_manifest_that_could_not_be_read_again_is_refused_before_anything_is_stored() {
    require_backends!();
    let (daemon, files) = (Daemon::start(), Files::new());
    files.write("labels.txt", "x\n".repeat(60_000));
    let text = "[outputs.y]\nlabels_file = \"labels.txt\"\n";
    let manifest = files.write("model.toml", text);
    let words = ["--manifest", manifest.to_str().unwrap()];
    let refused = load(&daemon, "foo", &files.adds(1), &words);
    assert_ne!(refused.code, Some(0));
    assert!(refused.stderr.contains("196608"), "{}", refused.stderr);
    assert!(daemon.models().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_was_asked_for_by_its_number_rests_once_nobody_asks_any_more() {
    require_backends!();
    let (daemon, files) = (
        Daemon::builder().with_limits("idle_ms = 500").start(),
        Files::new(),
    );
    daemon.load("foo", &files.adds(1));
    daemon.load("foo", &files.adds(2));
    let client = daemon.client();
    let held = client.resolve("foo@1").await.unwrap();
    assert_eq!(asked(&held).await, Ok(1.0));
    tokio::time::sleep(Duration::from_secs(4)).await;
    let now = tokio::task::block_in_place(|| states(&daemon, "foo"));
    assert_eq!(now, ["ready", "ready"], "what is held stays");
    drop(held);
    until("the old one rests", SOON, || {
        states(&daemon, "foo") == ["absent", "ready"]
    })
    .await;
    assert_eq!(meant(&client, "foo@1").await, Ok(1.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guests_load_has_no_operators_model_rest_and_does_not_wait_for_it_either() {
    require_backends!();
    let (daemon, files) = (
        Daemon::builder()
            .with_limits("workers_max = 1\nload_ms_max = 100000")
            .start(),
        Files::new(),
    );
    daemon.load("foo", &files.adds(1));
    let workers = tokio::task::block_in_place(|| daemon.workers());
    let client = daemon.client();
    let bytes = [adds(2)];
    let load = client.load(Format::Onnx, &bytes);
    let refused = tokio::time::timeout(REFUSED, load).await.unwrap();
    assert_eq!(refused.err().map(|fault| fault.code), Some(Code::Busy));
    assert_eq!(tokio::task::block_in_place(|| daemon.workers()), workers);
    assert_eq!(meant(&client, "foo").await, Ok(1.0));
}
