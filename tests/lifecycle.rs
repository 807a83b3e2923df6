//! The life of models: versions and what names mean, what is said of a model, what survives the daemon, what is told of
//! it. Versions can be told apart: each adds its own number.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail with it")]

#[path = "lifecycle/arrivals.rs"]
mod arrivals;
#[path = "lifecycle/cycles.rs"]
mod cycles;
#[path = "lifecycle/faults.rs"]
mod faults;
#[path = "lifecycle/guests.rs"]
mod guests;
#[path = "lifecycle/health.rs"]
mod health;
#[path = "lifecycle/kills.rs"]
mod kills;
#[path = "lifecycle/manifest.rs"]
mod manifest;
#[path = "lifecycle/naming.rs"]
mod naming;
#[path = "lifecycle/pinned.rs"]
mod pinned;
#[expect(
    dead_code,
    clippy::panic,
    clippy::print_stdout,
    reason = "some of it is for the tests of the doors alone, and a helper fails as its test"
)]
#[path = "doors/raw.rs"]
mod raw;
#[path = "lifecycle/repository.rs"]
mod repository;
#[path = "lifecycle/restore.rs"]
mod restore;
#[path = "lifecycle/room.rs"]
mod room;
#[path = "lifecycle/survival.rs"]
mod survival;
#[path = "lifecycle/swap.rs"]
mod swap;
#[path = "lifecycle/swapped.rs"]
mod swapped;
#[path = "lifecycle/told.rs"]
mod told;
#[path = "lifecycle/warm_up.rs"]
mod warm_up;

use std::path::{Path, PathBuf};
use std::time::Duration;

use nn_client::{Client, Graph};
use nn_onnx_writer::{FLOAT, graph, model, node, tensor, value};
use nn_tensor::{DType, Fault};
use nn_tests::{Daemon, Output, compute_of, nnctl};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(10);

/// A model that adds a number to its input: `y = x + number`, of one element each.
fn adds(number: u16) -> Vec<u8> {
    let one = value::fixed(&[1]);
    let content = [
        graph::node(&node::of(&["x", "number"], &["y"], "Add")),
        graph::name("adds"),
        graph::initializer(&tensor::floats("number", &[f32::from(number)])),
        graph::input(&value::of("x", FLOAT, Some(&one))),
        graph::output(&value::of("y", FLOAT, Some(&one))),
    ];
    model::of(&content.concat(), 17)
}

/// Model files in a directory of their own.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The model that adds a number.
    fn adds(&self, number: u16) -> PathBuf {
        self.write(&format!("{number}.onnx"), adds(number))
    }
}

/// What a graph adds to 0.
async fn asked(graph: &Graph) -> Result<f32, Fault> {
    let zero = 0_f32.to_le_bytes();
    let tensors = [("x", DType::Fp32, [1_u32].as_slice(), zero.as_slice())];
    let outputs = compute_of(graph, &tensors, None).await?;
    let bytes = outputs.first().unwrap().slot.to_vec()?;
    Ok(f32::from_le_bytes(bytes.try_into().unwrap()))
}

/// What a name adds to 0.
async fn meant(client: &Client, reference: &str) -> Result<f32, Fault> {
    asked(&*client.resolve(reference).await?).await
}

/// nnctl, with words and a path behind them.
fn load(daemon: &Daemon, name: &str, path: &Path, more: &[&str]) -> Output {
    let path = path.to_str().unwrap();
    nnctl(daemon, &[&["load", name, path], more].concat())
}

/// The states of a name's versions, the lowest first.
fn states(daemon: &Daemon, name: &str) -> Vec<String> {
    let of = daemon
        .models()
        .into_iter()
        .filter(|model| model["name"] == name);
    of.map(|model| model["state"].as_str().unwrap().to_owned())
        .collect()
}

/// What happened, of one kind, the oldest first.
fn events(daemon: &Daemon, kind: &str) -> Vec<Value> {
    let printed = nnctl(daemon, &["--json", "events"]).ok().stdout;
    let events = printed
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter(|event| event["kind"] == kind).collect()
}
