//! What threads there are when the framework is open. One test, because there is one environment a
//! process.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of a test, which clippy takes for production code"
)]

use std::fs;

use nn_backend::conformance::library;
use nn_backend::{Backend, Setup};
use nn_backend_ort::OrtBackend;

/// The names of this process's threads that are the framework's, sorted.
fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm"));
    // A thread that has ended in between has no name.
    let names = tasks.filter_map(|task| name(task.ok()?).ok());
    let mut names: Vec<String> = names.map(|name| name.trim_end().to_owned()).collect();
    names.retain(|name| name.starts_with("ort-"));
    names.sort();
    names
}

#[test]
fn after_open_all_threads_but_the_calling_one_are_there_by_name() {
    let Some(library) = library("onnxruntime/libonnxruntime.so.1.28.0") else {
        return;
    };
    let setup = Setup {
        library: &library,
        threads: 4,
        log: |line| println!("{line}"),
    };
    let mut backend = OrtBackend::new();
    backend.open(&setup).unwrap();
    assert_eq!(threads(), ["ort-1", "ort-2", "ort-3"]);
}
