//! What a worker that has been taken over can still do: real workers in real jails, which try. The programs are
//! nn-spawner and nn-probe (nn-worker's own code, but for what it does with a model).
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests, which clippy takes for production code"
)]

#[path = "escape/attempts.rs"]
mod attempts;
#[path = "escape/daemon.rs"]
mod daemon;
#[path = "escape/descriptors.rs"]
mod descriptors;
#[path = "escape/honest.rs"]
mod honest;
#[path = "escape/matrix.rs"]
mod matrix;
#[path = "escape/needed.rs"]
mod needed;
#[path = "escape/numbers.rs"]
mod numbers;
#[path = "escape/probe.rs"]
mod probe;
#[path = "escape/profile.rs"]
mod profile;
#[path = "escape/relay.rs"]
mod relay;
#[path = "escape/rules.rs"]
mod rules;
