//! Where OpenVINO is.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of a test, which clippy takes for production code"
)]

use std::path::PathBuf;

/// From the test program's own path: `target/debug/deps/…` → `target/nn/runtimes/…`.
pub(crate) fn find() -> Option<PathBuf> {
    let program = std::env::current_exe().unwrap();
    let library = program
        .ancestors()
        .map(|folder| folder.join("nn/runtimes/openvino/libopenvino_c.so.2641"))
        .find(|path| path.exists());
    let required = std::env::var_os("NN_REQUIRE_BACKENDS").is_some();
    assert!(library.is_some() || !required, "run `cargo xtask setup`");
    if library.is_none() {
        println!("skipped: no OpenVINO; `cargo xtask setup` brings it");
    }
    library
}
