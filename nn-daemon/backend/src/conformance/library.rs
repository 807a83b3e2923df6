//! Where a framework is, for tests of its backend.
#![expect(clippy::print_stdout, reason = "a test says why it does nothing")]

use std::path::PathBuf;

/// A framework's library, from the test program's own path: `target/debug/deps/…` → `target/nn/runtimes/…`. `None`, said, where
/// it is not.
///
/// # Panics
/// Where it is not and `NN_REQUIRE_BACKENDS` wants it.
#[must_use]
pub fn library(name: &str) -> Option<PathBuf> {
    let program = std::env::current_exe().expect("a running test has a path");
    let library = program
        .ancestors()
        .map(|folder| folder.join("nn/runtimes").join(name))
        .find(|path| path.exists());
    let required = std::env::var_os("NN_REQUIRE_BACKENDS").is_some();
    assert!(library.is_some() || !required, "run `cargo xtask setup`");
    if library.is_none() {
        println!("skipped: no {name}; `cargo xtask setup` brings it");
    }
    library
}
