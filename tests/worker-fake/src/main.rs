//! `nn-worker-fake`: a worker without a framework, for tests. It speaks the frames of `nn-worker`, being
//! the same code; only what it computes is its own. It answers to every backend's name and ignores the
//! library.
//!
//! What it does is chosen by the name of the model's graph; `models/` has a file of each:
//!
//! | model | takes | gives |
//! |---|---|---|
//! | `fake-echo` | `x` f32\[?\] | `y`: the same |
//! | `fake-add` | `a`, `b` f32\[?\] | `c`: their sum |
//! | `fake-sleep` | `ms` i64 scalar | `slept`: the same, after so many milliseconds, unless it is interrupted |
//! | `fake-deaf` | `ms` i64 scalar | `slept`: the same, after so many milliseconds, whatever it hears meanwhile |
//! | `fake-stuck` | – | nothing: its load never ends |
//! | `fake-broken` | – | nothing: it crashes when it is loaded, as by `how` 1 |
//! | `fake-crash` | `how` i64 scalar | `never`: no answer |
//!
//! `how`: 0 abort, 1 SIGSEGV, 2 exit code 3, 3 panic, 4 hang for ever, 5 a system call that a jail forbids, 6 more memory
//! than any budget, 7 a flood of its log.

mod fake;
mod graph;
#[cfg(test)]
mod models;

use nn_backend::Backend;

fn main() {
    nn_worker::run(|_| Some(Box::new(fake::FakeBackend) as Box<dyn Backend>))
}
