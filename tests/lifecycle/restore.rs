//! The bytes of models: in sealed memory while a model is loaded, and nowhere but on the disk while it rests. What has
//! become of them there is found out when they are read again, and believed by nobody.

use std::fs;
use std::path::{Path, PathBuf};

use nn_onnx_writer::{FLOAT, graph, model, node, tensor, value};
use nn_tests::{Daemon, nnctl, require_backends, until, wait_until};

use super::{Files, SOON, adds, events, load, meant, states};

/// What is stored of each model here, besides what it needs.
const BALLAST: usize = 1 << 20;

/// So many of them are stored.
const MODELS: u16 = 40;

/// And so many may be loaded.
const LOADED: usize = 2;

/// A model that adds a number, with a megabyte that it does not need.
fn heavy(number: u16) -> Vec<u8> {
    let one = value::fixed(&[1]);
    let ballast = vec![f32::from(number); BALLAST / 4];
    let content = [
        graph::node(&node::of(&["x", "number"], &["y"], "Add")),
        graph::name("heavy"),
        graph::initializer(&tensor::floats("number", &[f32::from(number)])),
        graph::initializer(&tensor::floats("ballast", &ballast)),
        graph::input(&value::of("x", FLOAT, Some(&one))),
        graph::output(&value::of("y", FLOAT, Some(&one))),
    ];
    model::of(&content.concat(), 17)
}

/// How many models are in the daemon's memory.
fn in_memory(daemon: &Daemon) -> usize {
    let open = fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap();
    let links = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links
        .filter(|to| to.to_string_lossy().contains("memfd:nn-model"))
        .count()
}

/// The one file of that size that is stored.
fn stored(daemon: &Daemon, bytes: usize) -> PathBuf {
    let all = fs::read_dir(daemon.state_dir().join("blobs")).unwrap();
    let mut all = all.map(|entry| entry.unwrap().path());
    let is_it = |path: &PathBuf| usize::try_from(path.metadata().unwrap().len()) == Ok(bytes);
    all.find(is_it).unwrap()
}

/// Has the disk give other bytes from now on.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(path, bytes).unwrap();
}

fn rests(daemon: &Daemon, name: &str) -> bool {
    states(daemon, name) == ["absent"]
}

/// Loads a model that rests as soon as nobody uses it.
fn load_restless(daemon: &Daemon, files: &Files, name: &str, path: &Path) {
    let manifest = files.write("model.toml", "keep_alive_ms = 1\n");
    let words = ["--manifest", manifest.to_str().unwrap()];
    load(daemon, name, path, &words).success();
    wait_until("it rests", SOON, || rests(daemon, name));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_loaded_is_in_memory_and_a_start_reads_no_more_than_that() {
    require_backends!();
    let limits = format!("workers_max = {LOADED}");
    let mut daemon = Daemon::builder().with_limits(&limits).start();
    let files = Files::new();
    for number in 1..=MODELS {
        let path = files.write("heavy.onnx", heavy(number));
        daemon.load(&format!("m{number:02}"), &path);
    }
    wait_until("the others rest", SOON, || in_memory(&daemon) <= LOADED);
    assert!(daemon.terminate());
    daemon.restart();
    // What is being loaded, at most.
    assert!(in_memory(&daemon) <= LOADED, "{}", in_memory(&daemon));
    let client = daemon.client();
    for number in [MODELS, 1, 20] {
        let name = format!("m{number:02}");
        assert_eq!(meant(&client, &name).await, Ok(f32::from(number)));
    }
    let few = || in_memory(&daemon) <= LOADED;
    until("the others rest", SOON, few).await;
}

#[test]
fn a_version_that_was_not_loaded_since_the_start_is_described_whole() {
    require_backends!();
    let (mut daemon, files) = (Daemon::start(), Files::new());
    daemon.load("foo", &files.adds(1));
    let before = daemon.json(&["describe", "foo@1"]);
    daemon.load("foo", &files.adds(2));
    assert!(daemon.terminate());
    daemon.restart();
    let after = daemon.json(&["describe", "foo@1"]);
    assert_eq!(after["model"]["state"], "absent");
    assert_eq!(after["inputs"], before["inputs"]);
    assert_eq!(after["facts"], before["facts"]);
    let of = ["bytes", "sha256", "format"];
    assert!(
        of.iter()
            .all(|of| after["model"][of] == before["model"][of]),
        "{after}"
    );
    wait_until("foo@2 is loaded", SOON, || {
        states(&daemon, "foo") == ["absent", "ready"]
    });
    assert_eq!(in_memory(&daemon), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_damaged_while_a_model_rests_are_its_failure_until_it_is_loaded_anew() {
    require_backends!();
    let (daemon, files) = (Daemon::start(), Files::new());
    let path = files.adds(1);
    load_restless(&daemon, &files, "foo", &path);
    assert_eq!(in_memory(&daemon), 0);
    let client = daemon.client();
    assert_eq!(meant(&client, "foo").await, Ok(1.0), "it is used again");
    until("it rests", SOON, || rests(&daemon, "foo")).await;
    damage(&stored(&daemon, adds(1).len()));
    let fault = meant(&client, "foo").await.unwrap_err();
    assert!(fault.message.contains("damaged"), "{fault}");
    assert!(fault.hint.contains("unload"), "{fault}");
    assert_eq!(states(&daemon, "foo"), ["failed"]);
    let told = events(&daemon, "state");
    let failed = |event: &serde_json::Value| event["detail"].as_str().unwrap().contains("damaged");
    assert!(told.iter().any(failed), "{told:?}");
    nnctl(&daemon, &["unload", "foo"]).success();
    daemon.load("foo", &path);
    assert_eq!(meant(&client, "foo").await, Ok(1.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_damaged_before_a_start_is_listed_with_its_reason_and_can_be_unloaded() {
    require_backends!();
    let (mut daemon, files) = (Daemon::start(), Files::new());
    let manifest = files.write("model.toml", "tenants = [\"shop\"]\n");
    let words = ["--manifest", manifest.to_str().unwrap()];
    daemon.load("good", &files.adds(1));
    for (name, number) in [("flipped", 2), ("gone", 3)] {
        daemon.load(name, &files.write(name, heavy(number)));
    }
    load(&daemon, "unsaid", &files.adds(4), &words).success();
    assert!(daemon.terminate());
    let (flipped, gone) = (heavy(2), heavy(3));
    damage(
        &daemon
            .state_dir()
            .join("blobs")
            .join(super::swapped::sha256_of(&flipped)),
    );
    let gone = daemon
        .state_dir()
        .join("blobs")
        .join(super::swapped::sha256_of(&gone));
    fs::remove_file(gone).unwrap();
    fs::remove_file(stored(&daemon, "tenants = [\"shop\"]\n".len())).unwrap();
    daemon.restart();
    let client = daemon.client();
    assert_eq!(meant(&client, "good").await, Ok(1.0));
    for name in ["flipped", "gone", "unsaid"] {
        let failed = || states(&daemon, name) == ["failed"];
        until("it has failed", SOON, failed).await;
        let described = daemon.json(&["describe", name]);
        let why = described["model"]["error"].to_string();
        assert!(
            why.contains("damaged") || why.contains("cannot be read"),
            "{why}"
        );
        assert!(meant(&client, name).await.is_err());
        nnctl(&daemon, &["unload", name]).success();
        daemon.load(name, &files.adds(5));
        assert_eq!(meant(&client, name).await, Ok(5.0), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repositorys_model_is_read_again_and_another_content_is_not_taken_for_it() {
    require_backends!();
    let files = Files::new();
    let path = files.write("repo/foo/1/model.onnx", adds(1));
    files.write("repo/foo/model.toml", "keep_alive_ms = 1\n");
    let repository = files.path().join("repo");
    let daemon = Daemon::builder().with_repository(&repository).start();
    let client = daemon.client();
    let used_and_rests = async || {
        assert_eq!(meant(&client, "foo").await, Ok(1.0));
        until("it rests", SOON, || rests(&daemon, "foo")).await;
    };
    used_and_rests().await;
    assert_eq!(in_memory(&daemon), 0);
    // The same bytes in another file are the same.
    fs::remove_file(&path).unwrap();
    fs::write(&path, adds(1)).unwrap();
    used_and_rests().await;
    fs::write(&path, adds(2)).unwrap();
    let fault = meant(&client, "foo").await.unwrap_err();
    assert!(fault.message.contains("damaged"), "{fault}");
    assert_eq!(states(&daemon, "foo"), ["failed"]);
}
