//! Which version a name means: loads, promotions, rollbacks, aliases.

use nn_tensor::Code;
use nn_tests::{Daemon, Follower, nnctl, require_backends, wait_until};

use super::{Files, SOON, asked, events, load, meant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_means_what_was_loaded_last_until_it_is_promoted_or_rolled_back() {
    require_backends!();
    let (daemon, files) = (Daemon::start(), Files::new());
    for number in 1..=3 {
        daemon.load("foo", &files.adds(number));
    }
    let client = daemon.client();
    assert_eq!(meant(&client, "foo").await, Ok(3.0));
    assert_eq!(meant(&client, "foo@1").await, Ok(1.0));

    nnctl(&daemon, &["promote", "foo@1"]).success();
    assert_eq!(meant(&daemon.client(), "foo").await, Ok(1.0));
    let back = nnctl(&daemon, &["rollback", "foo"]).ok().stdout;
    assert_eq!(back, "foo is foo@3\n");
    assert_eq!(meant(&daemon.client(), "foo").await, Ok(3.0));
    nnctl(&daemon, &["rollback", "foo"]).success();
    assert_eq!(meant(&daemon.client(), "foo").await, Ok(2.0));

    let promoted = events(&daemon, "promoted");
    let models: Vec<&str> = promoted
        .iter()
        .map(|e| e["model"].as_str().unwrap())
        .collect();
    assert_eq!(models, ["foo@1", "foo@2", "foo@3", "foo@1"]);
    assert!(
        promoted.iter().all(|event| event["uid"].is_u64()),
        "{promoted:?}"
    );
    assert_eq!(events(&daemon, "rolled-back").len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_holds_a_name_is_told_when_it_means_another_version() {
    require_backends!();
    let (daemon, files) = (Daemon::start(), Files::new());
    daemon.load("foo", &files.adds(1));
    let client = daemon.client();
    let held = client.resolve("foo").await.unwrap();
    assert_eq!(asked(&held).await, Ok(1.0));

    daemon.load("foo", &files.adds(2));
    nnctl(&daemon, &["alias", "foo@1", "stable"]).success();

    let mut now = 0.0;
    for _ in 0..500 {
        now = meant(&client, "foo").await.unwrap();
        if now > 1.0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!((now - 2.0).abs() < f32::EPSILON, "{now}");
    assert_eq!(asked(&held).await, Ok(1.0), "what is held stays what it is");
    assert_eq!(meant(&client, "foo:stable").await, Ok(1.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_staged_version_is_reached_by_its_alias_and_changes_nothing_else() {
    require_backends!();
    let (daemon, files) = (Daemon::start(), Files::new());
    daemon.load("foo", &files.adds(1));
    load(
        &daemon,
        "foo",
        &files.adds(2),
        &["--stage", "--alias", "canary"],
    )
    .success();
    let client = daemon.client();
    assert_eq!(meant(&client, "foo").await, Ok(1.0));
    assert_eq!(meant(&client, "foo:canary").await, Ok(2.0));
    let described = daemon.json(&["describe", "foo:canary"]);
    assert_eq!(described["model"]["aliases"], serde_json::json!(["canary"]));
    assert_eq!(described["model"]["current"], false);

    let gone = nnctl(&daemon, &["alias", "foo", "canary", "--remove"])
        .ok()
        .stdout;
    assert_eq!(gone, "foo:canary is no more; it was foo@2\n");
    let fault = meant(&daemon.client(), "foo:canary").await.unwrap_err();
    assert_eq!(fault.code, Code::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_load_is_never_promoted_and_the_old_one_goes_on() {
    require_backends!();
    let (daemon, files) = (Daemon::start(), Files::new());
    daemon.load("foo", &files.adds(1));
    let bad = files.write("bad.onnx", b"not a model");
    assert_eq!(load(&daemon, "foo", &bad, &[]).code, Some(1));
    assert_eq!(meant(&daemon.client(), "foo").await, Ok(1.0));
    assert_eq!(daemon.models().len(), 1);
}

#[test]
fn naming_what_is_not_there_says_so_and_changes_nothing() {
    require_backends!();
    let (daemon, files) = (Daemon::start(), Files::new());
    daemon.load("foo", &files.adds(1));
    for (words, code, told) in [
        (["promote", "foo@7"].as_slice(), 4, "no model foo@7"),
        (&["promote", "foo"], 1, "which version"),
        (&["rollback", "foo"], 4, "no earlier version"),
        (&["rollback", "bar"], 4, "no model bar"),
        (&["alias", "foo@7", "stable"], 4, "no model foo@7"),
        (
            &["alias", "foo", "stable", "--remove"],
            4,
            "no model foo:stable",
        ),
        (&["unload", "foo:stable"], 2, "alias"),
    ] {
        let ended = nnctl(&daemon, words);
        assert_eq!(ended.code, Some(code), "{words:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(told), "{words:?}: {}", ended.stderr);
    }
    assert_eq!(
        daemon.json(&["describe", "foo"])["model"]["aliases"],
        serde_json::json!([])
    );
}

#[test]
fn two_operators_at_once_get_a_version_each_and_the_later_one_is_current() {
    require_backends!();
    let (daemon, files) = (Daemon::start(), Files::new());
    let paths: Vec<_> = (1..=4).map(|number| files.adds(number)).collect();
    std::thread::scope(|scope| {
        for path in &paths {
            scope.spawn(|| daemon.load("foo", path));
        }
    });
    let mut versions: Vec<u64> = daemon
        .models()
        .iter()
        .map(|model| model["version"].as_u64().unwrap())
        .collect();
    versions.sort_unstable();
    assert_eq!(versions, [1, 2, 3, 4]);
    assert_eq!(daemon.json(&["describe", "foo"])["model"]["version"], 4);
}

#[test]
fn who_follows_events_hears_them_as_they_happen() {
    require_backends!();
    let (daemon, files) = (Daemon::start(), Files::new());
    let mut follower = Follower::nnctl(&daemon, &["--json", "events", "--follow"]);
    daemon.load("foo", &files.adds(1));
    wait_until("the promotion is told", SOON, || {
        follower.printed().contains("\"promoted\"")
    });
    daemon.ask_to_end();
    wait_until("it ends with the daemon", SOON, || !follower.runs());
    assert!(
        follower.printed().contains("\"ending\""),
        "{}",
        follower.printed()
    );
}
