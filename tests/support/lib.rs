//! What the black-box tests stand on: a real daemon in a directory of its own, real guests, real
//! models, and ONNX Runtime alone as the reference. Everything started here ends with the test.

mod ask;
mod boot;
mod browser;
mod compute;
mod daemon;
mod disk;
mod door;
mod engine;
mod follow;
mod guest;
mod jail;
mod paths;
mod png;
mod proc;
mod raw;
mod reference;
mod reply;
mod run;
mod serve;
mod talk;

pub use ask::{until, until_computing};
pub use boot::Machine;
pub use browser::Browser;
pub use compute::{Tensor, compute, compute_of, input, picture, slow, slow_daemon};
pub use daemon::{Daemon, DaemonBuilder};
pub use disk::Disk;
pub use engine::Engine;
pub use follow::Follower;
pub use guest::{Guest, GuestHost};
pub use jail::{Bystander, Ended, Jail, Jailed, Jailer, User};
pub use paths::{
    built_guest, fake_model, guest_wasm, model_file, model_repository, onnx_tests,
    openvino_library, program, runtime_library, tiny_model,
};
pub use png::{Pixels, png};
pub use proc::{
    ProcState, children, cpu_ticks, descendants, is_running, kill, processes_with, stop, wait_until,
};
pub use raw::RawSession;
pub use reference::{Given, Reference};
pub use reply::{Begun, Reply};
pub use run::{Output, command, nn_host, nn_host_with, nnctl, run, run_in, run_script};
pub use serve::{HttpHost, HttpHostBuilder, coffee, serve_and_end};
pub use talk::Talking;

/// Whether what a test needs is there. Without the native runtime or the models a test is skipped with
/// the reason printed, unless NN_REQUIRE_BACKENDS is set: then it fails.
#[must_use]
#[expect(clippy::print_stdout, reason = "a test says why it is skipped")]
pub fn available() -> bool {
    let missing: Vec<String> = [
        runtime_library(),
        model_file("efficientnet-lite0"),
        model_file("minilm-l6-int8"),
    ]
    .into_iter()
    .filter(|path| !path.is_file())
    .map(|path| path.display().to_string())
    .collect();
    if missing.is_empty() {
        return true;
    }
    let reason = format!(
        "not there: {}; `cargo xtask setup` fetches it",
        missing.join(", ")
    );
    assert!(
        std::env::var_os("NN_REQUIRE_BACKENDS").is_none(),
        "{reason}"
    );
    println!("skipped: {reason}");
    false
}

/// Ends the test early where what it needs is not there (see [`available`]).
#[macro_export]
macro_rules! require_backends {
    () => {
        if !$crate::available() {
            return;
        }
    };
}

/// How long soak tests run: `NN_SOAK_SECONDS`, else the given small time.
#[must_use]
pub fn soak_seconds(otherwise: u64) -> std::time::Duration {
    let given = std::env::var("NN_SOAK_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    std::time::Duration::from_secs(given.unwrap_or(otherwise))
}

/// How many rounds soak tests run: `NN_SOAK_ROUNDS`, else the given small number.
#[must_use]
pub fn soak_rounds(otherwise: u32) -> u32 {
    let given = std::env::var("NN_SOAK_ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok());
    given.unwrap_or(otherwise)
}
