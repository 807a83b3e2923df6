//! Versions that come to a repository: which of them become current, and what is said of those that do not.

use nn_onnx_writer::{FLOAT, INT64, graph, model, node, tensor, value};
use nn_tensor::Code;
use nn_tests::{Daemon, nnctl, require_backends, until, wait_until};

use super::{Files, SOON, adds, events, load, meant, states};

/// A model that can be read and that no framework takes: its output is said to be of another type than it is.
fn contradicts_itself() -> Vec<u8> {
    let one = value::fixed(&[1]);
    let content = [
        graph::node(&node::of(&["x", "number"], &["y"], "Add")),
        graph::name("adds"),
        graph::initializer(&tensor::floats("number", &[1.0])),
        graph::input(&value::of("x", FLOAT, Some(&one))),
        graph::output(&value::of("y", INT64, Some(&one))),
    ];
    model::of(&content.concat(), 17)
}

struct Repository(Files);

impl Repository {
    fn new() -> Self {
        let files = Files::new();
        std::fs::create_dir(files.path().join("repo")).unwrap();
        Self(files)
    }

    fn daemon(&self) -> Daemon {
        let repository = self.0.path().join("repo");
        Daemon::builder().with_repository(&repository).start()
    }

    /// Puts a version of foo in place, whole.
    fn put(&self, version: u16, bytes: &[u8]) {
        let written = self.0.write(&format!("new/{version}/model.onnx"), bytes);
        let versions = self.0.path().join("repo/foo");
        std::fs::create_dir_all(&versions).unwrap();
        let at = versions.join(version.to_string());
        std::fs::rename(written.parent().unwrap(), at).unwrap();
    }
}

fn models_of(events: &[serde_json::Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["model"].as_str().unwrap())
        .collect()
}

fn restart(daemon: &mut Daemon) {
    tokio::task::block_in_place(|| {
        assert!(daemon.terminate());
        daemon.restart();
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_versions_that_come_at_once_the_higher_one_becomes_current_and_no_other() {
    require_backends!();
    let repository = Repository::new();
    repository.put(1, &adds(1));
    let daemon = repository.daemon();
    until("foo@1 is current", SOON, || {
        models_of(&events(&daemon, "promoted")) == ["foo@1"]
    })
    .await;
    repository.put(2, &adds(2));
    repository.put(3, &adds(3));
    daemon.reload();
    until("foo@3 is current", SOON, || {
        models_of(&events(&daemon, "promoted")).contains(&"foo@3")
    })
    .await;
    assert_eq!(meant(&daemon.client(), "foo").await, Ok(3.0));
    assert_eq!(meant(&daemon.client(), "foo@2").await, Ok(2.0));
    let promoted = events(&daemon, "promoted");
    assert_eq!(models_of(&promoted), ["foo@1", "foo@3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_below_one_that_was_known_changes_nothing_of_a_name_that_was_taken_back() {
    require_backends!();
    let repository = Repository::new();
    for number in [1, 4] {
        repository.put(number, &adds(number));
    }
    let daemon = repository.daemon();
    nnctl(&daemon, &["promote", "foo@1"]).success();
    repository.put(3, &adds(3));
    daemon.reload();
    until("it is read", SOON, || states(&daemon, "foo").len() == 3).await;
    assert_eq!(meant(&daemon.client(), "foo@3").await, Ok(3.0));
    assert_eq!(meant(&daemon.client(), "foo").await, Ok(1.0));

    repository.put(5, &adds(5));
    daemon.reload();
    until("foo@5 is current", SOON, || {
        models_of(&events(&daemon, "promoted")).contains(&"foo@5")
    })
    .await;
    assert_eq!(meant(&daemon.client(), "foo").await, Ok(5.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_version_that_does_not_load_leaves_the_older_one_current_and_says_why() {
    require_backends!();
    let repository = Repository::new();
    repository.put(1, &adds(1));
    let mut daemon = repository.daemon();
    let is_left_out = |daemon: &Daemon, id: &str| {
        let left_out = events(daemon, "left-out");
        left_out.iter().any(|event| {
            event["model"] == id && !event["detail"].as_str().unwrap_or_default().is_empty()
        })
    };
    until("foo@1 is current", SOON, || {
        !events(&daemon, "promoted").is_empty()
    })
    .await;
    tokio::task::block_in_place(|| assert!(daemon.terminate()));
    repository.put(2, &contradicts_itself());
    repository.put(3, b"no model at all");
    tokio::task::block_in_place(|| daemon.restart());
    for id in ["foo@2", "foo@3"] {
        until(id, SOON, || is_left_out(&daemon, id)).await;
    }
    assert_eq!(meant(&daemon.client(), "foo").await, Ok(1.0));

    repository.put(4, &contradicts_itself());
    daemon.reload();
    until("foo@4", SOON, || is_left_out(&daemon, "foo@4")).await;
    assert_eq!(meant(&daemon.client(), "foo").await, Ok(1.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_tree_that_is_read_for_the_first_time_the_highest_version_that_loads_is_current() {
    require_backends!();
    let repository = Repository::new();
    repository.put(1, &adds(1));
    repository.put(2, &adds(2));
    repository.put(3, &contradicts_itself());
    let mut daemon = repository.daemon();
    until("foo@2 is current", SOON, || {
        models_of(&events(&daemon, "promoted")) == ["foo@2"]
    })
    .await;
    assert_eq!(meant(&daemon.client(), "foo").await, Ok(2.0));
    restart(&mut daemon);
    assert_eq!(meant(&daemon.client(), "foo").await, Ok(2.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_only_staged_is_not_current_when_the_current_one_has_gone() {
    require_backends!();
    let repository = Repository::new();
    repository.put(1, &adds(1));
    let mut daemon = repository.daemon();
    until("foo@1 is current", SOON, || {
        models_of(&events(&daemon, "promoted")) == ["foo@1"]
    })
    .await;
    load(&daemon, "foo", &repository.0.adds(2), &["--stage"]).success();
    std::fs::remove_dir_all(repository.0.path().join("repo/foo/1")).unwrap();
    restart(&mut daemon);
    let fault = meant(&daemon.client(), "foo").await.unwrap_err();
    assert_eq!(fault.code, Code::NotFound);
    assert_eq!(meant(&daemon.client(), "foo@2").await, Ok(2.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_the_disk_has_damaged_are_not_served_and_mended_by_a_load_of_the_same() {
    require_backends!();
    let (mut daemon, files) = (Daemon::start(), Files::new());
    daemon.load("foo", &files.adds(1));
    let digest = daemon.json(&["describe", "foo@1"])["model"]["sha256"].clone();
    let blob = daemon
        .state_dir()
        .join("blobs")
        .join(digest.as_str().unwrap());
    let whole = std::fs::read(&blob).unwrap();
    tokio::task::block_in_place(|| assert!(daemon.terminate()));
    let mut damaged = whole.clone();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(&blob, damaged).unwrap();
    tokio::task::block_in_place(|| daemon.restart());
    assert!(meant(&daemon.client(), "foo").await.is_err());

    load(&daemon, "bar", &files.adds(1), &[]).success();
    assert_eq!(std::fs::read(&blob).unwrap(), whole);
    restart(&mut daemon);
    assert_eq!(meant(&daemon.client(), "foo").await, Ok(1.0));
}

#[test]
fn at_the_start_names_are_loaded_in_their_order_until_there_is_no_more_room() {
    require_backends!();
    let files = Files::new();
    let mut daemon = Daemon::builder().with_limits("workers_max = 2").start();
    for (number, name) in (1..).zip(["a", "b", "c", "d"]) {
        daemon.load(name, &files.adds(number));
    }
    nnctl(&daemon, &["pin", "d"]).success();
    assert!(daemon.terminate());
    let before = daemon.log().len();
    daemon.restart();
    let now = || ["a", "b", "c", "d"].map(|name| states(&daemon, name).concat());
    wait_until("two of them are loaded", SOON, || {
        now() == ["ready", "absent", "absent", "ready"]
    });
    let log = daemon.log();
    let log = log.get(before..).unwrap();
    assert!(!log.contains("rests to make room"), "{log}");
    let told = log.matches("loaded by their first use: b@1, c@1").count();
    assert_eq!(told, 1, "{log}");
}
