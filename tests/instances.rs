//! What the workers of a model are, and how many, as its operator has said in model.toml.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test's helpers fail with it, and say what they have seen"
)]

#[path = "instances/bounds.rs"]
mod bounds;
#[path = "instances/pool.rs"]
mod pool;

use std::path::{Path, PathBuf};
use std::time::Duration;

use nn_tests::{Daemon, nnctl, require_backends, slow, tiny_model};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(20);

/// Besides the framework's: the one that takes interrupts.
const OWN_THREADS: u64 = 1;

/// A model.toml in a directory of its own.
fn manifest(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.toml");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

/// The model `slow`, with what is said of it.
fn load(daemon: &Daemon, said: &str) {
    let (_folder, said) = manifest(said);
    let model = tiny_model("slow-f32");
    let words = ["load", "slow", model.to_str().unwrap(), "--manifest"];
    nnctl(
        daemon,
        &[words.as_slice(), &[said.to_str().unwrap()]].concat(),
    )
    .success();
}

/// A model, with what is said of it.
fn load_as(daemon: &Daemon, name: &str, model: &Path, said: &str) {
    let (_folder, said) = manifest(said);
    let (model, said) = (model.to_str().unwrap(), said.to_str().unwrap());
    nnctl(daemon, &["load", name, model, "--manifest", said]).success();
}

/// The processes that serve the first model, without the one that waits.
fn serving(daemon: &Daemon) -> Vec<u64> {
    let instances = daemon.instances();
    let serves = instances.iter().filter(|of| of["spare"] == false);
    let pids = serves.filter_map(|of| of["pid"].as_u64());
    pids.filter(|pid| *pid != 0).collect()
}

fn described(daemon: &Daemon) -> Value {
    let said = nnctl(daemon, &["--json", "describe", "slow"]);
    serde_json::from_str(&said.ok().stdout).unwrap()
}

/// The threads of the model's one worker, as the kernel counts them.
fn threads(daemon: &Daemon) -> u64 {
    let models = daemon.models();
    let pid = &models[0]["instances"][0]["pid"];
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("Threads:"));
    line.unwrap().trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_has_the_threads_that_its_model_toml_says_also_after_a_restart() {
    require_backends!();
    let mut daemon = Daemon::start();
    load(&daemon, "threads = 3\n");
    assert_eq!(threads(&daemon), 3 + OWN_THREADS);
    assert_eq!(described(&daemon)["card"]["threads"], json!(3));
    slow(&daemon.client(), 10, None).await.unwrap();
    tokio::task::block_in_place(|| {
        assert!(daemon.terminate());
        daemon.restart();
    });
    slow(&daemon.client(), 10, None).await.unwrap();
    assert_eq!(threads(&daemon), 3 + OWN_THREADS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_with_as_many_threads_as_there_may_be_computes() {
    require_backends!();
    let daemon = Daemon::start();
    load(&daemon, "threads = 64\n");
    slow(&daemon.client(), 10, None).await.unwrap();
    assert_eq!(threads(&daemon), 64 + OWN_THREADS);
}

#[test]
fn more_threads_than_a_worker_may_have_are_refused_before_anything_is_sent() {
    let daemon = Daemon::start();
    let (_folder, said) = manifest("threads = 65\n");
    let model = tiny_model("slow-f32");
    let words = ["load", "slow", model.to_str().unwrap(), "--manifest"];
    let refused = nnctl(
        &daemon,
        &[words.as_slice(), &[said.to_str().unwrap()]].concat(),
    );
    assert!(
        refused.stderr.contains("threads is out of range"),
        "{}",
        refused.stderr
    );
    assert!(refused.stderr.contains("1 to 64"), "{}", refused.stderr);
    assert!(daemon.models().is_empty());
}
