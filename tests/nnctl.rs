//! `nnctl` over a real daemon: what operators watch, measure and end by it, and what it looks like to people and to
//! scripts.
#![expect(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test's helpers fail with it, and say why they are skipped"
)]

#[path = "nnctl/bench.rs"]
mod bench;
#[path = "nnctl/documented.rs"]
mod documented;
#[path = "nnctl/drain.rs"]
mod drain;
#[path = "nnctl/events.rs"]
mod events;
#[path = "nnctl/logs.rs"]
mod logs;
#[path = "nnctl/terminal.rs"]
mod terminal;

use std::path::{Path, PathBuf};
use std::time::Duration;

use nn_client::Graph;
use nn_onnx_writer::{FLOAT, graph, model, node, value};
use nn_tensor::{DType, Fault};
use nn_tests::{Daemon, compute_of, fake_model};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(10);

/// Files in a directory of their own.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        text(&path)
    }

    /// A model that adds its inputs, of one dimension of any size: `c = a + b`.
    fn sum(&self) -> String {
        let any = [value::Dim::Named("n")];
        let of = |name| value::of(name, FLOAT, Some(&any));
        let content = [
            graph::node(&node::of(&["a", "b"], &["c"], "Add")),
            graph::name("sum"),
            graph::input(&of("a")),
            graph::input(&of("b")),
            graph::output(&of("c")),
        ];
        self.write("sum.onnx", model::of(&content.concat(), 17))
    }

    /// An array of one dimension in NumPy's form.
    fn npy(&self, name: &str, descr: &str, (elements, bytes): (usize, &[u8])) -> String {
        let dims = match elements {
            0 => "()".to_owned(),
            elements => format!("({elements},)"),
        };
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {dims}, }}");
        let header = format!("{header:<117}\n");
        let magic = [b"\x93NUMPY\x01\x00".as_slice(), &[118, 0]].concat();
        self.write(name, [&magic, header.as_bytes(), bytes].concat())
    }

    /// So many ones.
    fn ones(&self, name: &str, elements: usize) -> String {
        let bytes = 1_f32.to_le_bytes().repeat(elements);
        self.npy(name, "<f4", (elements, &bytes))
    }
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// A daemon of workers that crash as they are told, with such a model.
fn crashing() -> Daemon {
    let daemon = Daemon::builder().with_worker("nn-worker-fake").start();
    daemon.load("crash", &fake_model("crash"));
    daemon
}

/// By a panic, which writes a line.
const PANIC: i64 = 3;

/// Has a worker of `crash` end so.
async fn crash(graph: &Graph, how: i64) -> Fault {
    let how = how.to_le_bytes();
    let answer = compute_of(graph, &[("how", DType::I64, &[], &how)], None).await;
    answer.err().unwrap()
}

/// The objects of lines.
fn objects(printed: &str) -> Vec<Value> {
    let lines = printed.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn documentation(name: &str) -> String {
    let docs: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "docs", name]
        .iter()
        .collect();
    std::fs::read_to_string(docs).unwrap()
}
