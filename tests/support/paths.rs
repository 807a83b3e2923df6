//! Where programs, models, guests and the native runtime are: from the test's own path, never the
//! current directory.

use std::path::{Path, PathBuf};

/// `target/`, from `target/debug/deps/test-…`.
fn target() -> PathBuf {
    let own = std::env::current_exe().expect("a running test has a path");
    own.ancestors()
        .nth(3)
        .expect("tests lie in target/PROFILE/deps")
        .to_owned()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the project")
}

/// A program of the workspace, built by `cargo build --workspace`.
///
/// # Panics
/// When it is not built.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("a running test has a path");
    let path = own
        .ancestors()
        .nth(2)
        .expect("tests lie in target/PROFILE/deps")
        .join(name);
    assert!(
        path.is_file(),
        "{} is not built; run `cargo build --workspace`",
        path.display()
    );
    path
}

/// ONNX Runtime's library.
#[must_use]
pub fn runtime_library() -> PathBuf {
    target().join("nn/runtimes/onnxruntime/libonnxruntime.so.1.28.0")
}

/// A model that `cargo xtask setup` has fetched or made.
#[must_use]
pub fn model_file(name: &str) -> PathBuf {
    model_repository().join(name).join("1/model.onnx")
}

/// The directory of those models.
#[must_use]
pub fn model_repository() -> PathBuf {
    target().join("nn/models")
}

/// Data that belongs to models: pictures, tokenizers, labels.
#[must_use]
pub(crate) fn data() -> PathBuf {
    target().join("nn/data")
}

/// The tests that ONNX has for those who run its models, as one archive.
#[must_use]
pub fn onnx_tests() -> PathBuf {
    data().join("onnx-node-tests/tests.tar")
}

/// The root directory that `cargo xtask boot-tree` has made.
#[must_use]
pub(crate) fn boot_tree() -> PathBuf {
    target().join("nn/boot-tree")
}

/// Where guests' machine code is kept between tests.
#[must_use]
pub(crate) fn cache() -> PathBuf {
    target().join("nn/cache")
}

/// One of the tiny models that are checked in.
#[must_use]
pub fn tiny_model(name: &str) -> PathBuf {
    root().join("models/tiny").join(format!("{name}.onnx"))
}

/// One of the models that tell the fake worker what to do.
#[must_use]
pub fn fake_model(name: &str) -> PathBuf {
    root()
        .join("tests/worker-fake/models")
        .join(format!("{name}.onnx"))
}

/// Where one of the guests that are too large to be checked in is built.
#[must_use]
pub fn built_guest(name: &str) -> PathBuf {
    target().join("nn/guests").join(format!("{name}.wasm"))
}

/// One of the guests that are checked in.
#[must_use]
pub fn guest_wasm(name: &str) -> PathBuf {
    let dir =
        std::env::var_os("NN_GUESTS").map_or_else(|| root().join("guests/bin"), PathBuf::from);
    dir.join(format!("{name}.wasm"))
}

/// OpenVINO's library, the others beside it.
#[must_use]
pub fn openvino_library() -> PathBuf {
    target().join("nn/runtimes/openvino/libopenvino_c.so.2641")
}

/// The same where it is wanted: it takes a daemon 90 MiB and some milliseconds at its start.
pub(crate) fn openvino_if(wanted: bool) -> PathBuf {
    if wanted {
        openvino_library()
    } else {
        "/nowhere".into()
    }
}

/// A copy of a file in `dir`.
pub(crate) fn copy(path: &Path, dir: &Path) -> PathBuf {
    let target = dir.join(path.file_name().expect("a file"));
    std::fs::copy(path, &target).expect("room for a copy");
    target
}
